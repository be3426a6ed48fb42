"""Simulated mixtures: levels, lengths and every degradation against what can be written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audiofix.errors import SettingError
from audiofix.training import degrade
from audiofix.training.data import Folder
from audiofix.training.degrade import Simulation, simulated_sources

RATE = 16000
LENGTH = 3200  # ten blocks of 20 ms: active RMS and RMS of a steady sound agree
PLAIN = Simulation(equalise=0, reverberate=0, codec=0, silent=0, crowd=0)
ALL = Simulation(semitones=((-3, 3), (-3, 3)), equalise=1, reverberate=1, codec=1, silent=1, crowd=1)


def folder_of(root: Path, *waves: np.ndarray) -> Folder:
    root.mkdir()
    for index, wave in enumerate(waves):
        soundfile.write(root / f"{index}.wav", wave, RATE, subtype="FLOAT")
    return Folder([root], RATE)


def noise(seed: int, samples: int = 2 * RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(samples)


def tone(hertz: float, samples: int = 4 * RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def draw(
    folders: Any, batch: int, simulation: Simulation, seed: int = 0, length: int = LENGTH
) -> torch.Tensor:
    return simulated_sources(folders, batch, length, simulation, np.random.default_rng(seed))


def decibels(x: torch.Tensor) -> np.ndarray:
    """RMS over time."""
    return 10 * np.log10(x.double().square().mean(dim=-1).numpy())


def strongest_hertz(x: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * RATE / len(x))


@pytest.fixture
def noises(tmp_path: Path) -> list[Folder]:
    return [folder_of(tmp_path / "a", noise(1)), folder_of(tmp_path / "b", 3 * noise(2))]


@pytest.mark.parametrize("length", [LENGTH, 5001])
def test_shapes_and_the_generator_alone_decides(noises: list[Folder], length: int) -> None:
    np.random.seed(0)  # noqa: NPY002 - the global state must not matter
    first = draw(noises, 3, ALL, length=length)
    np.random.seed(1)  # noqa: NPY002
    torch_state = torch.random.get_rng_state()
    assert first.shape == (3, 2, length)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, draw(noises, 3, ALL, length=length))
    assert torch.equal(torch_state, torch.random.get_rng_state())
    assert not torch.equal(first, draw(noises, 3, ALL, seed=1, length=length))


def test_every_item_and_source_is_another(noises: list[Folder]) -> None:
    waves = draw(noises, 8, PLAIN).flatten(0, 1)
    shapes = waves / waves.norm(dim=1, keepdim=True)
    alike = (shapes @ shapes.T).abs().fill_diagonal_(0)
    # Independent noise correlates by 1/sqrt(3200) = 0.018; windows of one file may overlap, not coincide.
    assert alike.max() < 0.2


def test_relative_levels_are_as_drawn(noises: list[Folder]) -> None:
    exact = decibels(draw(noises, 4, replace(PLAIN, level_db=(7, 7))))
    # Sums of 3200 squares in float32: far better than 1e-3 dB.
    np.testing.assert_allclose(exact[:, 1] - exact[:, 0], 7, atol=1e-3)
    spread = decibels(draw(noises, 300, replace(PLAIN, level_db=(-10, 4)), length=320))
    level = spread[:, 1] - spread[:, 0]
    assert level.min() > -10 - 1e-3
    assert level.max() < 4 + 1e-3
    # 300 uniform draws all miss an end's twentieth with probability 2e-7.
    assert level.min() < -9.3
    assert level.max() > 3.3


def test_three_sources_have_levels_of_their_own(noises: list[Folder], tmp_path: Path) -> None:
    folders = [*noises, folder_of(tmp_path / "c", noise(3))]
    level = decibels(draw(folders, 8, PLAIN))
    assert level.shape == (8, 3)
    # Independent and uniform over 20 dB, their difference deviates by 8 dB; drawn together, by none.
    assert np.std(level[:, 2] - level[:, 1]) > 3


def test_degradations_do_not_move_the_level(noises: list[Folder]) -> None:
    level = decibels(draw(noises, 8, replace(ALL, silent=0, level_db=(7, 7))))
    # Set after them; steady noise keeps its ten blocks, so active RMS is RMS, and reverberation only fades in.
    np.testing.assert_allclose(level[:, 1] - level[:, 0], 7, atol=1e-3)


def test_mixture_rms_is_as_drawn(noises: list[Folder]) -> None:
    exact = decibels(draw(noises, 4, replace(PLAIN, rms_db=(-20, -20))).sum(dim=1))
    np.testing.assert_allclose(exact, -20, atol=1e-3)
    spread = decibels(draw(noises, 300, PLAIN, length=320).sum(dim=1))
    assert spread.min() > -26 - 1e-3
    assert spread.max() < -14 + 1e-3
    assert spread.min() < -25.4  # the same 2e-7
    assert spread.max() > -14.6


def test_peaks_stay_within_full_scale(noises: list[Folder]) -> None:
    x = draw(noises, 8, replace(PLAIN, rms_db=(0, 0)))
    peaks = torch.cat([x, x.sum(dim=1, keepdim=True)], dim=1).abs().amax(dim=(1, 2))
    assert (peaks <= 1).all()
    assert (peaks > 0.99).all()  # lowered no more than needed


def test_sources_that_cancel_stay_within_full_scale(tmp_path: Path) -> None:
    same = folder_of(tmp_path / "same", noise(1, LENGTH))
    x = draw([same, same], 16, replace(PLAIN, level_db=(0, 0)))
    silent = x.sum(dim=1).abs().amax(dim=1) < 1e-6
    assert silent.any()  # one window and two polarities
    assert not silent.all()
    assert x.abs().max() <= 1
    assert (x[silent].abs().amax(dim=(1, 2)) > 0.1).all()


@pytest.mark.parametrize("semitones", [12.0, 4.3, 0.0, -5.0, -12.0])
def test_transposition_moves_a_tone_and_keeps_length(semitones: float) -> None:
    ratio = 2 ** (semitones / 12)
    x = degrade.transpose(tone(700, round(RATE * ratio)), semitones, RATE)
    assert x.shape == (RATE,)
    assert x.dtype == np.float32
    # Bins of 1 Hz: the nearest bin is within half of one, and half more for leakage.
    assert abs(strongest_hertz(x) - 700 * ratio) <= 1
    middle = x[4000:12000]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.3, rel=0.01)


def test_transposition_pads_or_cuts() -> None:
    assert not degrade.transpose(tone(700, 100), 12.0, 80)[55:].any()
    assert degrade.transpose(tone(700, 100), -12.0, 80).shape == (80,)


def test_each_source_has_its_own_transposition(tmp_path: Path) -> None:
    one, two = folder_of(tmp_path / "one", tone(500)), folder_of(tmp_path / "two", tone(500))
    none: Any = ()
    for ranges, ratios in (
        (((12, 12),), (2, 1)),
        ((none, (-12, -12)), (1, 0.5)),
        (((7, 7), (7, 7)), (1.5, 1.5)),
    ):
        x = draw([one, two], 2, replace(PLAIN, semitones=ranges), length=RATE).numpy()
        for item in x:
            for wave, ratio in zip(item, ratios, strict=True):
                # Seven semitones are 1.4983, 0.85 Hz from a pure fifth.
                assert abs(strongest_hertz(wave) - 500 * ratio) <= 2
                # Enough was read: the sound goes on to the last samples.
                assert np.abs(wave[-64:]).max() > 0.5 * np.abs(wave).max()


def test_equaliser_follows_its_points() -> None:
    gains = np.array([6, -6, 3, -2, 5, -6], np.float32)
    impulse = np.zeros(1 << 15, np.float32)
    impulse[1 << 14] = 1
    heard = 20 * np.log10(np.abs(np.fft.rfft(degrade.equalise(impulse, gains, RATE))) + 1e-9)
    # The response beyond the half second kept on either side is below 1e-3 of the direct sound.
    assert np.abs(heard).max() < 6.05
    points = np.geomspace(degrade.LOWEST_HZ, RATE / 2, 6)
    np.testing.assert_allclose(heard[np.round(points * (1 << 15) / RATE).astype(int)], gains, atol=0.1)
    between = np.sqrt(points[2] * points[3])  # linear in dB over log frequency
    assert heard[round(between * (1 << 15) / RATE)] == pytest.approx(0.5, abs=0.1)


def test_flat_equaliser_is_a_gain_and_nothing_wraps() -> None:
    x = noise(1, 5001).astype(np.float32)
    flat = degrade.equalise(x, np.full(6, 6, np.float32), RATE)
    np.testing.assert_allclose(flat, x * 10 ** (6 / 20), atol=2e-6)
    assert flat.dtype == np.float32
    impulse = np.zeros(4096, np.float32)
    impulse[0] = 1
    end = degrade.equalise(impulse, np.array([6, -6, 6, -6, 6, -6], np.float32), RATE)[-256:]
    # Zero phase sounds before and after; what would come before the start is dropped, not moved to the end.
    assert np.abs(end).max() < 1e-3


@pytest.mark.parametrize(("rt60", "wet_db"), [(0.2, -3.0), (0.5, -10.0), (0.8, -20.0)])
def test_reverberation_decays_as_told(rt60: float, wet_db: float) -> None:
    impulse = np.zeros(RATE, np.float32)
    impulse[100] = 1
    x = degrade.reverberate(impulse, rt60, wet_db, RATE, np.random.default_rng(0))
    assert x.dtype == np.float32
    assert np.abs(x[:100]).max() < 1e-6  # causal, and nothing wraps
    assert x[100] == pytest.approx(1, abs=1e-5)  # the direct sound first
    tail = x[101:].astype(np.float64)
    # rt60 0.8 s leaves 100 samples of margin: nothing of the tail is cut. FFT rounding is 1e-6.
    assert 10 * np.log10(np.sum(tail**2)) == pytest.approx(wet_db, abs=0.01)
    left = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2))  # Schroeder's integral
    time = np.argmax(left < -25) - np.argmax(left < -5)
    # The energy left is a mean over rt60·rate/13.8 noise samples or more: a relative deviation of 7 % (0.3 dB)
    # at 0.2 s. Both ends: 0.4 dB of 20, so 8 % are four deviations.
    assert 3 * time / RATE == pytest.approx(rt60, rel=0.08)


def test_reverberation_of_a_loud_end_does_not_wrap() -> None:
    x = np.zeros(4096, np.float32)
    x[-1] = 1
    heard = degrade.reverberate(x, 0.5, -3.0, RATE, np.random.default_rng(0))
    assert heard.shape == x.shape
    assert np.abs(heard[:-1]).max() < 1e-6


def test_codec_cuts_the_band_and_adds_noise_that_follows() -> None:
    loudness = np.repeat([1, 0.1], 4 * RATE).astype(np.float32)
    low, x = tone(1000, 8 * RATE) * loudness, (tone(1000, 8 * RATE) + tone(6000, 8 * RATE)) * loudness
    clean = degrade.band_limited(x, 3400, -200, RATE, np.random.default_rng(0))
    assert clean.shape == x.shape
    assert clean.dtype == np.float32
    noisy = degrade.band_limited(x, 3400, -20, RATE, np.random.default_rng(0)) - clean
    for part in (slice(1000, 4 * RATE - 1000), slice(4 * RATE + 1000, 8 * RATE - 1000)):
        power = np.mean(low[part] ** 2)
        # The overlapping windows sum to one; a sine window 83 bins off leaks less than 1e-4 of the other tone.
        np.testing.assert_allclose(clean[part], low[part], atol=1e-2 * np.sqrt(power))
        # 250 frames with a bin or two that carry the tone: the power deviates by 1/16 or 0.3 dB.
        assert 10 * np.log10(np.mean(noisy[part] ** 2) / power) == pytest.approx(-20, abs=1)


@pytest.mark.parametrize("length", [100, 5001])
def test_codec_keeps_any_length(length: int) -> None:
    x = noise(1, length).astype(np.float32)
    same = degrade.band_limited(x, 1e9, -200, RATE, np.random.default_rng(0))  # above Nyquist: all is kept
    np.testing.assert_allclose(same, x, atol=1e-6)


def test_quantiser_has_few_levels_and_keeps_the_peak() -> None:
    x = noise(1).astype(np.float32)
    coarse = degrade.quantised(x, 7)
    assert coarse.dtype == np.float32
    assert len(np.unique(coarse)) == 15
    assert np.abs(coarse).max() == pytest.approx(np.abs(x).max(), rel=1e-6)

    def companded(wave: np.ndarray) -> np.ndarray:
        return np.sign(wave) * np.log1p(255 * np.abs(wave) / np.abs(x).max()) / np.log(256)

    error = np.abs(companded(coarse) - companded(x)).max()
    assert error == pytest.approx(1 / 14, rel=0.01)  # half a step at most, and some sample comes near


def test_silenced_starts_or_stops() -> None:
    x = np.ones(1000, np.float32)
    stops, starts = degrade.silenced(x, 400, True, 100), degrade.silenced(x, 400, False, 100)
    assert (stops[:401] == 1).all()
    assert (stops[500:] == 0).all()
    np.testing.assert_allclose(stops + starts, 1)
    assert stops.dtype == np.float32


def test_one_source_is_alone_for_a_while(noises: list[Folder]) -> None:
    simulation = replace(PLAIN, silent=1)
    x = draw(noises, 64, simulation)
    quiet = x == 0
    assert (quiet.any(dim=2).sum(dim=1) == 1).all()  # exactly one source of each item
    share = quiet.float().mean(dim=2).amax(dim=1)
    assert share.min() > 0.2 - 0.06  # cut within 20 to 80 %, less a fade of 5 %
    assert share.max() < 0.8 + 0.06
    # Which source and which end are drawn; 64 coins alike: 1e-19.
    assert {int(i) for i in quiet.any(dim=2).float().argmax(dim=1)} == {0, 1}
    assert {bool(end) for end in quiet[..., -1].any(dim=1)} == {True, False}
    # The mixture reaches its level with the silence in it.
    exact = decibels(draw(noises, 4, replace(simulation, rms_db=(-20, -20))).sum(dim=1))
    np.testing.assert_allclose(exact, -20, atol=1e-3)
    assert not (draw(noises, 64, PLAIN) == 0).any()


def test_crowd_is_two_windows(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "tones", tone(500), tone(1500))

    def both(crowd: float) -> np.ndarray:
        x = draw([folder, folder], 32, replace(PLAIN, crowd=crowd)).flatten(0, 1).numpy()
        bins = np.abs(np.fft.rfft(x))[:, [500 * LENGTH // RATE, 1500 * LENGTH // RATE]]
        return bins.min(axis=1) / bins.max(axis=1)

    assert both(0).max() < 1e-3
    pairs = both(1)
    # Half the pairs are the two tones, within 6 dB of each other; the rest twice the same.
    assert 0.25 < (pairs > 0.5).mean() < 0.75
    assert not ((pairs > 1e-3) & (pairs < 0.5)).any()


def test_active_rms_forgets_pauses() -> None:
    loud = tone(500, LENGTH)
    half = np.concatenate([loud, np.zeros_like(loud)])
    assert degrade.active_rms(half, 320) == pytest.approx(0.3 / np.sqrt(2), rel=1e-4)
    faint = np.concatenate([loud, 0.02 * loud])  # 34 dB down still counts
    assert degrade.active_rms(faint, 320) == pytest.approx(degrade.rms(faint), rel=1e-4)
    assert degrade.active_rms(np.zeros(100, np.float32), 320) == 0


@pytest.mark.parametrize("amplitude", [0.0, 3e-4])
def test_pauses_stay_silent(tmp_path: Path, amplitude: float) -> None:
    """-70 dBFS is no source: it must not be raised to one."""
    pause = folder_of(tmp_path / "pause", amplitude / 0.1 * noise(1))
    sound = folder_of(tmp_path / "sound", noise(2))
    assert not draw([pause, pause], 4, ALL).any()
    x = draw([pause, sound], 4, replace(ALL, silent=0))
    assert torch.isfinite(x).all()
    assert not x[:, 0].any()
    assert (x[:, 1].abs().amax(dim=1) > 0.01).all()


def test_quiet_windows_are_drawn_again(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "half", noise(1), np.zeros(2 * RATE))
    silent = int((~draw([folder], 128, PLAIN).any(dim=2)).sum())
    # Four draws of a half: 8 of 128 expected, deviation 2.7; a single draw would leave 64.
    assert silent < 25


DRAWN = {"equalise": 1, "reverberate": 1, "codec": 1}


def test_degradations_are_drawn_within_their_ranges(
    noises: list[Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, list[tuple[Any, ...]]] = {}
    for name in ("equalise", "reverberate", "band_limited", "quantised"):

        def spy(x: np.ndarray, *args: Any, name: str = name) -> np.ndarray:
            calls.setdefault(name, []).append(args)
            return x

        monkeypatch.setattr(degrade, name, spy)
    draw(noises, 20, PLAIN)
    assert not calls
    draw(noises, 100, replace(PLAIN, **DRAWN), length=320)
    assert len(calls["equalise"]) == len(calls["reverberate"]) == 200
    assert len(calls["band_limited"]) + len(calls["quantised"]) == 200
    assert 60 < len(calls["quantised"]) < 140  # a coin: 100, deviation 7
    within = (
        (np.concatenate([c[0] for c in calls["equalise"]]), -6, 6),
        ([c[0] for c in calls["reverberate"]], 0.15, 0.8),
        ([c[1] for c in calls["reverberate"]], -20, -3),
        ([c[0] for c in calls["band_limited"]], 3400, 7500),
        ([c[1] for c in calls["band_limited"]], -25, -10),
        ([c[0] for c in calls["quantised"]], 7, 63),
    )
    for values, low, high in within:
        edge = 0.15 * (high - low)  # 60 draws miss it with probability 6e-5, and the seed is fixed
        assert low <= np.min(values) < low + edge
        assert high - edge < np.max(values) <= high
    for name in calls:
        calls[name].clear()
    draw(noises, 200, replace(PLAIN, equalise=0.25), length=320)
    assert 65 < len(calls["equalise"]) < 135  # of 400: 100, deviation 8.7
    assert not calls["reverberate"]


@pytest.mark.parametrize(
    "wrong", [{"codec": 1.5}, {"silent": -0.1}, {"level_db": (3, -3)}, {"semitones": ((0, 1), (2, 1))}]
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="simulation"):
        replace(PLAIN, **wrong)
