"""A chain walked by steps over a whole file, section by section: on disk, by several processes, to be resumed.

The numbers are those of `separation.draw_posterior` or `restoration.draw_restoration` on the whole file, because
noise is keyed by place, and every step sees as many samples beyond a section as its scores depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from audiofix.errors import DivergenceError
from audiofix.numerics.rng import NoiseFor, unit_noise
from audiofix.numerics.schedule import Schedule
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.numerics.windows import Chunk, even_cuts
from audiofix.operators.mixture import Mixture
from audiofix.posterior import ScoreFn
from audiofix.runtime.checkpoint import Reached, Trail
from audiofix.runtime.ranks import UNIT, Ranks, divide, shares
from audiofix.runtime.stores import MakeStore, Store, in_memory
from audiofix.samplers.base import Info, State
from audiofix.separation import SAMPLERS, Callback

Span = tuple[int, int]  # samples [left, right) of the file
FURTHEST = max(preset.reach for preset in SAMPLERS.values())


@dataclass(frozen=True)
class Route:
    """What is walked: a chain of SAMPLERS, its ladder, and which draw of which seed."""

    sampler: str
    schedule: Schedule
    seed: int
    draw: int = 0

    def noise(self, lead: tuple[int, int], span: Span) -> NoiseFor:
        """Unit noise of level and step for samples [left, right), as `noise_source` has it for the whole file."""
        left, right = span

        def noise(level: int, step: int) -> Tensor:
            return unit_noise((*lead, right - left), self.seed, self.draw, level + 1, step, start=left)

        return noise


@dataclass(frozen=True)
class Ground:
    """Where it is walked: the file's length, how much at a time, by whom, and where the states lie.

    halo: samples on each side that a score depends on, a multiple of `grid`, which networks count in; wide_halo:
    those that an estimate depends on. unit: sections and processes' parts begin at multiples of it, a multiple of
    `grid`. section: samples worked on at once, None for all; a halo of None: no sections are possible, and one
    process does all.
    """

    length: int
    known_halo: int | None
    known_wide_halo: int | None
    grid: int
    wanted_section: int | None = None
    ranks: Ranks = field(default_factory=Ranks)
    make: MakeStore = in_memory
    unit: int = UNIT

    @property
    def whole(self) -> bool:
        """Whether the file cannot be cut."""
        return self.known_halo is None or self.known_wide_halo is None or self.unit % self.grid != 0

    @property
    def halo(self) -> int:
        """Samples on each side that a score depends on."""
        return self.length if self.known_halo is None else self.known_halo

    @property
    def wide_halo(self) -> int:
        """Samples on each side that an estimate depends on."""
        return self.length if self.known_wide_halo is None else self.known_wide_halo

    @property
    def least(self) -> int:
        """Samples of a process's part at least: no step looks further than that."""
        return self.length if self.whole else FURTHEST * self.halo

    @property
    def shares(self) -> int:
        """How many processes could have a part of the file."""
        return shares(self.length, self.least, self.unit)

    @property
    def stretches(self) -> list[Span]:
        """Each process's part of the file."""
        return divide(self.length, self.ranks.size, self.least, self.unit, 0 if self.whole else self.halo)

    @property
    def stretch(self) -> Span:
        """The part of the process that asks."""
        return self.stretches[self.ranks.rank]

    def store(self, channels: int, sources: int) -> Store:
        """An empty store for this process's part."""
        return self.make((channels, sources), *self.stretch)

    def sections(self, pad: int) -> list[Chunk]:
        """Equal sections of the process's part, each with `pad` samples on both sides or up to the file's ends."""
        begin, end = self.stretch
        if begin == end:
            return []
        cells = -(-(end - begin) // self.unit)
        most = (
            cells if self.whole or self.wanted_section is None else max(1, self.wanted_section // self.unit)
        )
        cuts = [min(begin + self.unit * cut, end) for cut in even_cuts(cells, -(-cells // most))]
        return [
            Chunk(start, stop, max(0, (start - pad) // self.grid * self.grid), min(self.length, stop + pad))
            for start, stop in pairwise(cuts)
        ]

    def with_edges(self, store: Store, pad: int) -> Store:
        """The store and what the neighbours have next to it."""
        return self.ranks.edges(store, pad, self.stretches)

    def each(self, work: Callable[[Chunk], Tensor], into: Store, pad: int) -> Store:
        """Fill a store: `work` gives (channel, source, right - left) for a section with its surroundings."""
        for part in self.sections(pad):
            into.write(part.start, work(part)[..., part.inner])
        return into


@dataclass(frozen=True)
class Walk:
    """A chain and its ground: the mixture (channel, 1, time), and the score of its sources.

    score: what works out the score of samples [left, right) of the file, of which [start, stop) is looked at.
    summed: whether estimates are made to add up to the mixture; else the score alone knows what was recorded.
    """

    route: Route
    ground: Ground
    mixture: Store
    score: Callable[[Chunk], ScoreFn]
    summed: bool = True

    @property
    def steps(self) -> int:
        """Steps of the chain, without the last denoising."""
        preset = SAMPLERS[self.route.sampler]
        return preset.calls(self.route.schedule) // preset.reach or 1

    def begin(self, start: Store | None, sources: int) -> Store:
        """The first state: a clean guess, or equal shares of the mixture, and noise of the first level."""
        sigma, channels = self.route.schedule.sigmas[0], len(self.mixture.read(0, 0))

        def work(part: Chunk) -> Tensor:
            y = self.mixture.read(*part.span)
            guess = Mixture().start(y, sources) if start is None else start.read(*part.span)
            return guess + sigma * self.route.noise((channels, sources), part.span)(-1, 0).to(guess)

        return self.ground.each(work, self.ground.store(channels, sources), 0)

    def step(self, done: int, state: Store, into: Store, told: Callable[[State, Info], None]) -> Store:
        """One step from `state`, after `done` others, written to `into`. Raises DivergenceError."""
        preset, schedule = SAMPLERS[self.route.sampler], self.route.schedule
        pad = min(preset.reach * self.ground.halo, self.ground.length)
        edged = self.ground.with_edges(state, pad)

        def work(part: Chunk) -> Tensor:
            x, y = edged.read(*part.span), self.mixture.read(*part.span)
            noise = self.route.noise((x.shape[0], x.shape[1]), part.span)
            # Where a step asks for several scores, the first ones are wanted around the section too.
            score = self.score(part.widened((preset.reach - 1) * self.ground.halo))
            project = (lambda clean: Mixture().project(clean, y)) if self.summed else None
            chain = preset.walk(x, score, schedule, noise, project, begin=done)
            state, info = next(chain)
            told(state, info)
            return state.x

        return self.ground.each(work, into, pad)

    def end(self, state: Store, into: Store) -> Store:
        """Take out the noise of the last level, and make the sources add up: a clean draw."""
        last = self.route.schedule.sigmas[-1]
        edged = self.ground.with_edges(state, self.ground.halo)

        def work(part: Chunk) -> Tensor:
            x = edged.read(*part.span)
            clean = denoised_from_score(x, self.score(part)(x, last), last)
            return Mixture().project(clean, self.mixture.read(*part.span)) if self.summed else clean

        return self.ground.each(work, into, self.ground.halo)


def march(
    walk: Walk,
    start: Store | None,
    sources: int,
    *,
    trail: Trail | None = None,
    kept: Mapping[str, Store] | None = None,
    callback: Callback | None = None,
) -> Store:
    """One draw of the sources given their sum, (channel, source, time) of this process's part of the file.

    start: a clean first guess, for this process's part, or None. trail: where the run saves itself, and goes on
    from where it was saved in this very draw; kept: what has to be saved beside the state. Calls back after every
    step of a section. Raises DivergenceError, DeviceError (a process was lost), OutputError (cannot be saved).
    """
    ground, reached = walk.ground, trail.found() if trail else None
    done = reached.done if reached is not None and reached.draw == walk.route.draw else 0
    if trail is not None and done:
        state = ground.store(len(walk.mixture.read(0, 0)), sources)
        trail.fill("state", state)
    else:
        state, done = walk.begin(start, sources), 0
    spare = ground.store(*state.read(state.start, state.start).shape[:2])
    count = max(1, len(ground.sections(0)))
    for step in range(done, walk.steps):
        told = _teller(callback, step, count)
        diverged, saving = None, False
        try:
            walk.step(step, state, spare, told)
        except DivergenceError as error:
            diverged = error
        except KeyboardInterrupt:
            if trail is not None and ground.ranks.size == 1 and step > done:
                trail.save(Reached(walk.route.draw, step), {**(kept or {}), "state": state})
            raise
        saving = trail is not None and ground.ranks.first and trail.due()
        failed, saving = ground.ranks.agree(diverged is not None, saving)
        if failed:
            raise diverged or DivergenceError("another process's part diverged; halve --step-scale")
        state, spare = spare, state
        if saving and trail is not None:
            trail.save(Reached(walk.route.draw, step + 1), {**(kept or {}), "state": state})
    return walk.end(state, spare)


def _teller(callback: Callback | None, step: int, count: int) -> Callable[[State, Info], None]:
    """Looks at every section's state, and counts sections as parts of a step for whoever watches."""
    seen = 0

    def told(state: State, info: Info) -> None:
        nonlocal seen
        seen += 1
        if not torch.isfinite(state.x).all():
            raise DivergenceError(
                f"diverged at level {state.level + 1}, step {state.step + 1} (sigma {info.sigma:.4g}); "
                "halve --step-scale, or use more --levels"
            )
        if callback is not None:
            callback(state, Info(info.sigma, info.step_size, step * count + seen, info.total * count))

    return told
