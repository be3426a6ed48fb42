"""Files that add up, also where only rounding goes over full scale."""

from __future__ import annotations

import pytest
import torch

from audiofix.cli.output import adding_up
from audiofix.types import Audio


def audio(*values: float) -> Audio:
    return Audio(torch.tensor([values], dtype=torch.float64).float() / 32768, 16000, subtype="PCM_16")


@pytest.mark.parametrize("want_residual", [True, False, None])
def test_a_peak_that_only_rounding_lifts_ends_in_float(want_residual: bool | None) -> None:
    """Two stems round up, so the third must take one step more than 16 bits hold; unrounded it would fit."""
    mixture = audio(2768.0, 0.0)
    stems = {"a": audio(-14999.6, 0.0), "b": audio(-14999.6, 0.0), "c": audio(32767.2, 0.0)}
    files = adding_up(mixture, stems, audio(0.0, 0.0), [], want_residual)
    subtypes = {one.subtype for one in files.audio.values()}
    assert len(subtypes) == 1
    total = sum(one.samples.double() for one in files.audio.values())
    assert torch.allclose(total, mixture.samples.double(), atol=1e-7)
