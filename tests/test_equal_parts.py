"""Who works out what: samples that go through networks, by processes, and the same bits for any number of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from audiofix.drawing import Place, draw_all, ground_of
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.priors.score_network import MixturePosterior, ScorePrior
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.runtime import launch
from audiofix.runtime.executor import Executor
from audiofix.runtime.ranks import UNIT, Edged, Ranks, Stretch
from audiofix.runtime.stores import Memory, Store
from audiofix.separation import QUALITIES
from audiofix.setup import CHUNK, HALOS, Setup
from tests.hub.tiny import TINY_MIXER, drawn_mixer, tiny_net

RATE, HALO, GRID = 16000, 35328, 512  # of the shipped mixers
CPU = torch.device("cpu")


@dataclass
class Table:
    """Where processes that are threads lay what the others may read."""

    size: int
    stores: dict[int, Store] = field(default_factory=dict)
    told: list[tuple[bool, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=60)


@dataclass(frozen=True)
class Threads(Ranks):
    """Ranks that are threads of one process: what gloo would carry lies on a table."""

    table: Table = field(default_factory=lambda: Table(1))

    def edges(self, store: Store, pad: int, stretches: Sequence[Stretch]) -> Store:
        self.table.stores[self.rank] = store
        self.table.barrier.wait()
        (start, stop), length = stretches[self.rank], stretches[-1][1]
        left = right = None
        if start > 0 and stop > start:
            before = self.table.stores[self.rank - 1]
            assert before.stop - before.start >= pad  # no one looks further than the neighbour
            left = before.read(start - pad, start).clone()
        if stop < length:
            after = self.table.stores[self.rank + 1]
            right = after.read(stop, min(stop + pad, after.stop)).clone()
        self.table.barrier.wait()
        return Edged(store, left, right)

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        self.table.barrier.wait()
        return flags


def by_processes(size: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """What each of so many ranks gives."""
    table = Table(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: work(Threads(rank, size, table)), range(size)))


class Counts:
    """Prior and separator in one, of the shipped mixers' sizes: notes how many samples go through it."""

    sample_rate, sigmas, halo, grid = RATE, (1.0, 0.001), HALO, GRID

    def __init__(self, *, anywhere: bool = True) -> None:
        self.anywhere, self.seen = anywhere, list[int]()

    def score(self, x: Tensor, _sigma: float) -> Tensor:
        self.seen.append(x.shape[-1])
        return -x

    def denoise(self, x: Tensor, _y: Tensor, _sigma: float) -> Tensor:
        self.seen.append(x.shape[-1])
        return x


SCHEDULE = Schedule(geometric_sigmas(0.1, 0.015, 2), 1, 1.0)


def setup_of(priors: Sequence[Any], posterior: Any, sampler: str = "consistent", chunk: int = CHUNK) -> Setup:
    schedule = replace(SCHEDULE, step_scale=0.2 if sampler == "heun" else 1.0)
    choice = replace(QUALITIES["balanced"], views=(Fraction(31, 32), Fraction(33, 32)))
    executor = Executor(CPU, chunk, HALOS)
    return Setup("balanced", choice, (), tuple(priors), posterior, executor, schedule, sampler, bf16=False)


def counted(seconds: int, ranks: int, *, anywhere: bool = True) -> list[tuple[int, int]]:
    """For each process: samples through a source's prior for each score, through the separator for each view."""
    mixture = Memory(torch.zeros(1, 1, RATE * seconds))

    def work(rank: Ranks) -> tuple[int, int]:
        prior, other, separator = (Counts(anywhere=anywhere) for _ in range(3))
        draw_all(setup_of([prior, other], separator), mixture, 2, draws=1, seed=0, place=Place(rank))
        assert sorted(prior.seen) == sorted(other.seen)
        scores, views = len(SCHEDULE.sigmas) + 1, 2
        assert sum(prior.seen) % scores == 0
        return sum(prior.seen) // scores, sum(separator.seen) // views

    return by_processes(ranks, work)


@pytest.mark.parametrize(
    ("seconds", "ranks", "prior", "view"),
    [
        # Half a file each, in one chunk, with the halo where they meet; alone the same two chunks. A view's cells
        # are other ones than the file's, and the low-pass of its speed looks a little further.
        (30, 1, [480_000 + 2 * HALO], [480_000 + 2 * HALO]),
        (30, 2, [240_128 + HALO, 239_872 + HALO], [240_128 + HALO + 122, 239_872 + HALO + 256]),
        # Alone three chunks, which meet at two places; with two processes, four at three.
        (45, 1, [720_000 + 4 * HALO], [720_000 + 2 * HALO]),
        # Four chunks alone and two each.
        (60, 1, [960_000 + 6 * HALO], [960_000 + 4 * HALO]),
        (60, 2, [479_744 + 3 * HALO, 480_256 + 3 * HALO], None),
        # Those at the ends own a halo more than those in the middle, who pay for two.
        (60, 4, [257_536 + HALO, 222_208 + 2 * HALO, 222_208 + 2 * HALO, 258_048 + HALO], None),
    ],
)
def test_samples_through_the_networks(
    seconds: int, ranks: int, prior: list[int], view: list[int] | None
) -> None:
    """For a score of a source by its prior, and for a view of the separator's, slower and faster ones' mean."""
    found = counted(seconds, ranks)
    assert [own for own, _ in found] == prior
    assert view is None or [other for _, other in found] == view


