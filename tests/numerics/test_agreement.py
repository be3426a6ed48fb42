"""What draws agree on: all of it where they are one, next to nothing where they share but their power."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.numerics import agreement
from audiofix.numerics.agreement import BLOCK, HOP, REACH, agreed
from audiofix.operators.local import within

TIME = 40000


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def whole(draws: Tensor) -> Tensor:
    return agreed(within(draws, 0), 0, draws.shape[-1])


def power(x: Tensor) -> float:
    return float(x[:, REACH:-REACH].double().square().mean())


def test_draws_that_are_one_are_their_own_mean() -> None:
    one = noise(2, TIME)
    # Share 1 everywhere; a transform and its inverse in float32.
    assert (whole(one.expand(5, 2, TIME)) - one).abs().max() < 1e-5


def test_of_draws_that_share_nothing_nothing_is_left() -> None:
    """Of K draws of unit variance the mean has 1 / K. Chance over power is 1, found from some 70 independent bins
    (9 by 33, of which neighbours overlap four times) to within 0.12: four times that leaves something."""
    count = 8
    assert power(whole(noise(count, 1, TIME))) < 1e-6 / count
    assert power(noise(count, 1, TIME).mean(dim=0)) > 0.9 / count


@pytest.mark.parametrize("told", [0.3, 0.5, 1.0, 3.0])
def test_of_normal_draws_it_errs_as_the_mean_does_or_as_silence_whichever_is_less(told: float) -> None:
    """Posterior N(m, s^2) with m of variance v: draws m + s n. With c = s^2 / K the share g = (v - c) / (v + c)
    errs by (1 - g)^2 v + g^2 c = c, and none by v. The share is found from some 70 bins; off by d it errs by
    d^2 (v + c) more on the mean, and d is 2 c / (v + c) / sqrt(70) or less."""
    count, spread = 4, 1.0
    middle = told * noise(1, TIME, seed=1)
    draws = middle + spread * noise(count, 1, TIME, seed=2)
    chance, v = spread**2 / count, told**2
    error = power(whole(draws) - middle)
    less = (2 * chance / (v + chance)) ** 2 / 70 * (v + chance)
    assert power(draws.mean(dim=0) - middle) == pytest.approx(chance, rel=0.1)
    # Some bins' worth of slack in either direction, and 15 % for shares that follow the noise.
    assert error == pytest.approx(min(v, chance), rel=0.15, abs=3 * less)


@pytest.mark.parametrize("cut", [1, HOP, 12345, 30001])
def test_stretches_agree(cut: int) -> None:
    draws = noise(4, 1, TIME) + noise(1, TIME, seed=3)
    read = within(draws, 0)
    parts = torch.cat([agreed(read, 0, cut), agreed(read, cut, TIME)], dim=1)
    assert parts.shape == (1, TIME)
    assert (parts - whole(draws)).abs().max() < 1e-5


def test_blocks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = noise(4, 1, TIME) + noise(1, TIME, seed=3)
    once = whole(draws)
    assert TIME < BLOCK
    monkeypatch.setattr(agreement, "BLOCK", 50 * HOP)
    assert (whole(draws) - once).abs().max() < 1e-5


def test_it_reaches_no_further_than_it_says() -> None:
    draws = noise(4, 1, TIME) + noise(1, TIME, seed=3)
    at = 20000
    other = draws.clone()
    other[0, 0, at] += 10
    moved = (whole(other) - whole(draws))[0].abs()
    assert moved[: at - REACH].max() < 1e-6
    assert moved[at + REACH + 1 :].max() < 1e-6
    assert moved[at] > 0.01


def test_nothing_is_nothing() -> None:
    assert agreed(within(noise(4, 1, 100), 0), 50, 50).shape == (1, 0)
