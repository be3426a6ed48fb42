"""Scores against the packages that the field measures with, to 1e-3 dB, and against values known in advance."""

from __future__ import annotations

import math
import shutil

import museval
import numpy as np
import pytest
import torch

from audiofix.damages import Cut, LostSamples
from audiofix.datasets import musdb as reader
from audiofix.datasets.base import Group, Preparation, load
from audiofix.errors import InputError
from audiofix.evaluation.scores import DEFAULT, METRICS, available, bss_eval, improved, score, untouched
from audiofix.evaluation.systems.base import RESTORED, Task
from audiofix.evaluation.tasks import separation
from audiofix.numerics.metrics import si_sdr, snr
from audiofix.types import Audio
from tests.datasets.trees import musdb_packed

RATE = 8000


def task_of(
    clean: dict[str, torch.Tensor], kind: str = "separate", faults: tuple = (), rate: int = RATE
) -> Task:
    return Task(kind, "t", Audio(sum(clean.values()), rate), clean, rate, faults, 0)


@pytest.fixture
def sources() -> dict[str, torch.Tensor]:
    """Two coloured stereo sources, 2.4 s."""
    noise = torch.randn(2, 2, 19200 + 64, generator=torch.Generator().manual_seed(0))
    kernel = torch.hann_window(65)[None, None]
    smooth = torch.conv1d(noise.reshape(4, 1, -1), kernel).reshape(2, 2, -1)
    return {"a": 0.01 * smooth[0], "b": 0.05 * noise[1, :, 64:]}


@pytest.fixture
def estimates(sources) -> dict[str, torch.Tensor]:
    """Some of the other in each, a filter, a gain, and noise."""
    noise = 0.01 * torch.randn(2, 2, 19200, generator=torch.Generator().manual_seed(1))
    return {
        "a": 0.8 * sources["a"] + 0.1 * sources["b"].roll(3, dims=1) + noise[0],
        "b": sources["b"] + 0.3 * sources["b"].roll(1, dims=1) + 0.2 * sources["a"] + noise[1],
    }


def test_si_sdr_is_that_of_fast_bss_eval(sources, estimates):
    fast = pytest.importorskip("fast_bss_eval")
    found = score(task_of(sources), estimates, ["si_sdr"])
    for name, wave in sources.items():
        theirs = fast.si_sdr(wave[:, None], estimates[name][:, None], zero_mean=True).mean()
        assert found[name]["si_sdr"] == pytest.approx(float(theirs), abs=1e-3)


def test_decibels_are_those_of_torchmetrics(sources, estimates):
    """SI-SDR, SNR and PSNR: the last with a range of 1, which is our full scale."""
    audio = pytest.importorskip("torchmetrics.functional.audio")
    image = pytest.importorskip("torchmetrics.functional.image")
    found = score(task_of(sources), estimates, ["si_sdr", "snr", "psnr"])
    for name, wave in sources.items():
        guess = estimates[name]
        channels = zip(guess, wave, strict=True)
        theirs = {
            "si_sdr": audio.scale_invariant_signal_distortion_ratio(guess, wave, zero_mean=True).mean(),
            "snr": audio.signal_noise_ratio(guess, wave).mean(),
            "psnr": sum(image.peak_signal_noise_ratio(x, y, data_range=1.0) for x, y in channels) / 2,
        }
        for metric, value in theirs.items():
            assert found[name][metric] == pytest.approx(float(value), abs=1e-3), (name, metric)


def test_bss_eval_is_musevals(sources, estimates):
    """museval called as its own evaluation of MUSDB18 does: (source, time, channel), a second each, medians."""
    found = score(task_of(sources), estimates, ["sdr", "isr", "sir", "sar"])
    references, guesses = ([wave.T.numpy() for wave in one.values()] for one in (sources, estimates))
    theirs = museval.evaluate(references, guesses, win=RATE, hop=RATE)
    for metric, frames in zip(("sdr", "isr", "sir", "sar"), theirs, strict=True):
        for index, name in enumerate(sources):
            assert frames.shape == (2, 2)
            assert found[name][metric] == pytest.approx(np.nanmedian(frames[index]), abs=1e-3)


def test_a_song_as_the_community_evaluates_it(tmp_path):
    """musdb reads it, museval's eval_mus_track scores vocals against accompaniment; ours from the same file."""
    pytest.importorskip("av", reason="the extra `evaluate` reads .stem.mp4")
    musdb = pytest.importorskip("musdb")
    if not shutil.which("ffmpeg"):
        pytest.skip("musdb needs ffmpeg")
    root = musdb_packed(tmp_path, seconds=1.2)
    (track,) = reader.tracks(root)
    groups = [Group(("vocals",), "speech"), Group(("drums", "bass", "other"), "piano")]
    material = load(track, groups, Preparation())
    noise = 0.02 * torch.randn(2, *material.mixture.shape, generator=torch.Generator().manual_seed(4))
    names = [group.name for group in groups]
    guesses = {
        n: 0.9 * material.clean[n] + 0.1 * material.mixture + x for n, x in zip(names, noise, strict=True)
    }
    found = score(separation(track.name, material, 0), guesses, ["sdr", "isr", "sir", "sar"])
    (song,) = musdb.DB(str(root), subsets="test")
    theirs = {"vocals": guesses[names[0]].T.numpy(), "accompaniment": guesses[names[1]].T.numpy()}
    for target, name in zip(museval.eval_mus_track(song, theirs).scores["targets"], names, strict=True):
        for metric in ("SDR", "ISR", "SIR", "SAR"):
            values = [float(frame["metrics"][metric]) for frame in target["frames"]]
            assert found[name][metric.lower()] == pytest.approx(np.nanmedian(values), abs=1e-3), (
                name,
                metric,
            )


