"""How much of the chain's answer there is beside the consistent sparse signal."""

from __future__ import annotations

import pytest
import torch

from audiofix.damages import Cut, Rounded
from audiofix.guesses import sparse_guess
from audiofix.repair import restore
from audiofix.tools import CLIP_SHARE, MOST_SHARE, QUANTISE_SHARE, share_beside_sparse
from audiofix.types import Audio


@pytest.mark.parametrize(
    ("bits", "share"), [(2, QUANTISE_SHARE), (4, QUANTISE_SHARE), (6, 0.73), (7.5, 0.8275), (12, MOST_SHARE)]
)
def test_finer_steps_leave_more_to_the_prior(bits: float, share: float) -> None:
    step = 2 ** (1 - bits)
    assert share_beside_sparse(Rounded(step), 1.0) == pytest.approx(share)
    # It is the step at the working level that counts.
    assert share_beside_sparse(Rounded(step / 8), 8.0) == pytest.approx(share)


def test_clipping_has_one_share() -> None:
    assert share_beside_sparse(Cut(-0.5, 0.5), 2.0) == CLIP_SHARE


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize("bits", [4, 8])
def test_the_share_is_taken(bits: int) -> None:
    """`fast` gives the call alone, `balanced` the same call in its mean with the sparse signal."""
    step = 2.0 ** (1 - bits)
    noise = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    given = Audio((noise / step).round() * step, 16000)
    each = {
        quality: restore(given, [Rounded(step)], source="speech", quality=quality, device="cpu")
        for quality in ("fast", "balanced")
    }
    assert each["fast"].report["schedule"] == each["balanced"].report["schedule"]
    sparse = sparse_guess(given.samples, 16000, [Rounded(step)])
    assert sparse is not None
    gain = 10 ** (each["fast"].report["working_gain_db"] / 20)
    share = share_beside_sparse(Rounded(step), gain)
    expected = torch.lerp(sparse, each["fast"].audio.samples, share)
    # Every sample stays within its step: what rounding of float32 puts outside comes back to its edge.
    assert float((each["balanced"].audio.samples - expected).abs().max()) < 1e-6
