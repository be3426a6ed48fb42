"""The mean over views of a mixture: played, inverted and brought back, in parts as in the whole."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from audiofix.numerics.windows import Chunk
from audiofix.separation import FOUR, QUALITIES, TWO, mean_over_views, wider

PERIOD, REACHED = 8, 40  # samples of a network's frame, and as far as the network below looks
SPEEDS = [TWO, FOUR, (Fraction(1),), (Fraction(5, 4), Fraction(7, 8), Fraction(1))]
LENGTH = 3000


def mixture() -> Tensor:
    return torch.randn(2, LENGTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def separate(view: Tensor, there: Chunk) -> Tensor:
    """One source is a sum of neighbours weighted by where in its frame a sample is, the other is the rest."""
    assert view.shape[-1] == there.right - there.left
    assert there.left % PERIOD == 0
    assert there.left <= there.start <= there.stop <= there.right
    places = torch.arange(there.left, there.right)
    first = 0.3 * view * (1 + places % PERIOD)
    for shift in (REACHED, -REACHED):
        near = torch.roll(view, shift, -1)
        near[..., slice(0, shift) if shift > 0 else slice(shift, None)] = 0
        first = first + 0.1 * near**2  # an even function: inverted views say something else
    wanted = torch.zeros(first.shape[-1], dtype=torch.bool)
    wanted[there.inner] = True
    return torch.stack([first, view - first], dim=1) * wanted


@pytest.mark.parametrize("speeds", SPEEDS)
@pytest.mark.parametrize("part", [(0, 700), (40, 1600), (1608, LENGTH), (2000, 2001), (2992, LENGTH)])
def test_a_part_has_the_bits_of_the_whole(speeds: tuple[Fraction, ...], part: tuple[int, int]) -> None:
    whole, (start, stop) = mean_over_views(separate, mixture(), speeds, PERIOD), part
    halo = wider(REACHED, speeds)
    left, right = max(0, (start - halo) // PERIOD * PERIOD), min(LENGTH, stop + halo)
    found = mean_over_views(
        separate, mixture()[:, left:right], speeds, PERIOD, Chunk(start, stop, left, right)
    )
    assert found.shape == (2, 2, right - left)
    assert torch.equal(found[..., start - left : stop - left], whole[..., start:stop])
    if speeds != (Fraction(1),) or (left, right) == (0, LENGTH):
        return
    # With less around it, it has not.
    near = max(0, (start - REACHED + PERIOD) // PERIOD * PERIOD), min(LENGTH, stop + REACHED - PERIOD)
    less = mean_over_views(separate, mixture()[:, slice(*near)], speeds, PERIOD, Chunk(start, stop, *near))
    assert not torch.equal(less[..., start - near[0] : stop - near[0]], whole[..., start:stop])


@pytest.mark.parametrize("speeds", SPEEDS)
def test_sources_add_up(speeds: tuple[Fraction, ...]) -> None:
    mix = mixture()
    assert (mean_over_views(separate, mix, speeds, PERIOD).sum(dim=1) - mix).abs().max() < 1e-12


@pytest.mark.parametrize("speeds", SPEEDS)
def test_what_is_split_in_shares_comes_back(speeds: tuple[Fraction, ...]) -> None:
    """A separator without memory or frames says the same of every view, but for what a played band has lost."""
    time = torch.arange(LENGTH, dtype=torch.float64)
    mix = torch.sin(0.3 * math.pi * time)[None]

    def shared(view: Tensor, _there: Chunk) -> Tensor:
        return torch.stack([0.75 * view, 0.25 * view], dim=1)

    found = mean_over_views(shared, mix, speeds, PERIOD)
    error = found - torch.stack([0.75 * mix, 0.25 * mix], dim=1)
    assert (
        error[..., 200:-200].abs().max() < 6e-4
    )  # ripples of two low-passes: tests/operators/test_speeds.py


def test_every_other_view_is_inverted() -> None:
    signs = []

    def heard(view: Tensor, _there: Chunk) -> Tensor:
        signs.append(float(view[0, 5].sign()))
        return torch.stack([view, torch.zeros_like(view)], dim=1)

    mean_over_views(heard, torch.ones(1, 4000), FOUR, PERIOD)
    assert signs == [1, -1, 1, -1]


def test_no_views_are_no_estimate() -> None:
    with pytest.raises(ValueError, match="at least one view"):
        mean_over_views(separate, mixture(), (), PERIOD)


@pytest.mark.parametrize("quality", [name for name, one in QUALITIES.items() if one.estimate])
def test_speeds_are_no_further_off_than_training_transposes(quality: str) -> None:
    """Voices and pianos alike, by up to three semitones: models/recipes/speech-piano.toml."""
    assert all(abs(math.log2(speed)) <= 3 / 12 for speed in QUALITIES[quality].views)
