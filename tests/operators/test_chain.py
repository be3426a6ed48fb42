"""Chains of operators: pointwise ones compose exactly, others come nearer with each round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, permutations

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.operators.band import Band
from audiofix.operators.base import Projects, Restorable
from audiofix.operators.chain import ROUNDS, Added, Chain
from audiofix.operators.clip import Clip
from audiofix.operators.gap import Gap
from audiofix.operators.quantise import Quantise
from tests.operators.test_laws import random

EPS = torch.finfo(torch.float64).eps
TIME = 480
GAP = Gap((torch.arange(TIME) // 30) % 4 != 1)
# The levels are grid points: see `test_a_clip_between_two_grid_points_...`.
POINTWISE: tuple[Restorable, ...] = (Clip(-0.5, 0.75), Quantise(0.125), GAP)
ONE: dict[str, Restorable] = {
    "band": Band(16000, 22050),
    "clip": Clip(-0.5, 0.75),
    "quantise": Quantise(0.125),
    "gap": GAP,
    "added": Added(random(1, 1, TIME, seed=9)),
}


def signal(seed: int = 0, time: int = TIME, dtype: torch.dtype = torch.float64) -> Tensor:
    """Loud enough that all faults leave their mark."""
    return (0.5 * random(2, 1, time, seed=seed)).to(dtype)


@pytest.mark.parametrize("name", ONE)
def test_a_chain_of_one_is_that_operator(name: str) -> None:
    operator = ONE[name]
    if isinstance(operator, Band):
        operator = Band(16000, 8000)
    chain, x = Chain([operator]), signal()
    y = operator.forward(signal(2))
    assert isinstance(chain, Projects)
    assert torch.equal(chain.forward(x), operator.forward(x))
    assert torch.equal(chain.pullback(x, y), operator.pullback(x, y))
    assert torch.equal(chain.project(x, y), operator.project(x, y))
    assert torch.equal(chain.start(y, 3), operator.start(y, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("some", [*permutations(POINTWISE, 2), *permutations(POINTWISE, 3)], ids=str)
def test_pointwise_operators_compose_exactly_in_one_round(
    some: Sequence[Restorable], dtype: torch.dtype
) -> None:
    chain = Chain(some, rounds=1)
    for seed in range(5):
        x, truth = signal(seed, dtype=dtype), signal(seed + 10, dtype=dtype)
        y = chain.forward(truth)
        solved = chain.project(x, y)
        assert solved.dtype == dtype
        assert torch.equal(chain.forward(solved), y)
        # Nothing moves a second time, but for the rounding of a box around what x itself rounds to.
        again = chain.project(solved, y)
        assert (again - solved).abs().max() <= 10 * torch.finfo(dtype).eps
        # The nearest sample by sample: no further than the truth, which explains y too, is from x.
        assert ((solved - x).abs() <= (truth - x).abs() + 10 * torch.finfo(dtype).eps).all()
    # Broken twin: the projections in the order in which things happened.
    if len(some) == 3:
        wrong = x
        for operator in some:
            wrong = operator.project(wrong, y)
        assert not torch.equal(wrong, solved)


def test_a_clip_between_two_grid_points_after_rounding_is_not_solved() -> None:
    """A known limit: half way up to the next grid point the projection stops, as the level is no grid point.

    No file is like this: its level, measured, is a grid point.
    """
    y = Chain([Quantise(0.3), Clip(-0.5, 0.5)]).forward(torch.tensor([[[0.7]]]))
    for rounds in (1, ROUNDS, 50):
        chain = Chain([Quantise(0.3), Clip(-0.5, 0.5)], rounds)
        assert chain.forward(chain.project(torch.zeros(1, 1, 1), y)) == pytest.approx(0.3)
    other = Chain([Clip(-0.5, 0.5), Quantise(0.3)])
    y = other.forward(torch.tensor([[[0.7]]]))
    assert torch.equal(other.forward(other.project(torch.zeros(1, 1, 1), y)), y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_added_is_taken_away(dtype: torch.dtype) -> None:
    rest = signal(3, dtype=dtype)
    added = Added(rest)
    x, y = signal(dtype=dtype), signal(1, dtype=dtype)
    assert torch.equal(added.forward(x), x + rest)
    assert torch.equal(added.pullback(x, y), y)
    assert torch.equal(added.project(x, y), y - rest)
    assert (added.forward(added.project(x, y)) - y).abs().max() <= 4 * torch.finfo(dtype).eps
    assert torch.equal(added.start(y, 3), (y - rest).expand(2, 3, TIME))


def upwards(time: int = TIME) -> list[Restorable]:
    """What restoring at a lower rate works with: up to the file's rate, the rest of it, what went wrong there."""
    band = Band(16000, 22050)
    heard = band.heard(320 * 3)
    known = torch.ones(heard, dtype=torch.bool)
    known[200:260] = False
    return [band, Added(0.1 * random(1, 1, heard, seed=4)), Clip(-0.5, 0.6), Gap(known)]


