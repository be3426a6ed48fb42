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


def test_of_draws_that_share_nothing_hardly_anything_is_left() -> None:
    """Of K draws of unit variance the mean has 1 / K. The share that is kept is an estimate of zero: chance over
    power of some 70 independent bins (9 by 33, of which neighbours overlap four times), so off by 1 / sqrt(70),
    and half of those are clamped: its square is about 1 / 140 of the mean's power. Three times that is allowed."""
    count = 8
    found = power(whole(noise(count, 1, TIME)))
    assert found < 3 / 140 / count
    assert power(noise(count, 1, TIME).mean(dim=0)) > 0.9 / count


def test_of_normal_draws_it_errs_as_the_best_share_of_the_mean_does() -> None:
    """Posterior N(m, s^2) with m of variance v: draws m + s n. The share v / (v + s^2 / K) of the mean errs least;
    the plain mean errs by s^2 / K more than the posterior mean, the best share by v (s^2 / K) / (v + s^2 / K)."""
    count, spread, told = 4, 1.0, 0.5
    middle = told * noise(1, TIME, seed=1)
    draws = middle + spread * noise(count, 1, TIME, seed=2)
    chance, v = spread**2 / count, told**2
    best = v * chance / (v + chance)
    error = power(whole(draws) - middle)
    # The share is found from some 70 independent bins: 1 / 70 of the power more at most, several times allowed.
    assert best * 0.9 < error < best + 5 / 70 * (v + chance)
    assert power(draws.mean(dim=0) - middle) == pytest.approx(chance, rel=0.1)
    assert error < 0.6 * chance


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
    draws = noise(4, 1, TIME)
    at = 20000
    other = draws.clone()
    other[0, 0, at] += 10
    moved = (whole(other) - whole(draws))[0].abs()
    assert moved[: at - REACH].max() < 1e-6
    assert moved[at + REACH + 1 :].max() < 1e-6
    assert moved[at] > 0.01


def test_nothing_is_nothing() -> None:
    assert agreed(within(noise(4, 1, 100), 0), 50, 50).shape == (1, 0)
