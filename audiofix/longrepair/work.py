"""Draws of a long recording at its own rate and level: `repair.Work`, in sections, on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.axes import along
from audiofix.damages import Fault, known_mask, scaled, shifted
from audiofix.drawing import Place
from audiofix.faults.background import background_among
from audiofix.faults.frames import Signal, power_of_parts
from audiofix.longrepair.damage import Known, known
from audiofix.longrepair.guesses import fill, without_noise
from audiofix.longrepair.lengths import Framed, filled, framed_stores, moved, reader
from audiofix.marching import Ground, Route, Walk, march
from audiofix.numerics.agreement import agreed
from audiofix.numerics.companding import LINEAR
from audiofix.numerics.rng import unit_noise
from audiofix.numerics.windows import Chunk
from audiofix.operators.band import Band
from audiofix.operators.gap import Gap
from audiofix.operators.local import LocalBand
from audiofix.operators.weighted import Weighted
from audiofix.posterior import ScoreFn
from audiofix.progress import Progress, teller
from audiofix.repair import HISS, Work, cutoff_of
from audiofix.restoration import restoring_score
from audiofix.runtime.ranks import Ranks
from audiofix.runtime.stores import Store


@dataclass(frozen=True)
class LongWork:
    """What is the same for the whole of a file. `key` names the run, for what it saves of itself."""

    work: Work
    place: Place
    key: str

    def draws(self, y: Store, finite: Store, faults: Sequence[Fault]) -> list[Store]:
        """Each draw of (channel, 1, time), at the file's rate and level; all of it in the first process."""
        rate, low = self.work.rate, self.work.tools.sample_rate
        down, up = Band(rate, low), LocalBand(low, rate)
        seen, begin, margin = self._framed(y, finite, down.block)
        faults = [shifted(scaled(fault, self.work.gain), margin) for fault in faults]
        rest = None
        if rate != low:
            length, make = down.heard(begin.stop), self.place.make
            heard = without_noise(begin, rate, faults, make) if rate > low else begin
            there = moved(make, heard, LocalBand(rate, low), length)
            back = moved(make, there, up, begin.stop)
            rest = filled(make, _lead(y), begin.stop, lambda a, b: heard.read(a, b) - back.read(a, b))
            begin = there if heard is begin else moved(make, begin, LocalBand(rate, low), length)
        profile = self.work.profile(faults)
        recording = known(seen, begin, rest, faults, rate, low, profile, self.place.make)
        found = self._found(recording, faults, y)
        return [self._joined(x, up, rest, margin, y.stop) for x in found]

    def _framed(self, y: Store, finite: Store, block: int) -> tuple[Framed, Store, int]:
        seen, begin = framed_stores(y, finite, self.work.gain, self.work.rate, block)
        return seen, begin, seen.head.shape[-1]

    def _found(self, recording: Known, faults: Sequence[Fault], y: Store) -> list[Store]:
        """Draws at the prior's rate."""
        work, same = self.work, recording.rate == recording.low
        if work.tools.inpainter is not None:
            return [self._filled(recording.begin, faults, same)]
        if work.schedule is None:
            return [self._once(recording, work.level(faults))]
        found = self._walked(recording)

        def frames() -> Signal:
            return power_of_parts(_channels(y), _lead(y)[0], y.stop)

        def quiet(cutoff: float) -> float:
            return background_among(frames(), work.rate, cutoff)

        floor, cut = work.floor(faults, quiet), cutoff_of(faults)
        if floor:
            found = [self._hissing(x, recording, floor, draw) for draw, x in enumerate(found)]
        slope = work.slope(faults, frames)
        if slope is not None:
            led = [self._agreed(found, recording.low, cut or math.inf)] if work.tools.agreed else found
            led = [self._with_slope(x, recording, slope) for x in led]
            found = [*led, *found] if work.tools.agreed else led
        if cut is None or work.tools.envelope is None:
            return found
        return [self._shaped(x, recording, cut) for x in found]

    def ground(self, length: int, halo: int | None, grid: int, reach: int) -> Ground:
        """The file at the prior's rate, where a score looks `reach` samples further than the network's halo."""
        far = None if halo is None else -(-(halo + reach) // grid) * grid
        return Ground(length, far, 0, grid, self.place.section, self.place.ranks, self.place.make)

    def _walked(self, recording: Known) -> list[Store]:
        tools, schedule, begin = self.work.tools, self.work.schedule, recording.begin
        assert schedule is not None
        ground = self.ground(begin.stop, tools.prior.halo, tools.prior.grid, recording.reach)
        if tools.curve is not LINEAR:
            plain = begin
            begin = filled(
                self.place.make, _lead(plain), plain.stop, lambda a, b: tools.curve.compress(plain.read(a, b))
            )

        def score(part: Chunk) -> ScoreFn:
            damage, _ = along(tools.curve, recording.damage(part.span), begin.read(part.left, part.left))
            # What is known is put back by filters, which look around.
            return restoring_score(tools.score(part.widened(recording.reach)), damage)

        trail = self.place.trail(self.key)
        reached = trail.found() if trail else None
        done: list[Store] = []
        for draw in range(tools.draws):
            if trail is not None and reached is not None and draw < reached.draw:
                done.append(ground.store(*_lead(begin)))
                trail.fill(f"draw{draw}", done[-1])
                continue
            route = Route(tools.sampler, schedule, self.work.settings.seed, draw)
            told = teller(self.work.progress, draw, tools.draws, schedule)
            kept = {f"draw{i}": store for i, store in enumerate(done)}
            walk = Walk(route, ground, begin, score, summed=False)
            done.append(march(walk, begin, 1, trail=trail, kept=kept, callback=told))
        found = [self._collected(store, ground) for store in done]
        if tools.curve is LINEAR:
            return found
        return [
            filled(self.place.make, _lead(one), one.stop, _expanding(one, tools.curve.expand))
            for one in found
        ]

    def _once(self, recording: Known, level: float) -> Store:
        """One call of the prior for each section."""
        tools, begin = self.work.tools, recording.begin
        ground = self.ground(begin.stop, tools.prior.halo, tools.prior.grid, recording.reach)

        def work(part: Chunk) -> Tensor:
            damage, score = recording.damage(part.span), tools.score(part.widened(recording.reach))
            return damage.denoised(score, begin.read(*part.span), level)

        found = ground.each(self._told(work, ground, level), ground.store(*_lead(begin)), ground.halo)
        return self._collected(found, ground)

    def _filled(self, begin: Store, faults: Sequence[Fault], same: bool) -> Store:
        """The inpainter's mean for each section."""
        tools = self.work.tools
        assert tools.inpainter is not None
        whole = Gap(known_mask(self.work.lost(faults, same), begin.stop))
        lost, spans, channels = ~whole.known, whole.gaps, _lead(begin)[0]

        def outside(start: int, stop: int) -> Tensor:
            flags = lost[start:stop].float().expand(channels, 1, -1)
            return torch.cat([begin.read(start, stop).expand(-1, 2, -1), flags], dim=1)

        evidence = filled(self.place.make, (channels, 3), begin.stop, outside)

        how = tools.fills

        def inside(place: int) -> Tensor:
            fills = fill(begin, spans, place, how)
            return torch.cat([fills, torch.ones_like(fills[:, :1])], dim=1)

        self.place.ranks.shared(spans, inside, evidence)
        ground = self.ground(begin.stop, tools.inpainter.halo, tools.inpainter.grid, 0)

        def work(part: Chunk) -> Tensor:
            clean = tools.fill(evidence.read(*part.span), part)
            return Gap(whole.known[part.left : part.right]).project(clean, begin.read(*part.span))

        found = ground.each(self._told(work, ground, 0.0), ground.store(*_lead(begin)), ground.halo)
        return self._collected(found, ground)

    def _told(
        self, work: Callable[[Chunk], Tensor], ground: Ground, level: float
    ) -> Callable[[Chunk], Tensor]:
        """Tells whoever watches of every section that is done."""
        done, total = 0, len(ground.sections(0))

        def telling(part: Chunk) -> Tensor:
            nonlocal done
            found = work(part)
            done += 1
            if self.work.progress is not None:
                self.work.progress(Progress(1, 1, 1, 1, done, total, level, done, total))
            return found

        return telling

    def _collected(self, store: Store, ground: Ground) -> Store:
        """All of it in the first process; nothing in the others."""
        if ground.ranks.size == 1:
            return store
        whole = self.place.make(_lead(store), 0, ground.length if ground.ranks.first else 0)
        ground.ranks.collect(store, whole, ground.stretches)
        return whole

    def _hissing(self, x: Store, recording: Known, floor: float, draw: int) -> Store:
        """A draw with the noise of the recording's pauses in the band that it lacks."""
        ground = replace(self.ground(x.stop, 0, 1, recording.reach), ranks=Ranks())

        def work(part: Chunk) -> Tensor:
            size = (*_lead(x), part.right - part.left)
            hiss = unit_noise(size, self.work.settings.seed, draw, HISS, start=part.left)
            damage = recording.damage(part.span)
            assert damage.operator is not None
            return damage.operator.project(x.read(*part.span) + floor * hiss, damage.y)

        return ground.each(work, ground.store(*_lead(x)), ground.halo) if x.stop else x

    def _agreed(self, found: Sequence[Store], rate: int, cutoff: float) -> Store:
        """The known band of draws, and above it the mean that they agree on."""
        band, reads = LocalBand(rate, rate, cutoff), [reader(x) for x in found]

        def highs(start: int, stop: int) -> Tensor:
            return torch.stack([(read(start, stop) - band.over(read, start, stop))[:, 0] for read in reads])

        def work(start: int, stop: int) -> Tensor:
            return band.over(reads[0], start, stop) + agreed(highs, start, stop)[:, None]

        return filled(self.place.make, _lead(found[0]), found[0].stop, work)

    def _with_slope(self, x: Store, recording: Known, slope: Weighted) -> Store:
        """A mean with what the recording's filter left above the cut-off."""
        heard = reader(recording.begin)

        def work(start: int, stop: int) -> Tensor:
            return x.read(start, stop) + slope.over(heard, start, stop)

        return filled(self.place.make, _lead(x), x.stop, work)

    def _shaped(self, x: Store, recording: Known, cutoff: float) -> Store:
        """A draw with the levels that the envelope tells above the cut-off."""
        tools = self.work.tools
        assert tools.envelope is not None
        halo, grid = tools.envelope.halo, tools.envelope.grid
        ground = replace(self.ground(x.stop, halo, grid, recording.reach), ranks=Ranks())

        def work(part: Chunk) -> Tensor:
            damage = recording.damage(part.span)
            assert damage.operator is not None
            return damage.operator.project(tools.shape(x.read(*part.span), cutoff), damage.y)

        return ground.each(work, ground.store(*_lead(x)), ground.halo) if x.stop else x

    def _joined(self, x: Store, up: LocalBand, rest: Store | None, margin: int, length: int) -> Store:
        """From the prior's rate and level to the file's, without the frame."""
        if not x.stop:
            return x
        read = reader(x)

        def work(start: int, stop: int) -> Tensor:
            left, right = start + margin, stop + margin
            whole = read(left, right) if rest is None else up.over(read, left, right) + rest.read(left, right)
            return whole / self.work.gain

        return filled(self.place.make, _lead(x), length, work)


def _lead(store: Store) -> tuple[int, int]:
    channels, sources, _ = store.read(store.start, store.start).shape
    return channels, sources


def _expanding(store: Store, expand: Callable[[Tensor], Tensor]) -> Callable[[int, int], Tensor]:
    return lambda start, stop: expand(store.read(start, stop))


def _channels(y: Store) -> Callable[[int, int, int], NDArray[np.float64]]:
    """Reads a channel of a store in double precision."""
    return lambda channel, start, stop: y.read(start, stop)[channel, 0].double().numpy()
