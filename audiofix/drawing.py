"""Estimate and draws of a mixture's sources: in memory or on disk, by one process or several, new or resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from audiofix.marching import Ground, Route, Walk, march
from audiofix.numerics.windows import Chunk
from audiofix.posterior import ScoreFn
from audiofix.progress import Progress, teller
from audiofix.runtime.checkpoint import Reached, Trail
from audiofix.runtime.ranks import Ranks, pieces
from audiofix.runtime.stores import MakeStore, Store, in_memory
from audiofix.separation import mean_of_draws
from audiofix.setup import Setup


@dataclass(frozen=True)
class Place:
    """How a file is worked on.

    section: samples at the models' rate at a time, None for all; make: where states lie; checkpoints: folder in
    which a run saves itself from time to time; resume: whether to go on from what an equal run saved there.
    """

    ranks: Ranks = field(default_factory=Ranks)
    section: int | None = None
    make: MakeStore = in_memory
    checkpoints: Path | None = None
    resume: bool = False
    every: float = 30.0  # s between two savings

    def trail(self, key: str) -> Trail | None:
        """The run's checkpoints; those of earlier runs are gone unless it resumes."""
        if self.checkpoints is None:
            return None
        trail = Trail(self.checkpoints, key, self.ranks, self.every)
        if not self.resume:
            trail.forget()
        self.ranks.agree(False)  # before anybody saves
        return trail


@dataclass(frozen=True)
class Drawn:
    """A process's part of the separator's estimate, None without one, and of each draw, and their ground.

    `resumed`: what an earlier run had reached.
    """

    estimate: Store | None
    draws: list[Store]
    ground: Ground
    resumed: Reached | None = None

    def mean(self, blend: float) -> Store:
        """The mean of the draws, with a share of the estimate: `separation.mean_of_draws`."""
        estimate = self.estimate

        def work(part: Chunk) -> Tensor:
            own = None if estimate is None else estimate.read(*part.span)
            return mean_of_draws([draw.read(*part.span) for draw in self.draws], own, blend)

        first = self.draws[0]
        return self.ground.each(work, self.ground.store(*first.read(first.start, first.start).shape[:2]), 0)

    def collect(self, store: Store) -> Store:
        """All of it, in the first process; nothing in the others. Where there is one process, the store itself."""
        if self.ground.ranks.size == 1:
            return store
        lead = store.read(store.start, store.start).shape[:2]
        whole = self.ground.make((lead[0], lead[1]), 0, self.ground.length if self.ground.ranks.first else 0)
        self.ground.ranks.collect(store, whole, self.ground.stretches)
        return whole


def ground_of(setup: Setup, length: int, place: Place) -> Ground:
    """How a file of `length` samples at the models' rate is cut among processes, and into sections."""
    return Ground(
        length, setup.halo, setup.wide_halo, setup.grid, place.section, place.ranks, place.make, setup.unit
    )


def draw_all(
    setup: Setup,
    mixture: Store,
    sources: int,
    *,
    draws: int,
    seed: int,
    init: Store | None = None,
    place: Place | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Drawn:
    """Draw the sources (channel, source, time) of a mixture (channel, 1, time) at the models' rate and level.

    init: a guess from elsewhere to start from, instead of a separator's. Without a chain the one draw is the
    estimate. Raises DivergenceError, DeviceError, OutputError.
    """
    place = place or Place()
    channels = len(mixture.read(0, 0))
    ground = ground_of(setup, mixture.stop, place)

    def over(work: Callable[[Tensor, Chunk], Tensor | None]) -> Store:
        """What a network says of the mixture alone."""

        def section(part: Chunk) -> Tensor:
            found = work(mixture.read(*part.span)[:, 0], part)
            if found is None:
                raise ValueError("no network for this")
            return found

        return ground.each(section, ground.store(channels, sources), ground.wide_halo)

    start = init
    if init is None and setup.posterior is not None and setup.choice.estimate:
        start = over(lambda mix, part: setup.estimate(mix, sources, part))
    if setup.schedule is None:
        if start is None:
            raise ValueError("without a chain there must be an estimate")
        return Drawn(start, [start], ground)
    hint = over(setup.hint) if setup.hints else None
    hinted = ground.with_edges(hint, ground.halo) if hint is not None else None

    def score(part: Chunk) -> ScoreFn:
        shown = hinted.read(*part.span) if hinted is not None else None
        return setup.score(mixture.read(*part.span)[:, 0], shown, part)

    trail = place.trail(_key(setup, mixture, init, draws, seed))
    reached = trail.found() if trail else None
    done: list[Store] = []
    for index in range(draws):
        kept: dict[str, Store] = {f"draw{i}": store for i, store in enumerate(done)}
        if trail is not None and reached is not None and index < reached.draw:
            done.append(ground.store(channels, sources))
            trail.fill(f"draw{index}", done[-1])
            continue
        route = Route(setup.sampler, setup.schedule, seed, index)
        done.append(
            march(
                Walk(route, ground, mixture, score),
                start,
                sources,
                trail=trail,
                kept=kept,
                callback=teller(progress, index, draws, setup.schedule),
            )
        )
    return Drawn(start, done, ground, reached)


def _key(setup: Setup, mixture: Store, init: Store | None, draws: int, seed: int) -> str:
    """Names a run by all that its numbers follow from."""
    facts = [setup.described(), setup.schedule, setup.sampler, setup.choice, setup.bf16, draws, seed]
    found = hashlib.sha256(repr(facts).encode())
    for store in (mixture, *([] if init is None else [init])):
        for start, stop in pieces(0, store.stop):
            found.update(store.read(start, stop).contiguous().numpy().tobytes())
    return found.hexdigest()