def test_processes_share_the_work() -> None:
    """Samples alone, over those of the slowest of two processes twice: what sharing costs, machine left aside."""
    # Priors, then the separator, whose chunks are longer: a process too many cuts costs a halo on each side.
    for seconds, *least in ((30, 0.999, 0.998), (45, 0.92, 0.998), (60, 0.999, 0.93), (90, 0.95, 0.95)):
        (alone,), both = counted(seconds, 1), counted(seconds, 2)
        for kind in range(2):
            assert alone[kind] / (2 * max(one[kind] for one in both)) > least[kind]


def test_chunks_that_have_their_places_are_not_cut_anew() -> None:
    """Where bits depend on where chunks begin: multiples of five units, and what nobody looks at is left out."""
    assert counted(30, 1, anywhere=False)[0][0] == 480_000 + 2 * HALO
    found = [own for own, _ in counted(30, 2, anywhere=False)]
    assert found == [5 * UNIT + HALO, 480_000 - 5 * UNIT + HALO]


LENGTH = 12_011
SIZES = replace(TINY_MIXER, features=32, hidden=32, band_features=16, band_hidden=32)


def real(sampler: str, follow: str) -> Setup:
    """Tiny mixers of whole vectors, in chunks of 1,728 samples: their halo is 288."""
    priors = [ScorePrior(drawn_mixer(SIZES, seed), RATE, (1.0, 0.001)) for seed in (1, 2)]
    separator = MixturePosterior(
        drawn_mixer(replace(SIZES, inputs=3, outputs=2, recorded=1), 3), RATE, (1.0, 0.001)
    )
    return setup_of(priors if follow == "prior" else [], separator, sampler, 1000)


def drawn(setup: Setup, ranks: int, section: int | None = None) -> Tensor:
    """The mean of two draws of two channels, from all processes."""
    mixture = Memory(0.1 * torch.randn(2, 1, LENGTH, generator=torch.Generator().manual_seed(0)))

    def work(rank: Ranks) -> Tensor:
        found = draw_all(setup, mixture, 2, draws=2, seed=1, place=Place(rank, section)).mean(0.5)
        return found.read(found.start, found.stop)

    return torch.cat(by_processes(ranks, work), dim=-1)


@pytest.mark.parametrize(
    ("sampler", "follow"), [("consistent", "prior"), ("heun", "prior"), ("consistent", "separator")]
)
def test_any_number_of_processes_and_sections_gives_the_same_bits(sampler: str, follow: str) -> None:
    setup = real(sampler, follow)
    assert setup.unit == setup.grid == 32
    alone = drawn(setup, 1)
    assert alone.shape == (2, 2, LENGTH)
    for ranks, section in ((1, 5000), (2, None), (3, None), (5, 1024), (25, None)):
        assert torch.equal(drawn(setup, ranks, section), alone)
    assert torch.equal(drawn(replace(setup, executor=replace(setup.executor, chunk=7000)), 2), alone)


@pytest.mark.parametrize("fault", ["halo", "grid"])
def test_half_the_halo_and_half_the_grid_are_caught(fault: str) -> None:
    setup = real("consistent", "prior")
    alone = drawn(setup, 1)
    for prior in setup.priors:
        prior.halo, prior.grid = (96, 32) if fault == "halo" else (288 + 16, 16)  # type: ignore[misc]
    setup.posterior.grid = setup.priors[0].grid  # type: ignore[misc, union-attr]
    assert not torch.equal(drawn(setup, 3), alone)


def test_stretches_of_unequal_lengths() -> None:
    """A stretch's bounds are on the grid, the file's end where it is; the ones at the ends own a halo more."""
    ground = replace(ground_of(real("consistent", "prior"), LENGTH, Place()), ranks=Ranks(1, 3))
    assert ground.stretches == [(0, 4096), (4096, 7904), (7904, LENGTH)]
    assert ground.stretch == (4096, 7904)
    assert ground.shares == 376 // 18  # of cells of the grid, and of twice the halo in such
    assert replace(ground, length=900).stretches == [(0, 900), (900, 900), (900, 900)]


def test_who_may_cut_where() -> None:
    """A WaveNet among the networks, or a mixer with something left over beside whole vectors: units as before."""
    free = ScorePrior(drawn_mixer(SIZES), RATE, (1.0, 0.001))
    left_over = ScorePrior(drawn_mixer(TINY_MIXER), RATE, (1.0, 0.001))
    wavenet = WaveNetPrior({0.1: tiny_net()}, RATE, (1.0, 0.001))
    assert setup_of([free, free], None).unit == 32
    assert setup_of([free, left_over], None).unit == UNIT
    assert setup_of([free, wavenet], None).unit == UNIT


@pytest.mark.parametrize(("seconds", "expected"), [(1, 1), (8.8, 1), (9, 2), (30, 6), (3600, 8)])
def test_auto_takes_as_many_devices_as_have_work(
    seconds: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process's part is two halos of 2.208 s at least: less would be worked out twice over."""
    here = [*(f"cuda:{index}" for index in range(8)), "cpu"]
    monkeypatch.setattr(launch, "available_devices", lambda: here)
    setup = setup_of([Counts(), Counts()], Counts())
    asked: list[int] = []

    def shares() -> int:
        asked.append(ground_of(setup, round(seconds * RATE), Place()).shares)
        return asked[-1]

    assert launch.devices_for("auto", shares) == here[:expected]
    monkeypatch.setattr(launch, "available_devices", lambda: here[-2:])
    assert launch.devices_for("auto", shares) == ["cuda:7"]
    assert launch.devices_for("cpu:3", shares) == ["cpu"] * 3
    assert len(asked) == 1  # what was named is taken, and one device needs no count
