"""The mean of what a missing band may be keeps what the recording's own filter left above the cut-off, raised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import audiofix.tools
from audiofix.damages import Cut, Fault, LostBand
from audiofix.operators.band import Band
from audiofix.repair import restore
from audiofix.types import Audio
from tests.longrepair.test_same import from_disk, same, small, written

__all__ = ["small"]
RATE, CUT = 16000, 3000.0
TOP = CUT / audiofix.tools.TRUSTED


class Silence:
    """A prior that knows of nothing but silence: its denoiser answers zero."""

    sample_rate, grid, halo, anywhere, sigmas = RATE, 1, 0, True, (1.0, 1e-4)
    smoothing_axis = "linear"

    def score(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Of a normal distribution of variance sigma^2."""
        return -x / sigma**2


@pytest.fixture
def silent(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiofix.tools.load_prior", lambda *_, **__: Silence())
    monkeypatch.setenv("AUDIOFIX_MODELS", str(exported))


def recording() -> Audio:
    generator = torch.Generator().manual_seed(0)
    return Audio(0.1 * torch.randn(1, RATE // 2, generator=generator), RATE)


def given(audio: Audio, faults: list[Fault], **more: Any) -> torch.Tensor:
    return restore(audio, faults, source="speech", quality="fast", device="cpu", **more).audio.samples


def band(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """What lies between two frequencies, away from ends, which are not circular."""
    lower, upper = (Band(RATE, RATE, hertz).forward(x[:, None])[:, 0] for hertz in (low, high))
    return (upper - lower)[:, 1000:-1000]


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("draws", [2, 4])
def test_of_silent_highs_the_mean_is_the_recording_up_to_the_slope_and_silence_above(draws: int) -> None:
    audio = recording()  # too short for its slope to be told: what is there is kept as it is
    found = given(audio, [LostBand(CUT)], mean=True, draws=draws)
    loud = rms(band(audio.samples, CUT, TOP))
    # Edges of bands ring where the ends are cut away: a percent.
    assert rms(band(found - audio.samples, 20, TOP)) < 0.03 * loud
    assert rms(band(found, TOP + 100, RATE / 2)) < 0.03 * loud


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    ("faults", "mean"),
    [([LostBand(CUT)], None), ([LostBand(CUT), Cut(-0.2, 0.2)], True)],
    ids=["draw", "clip"],
)
def test_draws_and_other_faults_keep_none_of_it(faults: list[Fault], mean: bool | None) -> None:
    """A draw has its own highs there; what clipping puts there is not the recording's."""
    audio = recording()
    audio = Audio(audio.samples.clamp(-0.2, 0.2), RATE) if mean else audio
    found = given(audio, faults, mean=mean)
    assert rms(band(found, CUT + 20, TOP)) < 0.3 * rms(band(audio.samples, CUT + 20, TOP))


def fallen(decibels: float, seconds: float) -> tuple[torch.Tensor, Audio]:
    """Noise, and as a filter left it that falls by so many dB from 0.9 TOP to TOP."""
    clean = 0.1 * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(clean.double())
    hertz = torch.linspace(0, RATE / 2, spectrum.shape[1], dtype=torch.float64)
    fall = decibels * ((hertz / TOP - 0.9) / 0.1).clamp(0, 1)
    return clean, Audio(torch.fft.irfft(spectrum * 10 ** (-fall / 20), n=clean.shape[1]).float(), RATE)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("draws", [1, 4])
def test_what_a_filter_left_is_raised_towards_what_it_was(draws: int) -> None:
    clean, audio = fallen(20.0, 6.0)
    found = given(audio, [LostBand(CUT)], mean=True, draws=draws)
    before, after = (rms(band(x - clean, CUT + 30, TOP)) for x in (audio.samples, found))
    # 15 dB down on the mean, 0.82 of the amplitude is lacking; of 0.7 of that made up for, 4.5 dB, 0.41 is.
    assert after < 0.65 * before
    # Below nothing changes but by ringing of the edge.
    assert rms(band(found - audio.samples, 20, CUT - 30)) < 1e-3 * rms(audio.samples)


@pytest.mark.usefixtures("silent")
def test_of_draws_that_share_nothing_the_mean_is_silent_and_they_are_written_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Draws that are noise above the cut-off: their plain mean would have a quarter of its power."""

    def noise(damage: Any, *_: Any, draw: int = 0, **__: Any) -> torch.Tensor:
        hiss = 0.1 * torch.randn(damage.y.shape, generator=torch.Generator().manual_seed(draw))
        found: torch.Tensor = damage.operator.project(hiss, damage.y)
        return found

    monkeypatch.setattr("audiofix.repair.draw_restoration", noise)
    audio = recording()
    found = restore(audio, [LostBand(CUT)], source="speech", quality="fast", device="cpu", mean=True, draws=4)
    assert len(found.draws) == 4
    loud = [rms(band(draw.samples, TOP + 50, RATE / 2)) for draw in found.draws]
    assert min(loud) > 0.9 * max(loud) > 0
    # 1 / 4 of a draw's power is chance; of it nothing is left (tests/numerics/test_agreement.py), but at the ends.
    assert rms(band(found.audio.samples, TOP + 50, RATE / 2)) < 0.05 * min(loud)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("draws", [1, 4])
def test_from_the_disk_it_is_the_same(draws: int, tmp_path: Path) -> None:
    path, faults = written(tmp_path / "x.wav", RATE, 6.8, 1, same), [LostBand(CUT)]
    found, _ = from_disk(path, faults, tmp_path / "disk", quality="fast", mean=True, draws=draws)
    from audiofix.audio.files import read_audio

    audio = read_audio(path)
    whole = given(audio, faults, mean=True, draws=draws)
    # The filters differ within 16 Hz of their edges, two of which bound a slope of 158 Hz.
    assert rms(band(found - whole, CUT + 30, TOP - 30)) < 0.03 * rms(band(audio.samples, CUT + 30, TOP - 30))
    assert rms(band(found, CUT + 30, TOP - 30)) > 0.9 * rms(band(audio.samples, CUT + 30, TOP - 30))
