"""Tasks: what is given is what the faults say of the truth, in every kind."""

from __future__ import annotations

import pytest
import torch

from audiofix.damages import operator_of
from audiofix.datasets.base import Material
from audiofix.errors import InputError, SettingError
from audiofix.evaluation.tasks import DAMAGES, gaps, restoration, separation, strengths
from audiofix.numerics.metrics import snr
from audiofix.operators.lowpass import decimate
from audiofix.types import Audio

RATE = 16000


def material(
    length: int = 24000, channels: int = 2, rate: int = RATE, names: tuple[str, ...] = ("a",)
) -> Material:
    waves = 0.1 * torch.randn(len(names), channels, length, generator=torch.Generator().manual_seed(5))
    clean = dict(zip(names, waves, strict=True))
    return Material(clean, sum(clean.values()), rate)


@pytest.mark.parametrize(("kind", "value"), [("inpaint", 50), ("declip", 7), ("dequantise", 6)])
def test_the_recording_is_the_operator_of_the_truth(kind, value):
    task = restoration(kind, "t", material(), value, 0)
    (fault,) = task.faults
    operator = operator_of(fault, RATE, 24000)
    assert torch.equal(task.given.samples, operator.forward(task.clean["restored"][None])[0])
    assert not torch.equal(task.given.samples, task.clean["restored"])
    assert (task.rate, task.given.sample_rate) == (RATE, RATE)


def test_noise_has_its_level_and_its_seed():
    one, same, other = (restoration("denoise", "t", material(), 10, seed) for seed in (1, 1, 2))
    assert float(snr(one.given.samples.reshape(-1), one.clean["restored"].reshape(-1))) == pytest.approx(
        10, abs=0.2
    )
    assert torch.equal(one.given.samples, same.given.samples)
    assert not torch.equal(one.given.samples, other.given.samples)
    assert not torch.equal(one.given.samples, restoration("denoise", "u", material(), 10, 1).given.samples)
    noise = one.given.samples - one.clean["restored"]
    assert float(one.faults[0].profile) == pytest.approx(float(noise.std()), rel=0.02)


def test_clipping_leaves_the_sdr_that_was_asked_for():
    task = restoration("declip", "t", material(), 7, 0)
    assert float(snr(task.given.samples.reshape(-1), task.clean["restored"].reshape(-1))) == pytest.approx(
        7, abs=1e-3
    )


@pytest.mark.parametrize(
    ("rate", "factor", "lower"), [(16000, 4, 16000), (22050, 16, 22048), (44100, 8, 44096)]
)
def test_upsampling_at_a_rate_that_divides(rate, factor, lower):
    task = restoration("upsample", "t", material(rate, 1, rate), factor, 0)
    assert (task.rate, task.given.sample_rate) == (lower, lower // factor)
    assert task.faults == ()
    assert task.given.length == -(-task.clean["restored"].shape[1] // factor)
    if lower == rate:
        assert torch.equal(task.given.samples, decimate(task.clean["restored"], factor))


def test_every_kth_sample_is_that_of_the_truth():
    """The super-resolution of Jayaram & Thickstun: no low-pass, so that what was kept is known exactly."""
    task = restoration("upsample", "t", material(16001), 4, 0, low_pass=False)
    truth = task.clean["restored"]
    assert torch.equal(task.given.samples, truth[:, ::4])
    assert (task.rate, task.given.sample_rate, task.faults) == (16000, 4000, ())
    noise = restoration("denoise", "t", material(), 10, 0, low_pass=False)
    assert torch.equal(noise.given.samples, restoration("denoise", "t", material(), 10, 0).given.samples)


def test_gaps_lie_around_whole_seconds():
    assert gaps(4 * RATE, RATE, 0.05) == [(k * RATE - 400, k * RATE + 400) for k in (1, 2, 3)]
    assert gaps(RATE, RATE, 0.05) == [(RATE // 2 - 400, RATE // 2 + 400)]  # too short: one in the middle
    for spans in (gaps(7 * RATE, RATE, 1.2), gaps(5 * RATE, RATE, 0.7)):
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges)
        assert edges[-1] < 7 * RATE
    with pytest.raises(SettingError, match="does not fit"):
        gaps(RATE, RATE, 0.5)


def test_a_real_recording_is_given_as_it_is():
    clean = material()
    given = Audio(clean.mixture[:, :20000] + 0.01, RATE)
    task = restoration("denoise", "t", Material(clean.clean, clean.mixture, RATE, given), None, 0)
    assert task.given is given
    assert torch.equal(task.clean["restored"], clean.clean["a"][:, :20000])
    assert task.faults == ()


def test_a_real_recording_has_the_clean_ones_channels():
    clean = material()
    with pytest.raises(InputError, match="1 channels, the clean one 2"):
        restoration(
            "denoise",
            "t",
            Material(clean.clean, clean.mixture, RATE, Audio(torch.ones(1, 24000), RATE)),
            None,
            0,
        )


def test_separation_takes_two_sources():
    task = separation("t", material(names=("a", "b")), 3)
    torch.testing.assert_close(task.given.samples, task.clean["a"] + task.clean["b"])
    assert task.seed == 3
    with pytest.raises(SettingError, match="one source"):
        separation("t", material(), 0)


def test_silence_cannot_be_damaged():
    silent = Material({"a": torch.zeros(1, 8000)}, torch.zeros(1, 8000), RATE)
    with pytest.raises(InputError, match="t is silent"):
        restoration("denoise", "t", silent, 10, 0)


def test_strengths():
    assert strengths("separate", None) == (None,)
    assert strengths("upsample", None) == (2, 4, 8)
    assert strengths("denoise", [-3.5]) == (-3.5,)
    assert [DAMAGES[kind].label(8) for kind in DAMAGES] == ["x8", "8 ms", "8 dB", "8 bits", "8 dB"]
    for kind, values in (
        ("separate", [1]),
        ("dream", None),
        ("upsample", [2.5]),
        ("dequantise", [1]),
        ("inpaint", [0]),
    ):
        with pytest.raises(SettingError):
            strengths(kind, values)
