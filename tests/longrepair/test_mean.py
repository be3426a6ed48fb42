"""The mean of what a missing band may be keeps what the recording's own filter left above the cut-off."""

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
def test_of_silent_highs_the_mean_is_the_recording_up_to_the_slope_and_silence_above() -> None:
    audio = recording()
    found = given(audio, [LostBand(CUT)], mean=True, draws=2)
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


@pytest.mark.usefixtures("silent")
def test_from_the_disk_it_is_the_same(tmp_path: Path) -> None:
    path, faults = written(tmp_path / "x.wav", RATE, 6.8, 1, same), [LostBand(CUT)]
    found, _ = from_disk(path, faults, tmp_path / "disk", quality="fast", mean=True)
    from audiofix.audio.files import read_audio

    audio = read_audio(path)
    whole = given(audio, faults, mean=True)
    # The filters differ within 16 Hz of their edges, two of which bound a slope of 158 Hz.
    assert rms(band(found - whole, CUT + 30, TOP - 30)) < 0.03 * rms(band(audio.samples, CUT + 30, TOP - 30))
    assert rms(band(found, CUT + 30, TOP - 30)) > 0.9 * rms(band(audio.samples, CUT + 30, TOP - 30))