def test_the_sdr_of_bss_eval_is_the_snr_of_each_second(sources, estimates):
    """Its SDR of images is 10 log10 |s|^2 / |s - estimate|^2 of a frame (Vincent et al. 2012, eq. 8), so an
    independent sum says what it must be; the last part of a second is left out."""
    found = bss_eval(sources, estimates, RATE)
    for name, wave in sources.items():
        frames = [slice(0, RATE), slice(RATE, 2 * RATE)]
        each = [snr(estimates[name][:, f].reshape(-1), wave[:, f].reshape(-1)) for f in frames]
        assert found[name]["sdr"] == pytest.approx(float(sum(each)) / 2, abs=1e-3)
        assert found[name]["sir"] > found[name]["sdr"]


def test_a_source_that_is_silent_has_no_figures(sources):
    silent = {"a": sources["a"], "b": torch.zeros_like(sources["b"])}
    found = score(
        task_of(silent), {name: wave + 0.01 for name, wave in silent.items()}, ["si_sdr", "snr", "sdr"]
    )
    assert found["b"] == {"si_sdr": None, "sdr": None, "snr": None}
    assert found["a"]["snr"] is not None


def test_figures_stay_finite(sources):
    perfect = score(task_of(sources), sources, ["si_sdr", "snr", "psnr"])
    nothing = score(
        task_of(sources), {name: torch.zeros_like(wave) for name, wave in sources.items()}, ["si_sdr"]
    )
    assert set(perfect["a"].values()) == {100.0}
    assert nothing["a"]["si_sdr"] == -100.0


def test_the_improvement_is_over_the_mixture(sources, estimates):
    task = task_of(sources)
    before = score(task, untouched(task), ["si_sdr"])
    found = improved(score(task, estimates, ["si_sdr"]), before)
    for name, wave in sources.items():
        gain = si_sdr(estimates[name], wave).mean() - si_sdr(task.given.samples, wave).mean()
        assert found[name]["si_sdr_improvement"] == pytest.approx(float(gain), abs=1e-9)


def test_what_was_damaged_is_measured_by_itself():
    clean = {RESTORED: torch.full((2, 4000), 0.5)}
    clean[RESTORED][1] = 0.25
    off = {RESTORED: clean[RESTORED].clone()}
    off[RESTORED][:, 1000:1100] *= 0.9  # an error of -20 dB in a gap, none outside
    gap = task_of(clean, "inpaint", (LostSamples(((1000, 1100),)),))
    found = score(gap, off, ["snr", "snr_damaged"])[RESTORED]
    assert found["snr_damaged"] == pytest.approx(20, abs=1e-4)
    assert found["snr"] == pytest.approx(20 + 10 * math.log10(40), abs=1e-4)
    clipped = task_of(clean, "declip", (Cut(-0.4, 0.4),))  # of the first channel only
    assert score(clipped, off, ["snr_damaged"])[RESTORED]["snr_damaged"] == pytest.approx(36.02, abs=1e-2)
    assert "snr_damaged" not in score(task_of(clean, "denoise"), off, ["snr_damaged"])[RESTORED]


def test_other_shapes_are_refused(sources, estimates):
    with pytest.raises(InputError, match="nothing came back for b"):
        score(task_of(sources), {"a": estimates["a"]}, ["snr"])
    with pytest.raises(InputError, match=r"shape \(2, 5\) came back for a"):
        score(task_of(sources), {**estimates, "a": estimates["a"][:, :5]}, ["snr"])
    with pytest.raises(InputError, match="not finite"):
        score(task_of(sources), {**estimates, "a": estimates["a"] / 0}, ["snr"])


def test_stoi_is_pystois(sources):
    pystoi = pytest.importorskip("pystoi")
    wave = {"speech": sources["b"]}
    noisy = {
        "speech": sources["b"] + 0.05 * torch.randn(2, 19200, generator=torch.Generator().manual_seed(3))
    }
    task = task_of(wave)
    found = score(task, noisy, ["stoi"], ["speech"])["speech"]["stoi"]
    theirs = pystoi.stoi(wave["speech"].mean(dim=0).numpy(), noisy["speech"].mean(dim=0).numpy(), RATE)
    assert found == pytest.approx(theirs, abs=1e-9)
    assert 0 < found < 1
    assert "stoi" not in score(task, noisy, ["stoi"])["speech"]  # asked for speech only
    short = {"speech": wave["speech"][:, :400]}
    assert score(task_of(short), short, ["stoi"], ["speech"])["speech"]["stoi"] is None


def test_pesq_is_pesqs(sources):
    pesq = pytest.importorskip("pesq")
    envelope = (torch.arange(19200) // 1600 % 2).float()
    wave = {"speech": sources["b"][:1] * envelope}
    noisy = {"speech": wave["speech"] + 0.02 * sources["b"][1:]}
    found = score(task_of(wave, rate=16000), noisy, ["pesq"], ["speech"])["speech"]["pesq"]
    theirs = pesq.pesq(16000, wave["speech"][0].numpy(), noisy["speech"][0].numpy(), "wb")
    assert found == pytest.approx(theirs, abs=1e-6)
    assert score(task_of(wave, rate=16000), wave, ["pesq"], ["speech"])["speech"]["pesq"] > found


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    metrics, lacking = available(DEFAULT[True])
    assert lacking == ["pesq", "pystoi"]
    assert metrics == [name for name in DEFAULT[True] if name not in ("pesq", "stoi")]
    assert set(DEFAULT[True]) | set(DEFAULT[False]) == set(METRICS)
