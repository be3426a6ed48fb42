"""`best` upsampling gives what its draws have in common; what is known below the cut-off stays."""

from __future__ import annotations

import pytest
import torch

import audiofix
from audiofix.damages import LostBand
from audiofix.numerics.metrics import log_spectral_distance
from audiofix.operators.band import Band
from audiofix.tools import EFFORTS, Effort
from audiofix.types import Audio

RATE, CUT = 16000, 4000.0


@pytest.fixture(autouse=True)
def _few_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    for quality in EFFORTS:
        monkeypatch.setitem(EFFORTS, quality, Effort(2, 2, 2))


def recording(seconds: float = 0.2) -> Audio:
    generator = torch.Generator().manual_seed(0)
    return Audio(0.1 * torch.randn(1, round(seconds * RATE), generator=generator), RATE)


def low(x: torch.Tensor) -> torch.Tensor:
    """Below 3.5 kHz, well under the cut-off and its roll-off."""
    down, up = Band(RATE, 7000), Band(7000, RATE)
    return up.forward(down.forward(x[:, None]))[:, 0]


@pytest.mark.usefixtures("tiny_models")
def test_best_is_typical_of_its_draws_and_keeps_the_band() -> None:
    given = recording()
    found = audiofix.restore(given, [LostBand(CUT)], source="speech", quality="best", draws=3, device="cpu")
    assert found.report["settings"]["typical"] is True
    assert len(found.draws) == 3
    # Nearer to the draws than they are to each other.
    one, two, three = (draw.samples[0] for draw in found.draws)
    between = [log_spectral_distance(*pair) for pair in ((one, two), (one, three), (two, three))]
    reached = [log_spectral_distance(found.audio.samples[0], draw) for draw in (one, two, three)]
    assert max(reached) < min(between)
    inner = slice(800, -800)
    for draw in (found.audio, found.draws[1]):
        kept = low(draw.samples - given.samples)[:, inner]
        assert float(kept.square().mean()) < 1e-6 * float(given.samples.square().mean())


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("settings", "count"),
    [({"quality": "best", "mean": False}, 0), ({"quality": "fast", "draws": 2}, 2), ({"quality": "fast"}, 0)],
)
def test_others_give_their_first_draw(settings: dict, count: int) -> None:
    found = audiofix.restore(recording(), [LostBand(CUT)], source="speech", device="cpu", **settings)
    assert found.report["settings"]["typical"] is False
    assert len(found.draws) == count
    if count:
        assert torch.equal(found.audio.samples, found.draws[0].samples)