def test_pullback_is_the_derivative() -> None:
    chain = Chain(upwards())
    x = signal(time=960).requires_grad_(True)
    y = chain.forward(x)
    r = random(*y.shape, seed=1)
    (expected,) = torch.autograd.grad((y * r).sum(), x)
    found = chain.pullback(x.detach(), r)
    # Two FFTs of 1000 samples, as in test_band; no sample lies so near to a kink.
    assert (found - expected).norm() <= 42 * EPS * math.log2(4 * y.shape[-1]) * r.norm() * 2
    # Broken twin: the clip's slope where nothing is cut.
    band, added, _, gap = upwards()
    wrong = Chain([band, added, gap]).pullback(x.detach(), r)
    assert (wrong - expected).norm() > 0.01 * expected.norm()


def test_start_goes_back_through_all_of_them() -> None:
    chain = Chain(upwards())
    y = chain.forward(signal(time=960))
    begun = chain.start(y, 2)
    assert begun.shape == (2, 2, 960)
    band, added, _, gap = upwards()
    expected = band.start(added.start(gap.start(y, 2), 2), 2)
    assert torch.equal(begun, expected)


# Rounds.

BANDS = {
    "low-pass": Band(16000, 16000, 4000),
    "up": Band(16000, 22050),
    "down": Band(44100, 16000),
    "far up": Band(8000, 44100),
}


def last_operators(heard: int) -> dict[str, Restorable]:
    known = torch.ones(heard, dtype=torch.bool)
    known[heard // 3 : heard // 3 + heard // 10] = False
    return {
        "clip": Clip(-0.4, 0.3),
        "gap": Gap(known),
        "half lost": Gap(random(heard, seed=5) > 0),
        "quantise": Quantise(0.2),
    }


def distances(band: Band, last: Restorable, rounds: int, seed: int) -> list[float]:
    """How far A x is from what explains the recording, before the first round and after each."""
    time = max(1, 1600 // band.block) * band.block
    truth, x = 0.4 * random(2, 1, time, seed=seed), 0.4 * random(2, 1, time, seed=seed + 1)
    y = Chain([band, last]).forward(truth)
    found = []
    for _ in range(rounds + 1):
        heard = band.forward(x)
        found.append(float((last.project(heard, y) - heard).norm()))
        x = Chain([band, last], 1).project(x, y)
    return found


@pytest.mark.parametrize("name", ["clip", "gap", "half lost", "quantise"])
@pytest.mark.parametrize("kind", BANDS)
def test_after_a_band_each_round_leads_nearer(kind: str, name: str) -> None:
    """Distances to a convex set along alternating projections never grow (Bregman 1965).

    The rate depends on the angle between the sets. Measured here: the first round takes away 55 % (every other
    sample lost) to 99 % (one gap), each of the three others 9 to 61 %, mostly a quarter; four leave 0 to 13 %.
    """
    band = BANDS[kind]
    last = last_operators(band.heard(max(1, 1600 // band.block) * band.block))[name]
    many = distances(band, last, 20, seed=6)
    found = many[: ROUNDS + 1]
    rounding = 1e3 * EPS * found[0]
    assert all(later <= sooner + rounding for sooner, later in pairwise(found)), found
    assert found[1] < 0.5 * found[0], found
    assert found[-1] < 0.2 * found[0], found
    # More rounds than anyone would take come nearer still: there is a signal in all sets, the truth.
    assert many[-1] < 0.75 * found[-1]


def test_rounds_repeat_the_projection() -> None:
    chain = [BANDS["low-pass"], Clip(-0.4, 0.3)]
    x, y = signal(), Chain(chain).forward(signal(1))
    once = Chain(chain, 1)
    assert torch.equal(Chain(chain, 3).project(x, y), once.project(once.project(once.project(x, y), y), y))
    assert torch.equal(Chain(chain).project(x, y), Chain(chain, ROUNDS).project(x, y))
    assert not torch.equal(once.project(x, y), Chain(chain).project(x, y))


def test_what_explains_the_recording_already_hardly_moves() -> None:
    """The truth, by the rounding of a band there and back in each round."""
    chain = Chain(upwards())
    truth = signal(2, 960)
    y = chain.forward(truth)
    moved = chain.project(truth, y) - truth
    assert moved.norm() <= ROUNDS * 4 * 42 * EPS * math.log2(4 * y.shape[-1]) * truth.norm()


@hypothesis.settings(max_examples=5)
@hypothesis.given(st.integers(0, 99))
def test_all_that_restoring_chains_leads_nearer(seed: int) -> None:
    """As restoring does it: a band, a rest, a clip and a gap at another rate."""
    chain, x = upwards(), signal(seed, 960)
    y = Chain(chain).forward(signal(seed + 1, 960))
    states = [x, *(Chain(chain, rounds).project(x, y) for rounds in (1, 2, 4, 8))]
    found = [(Chain(chain).forward(state) - y).norm() for state in states]
    assert all(later < sooner for sooner, later in pairwise(found))
    assert found[3] < 0.1 * found[0]


@pytest.mark.parametrize(("operators", "rounds"), [([], 4), ([GAP], 0), ([GAP, GAP], -1), ((), 0)])
def test_bad_chains_are_refused(operators: Sequence[Restorable], rounds: int) -> None:
    with pytest.raises(SettingError, match=r"\Aa chain needs an operator and a round .* at least\Z"):
        Chain(operators, rounds)
