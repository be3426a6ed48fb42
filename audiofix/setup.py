"""What a run needs: priors spread over a device, what they are asked, and a schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from audiofix.hub.card import ModelCard
from audiofix.hub.registry import model_hash
from audiofix.numerics.schedule import Schedule
from audiofix.numerics.windows import Chunk
from audiofix.posterior import ScoreFn, amortised_score
from audiofix.priors.base import Posterior, Prior
from audiofix.runtime.executor import Executor
from audiofix.runtime.ranks import UNIT
from audiofix.separation import (
    SAMPLERS,
    TWO,
    Quality,
    Speeds,
    mean_over_views,
    wider,
)

# Samples in one network call: parts of a file begin at multiples of UNIT too, and chunks are HALOS halos long at
# least (where they may begin anywhere, up to one more), so that halos are a quarter of the work at most; two
# priors at once stay below 2 GB (tests/benchmarks/memory.py).
CHUNK, HALOS = UNIT, 6
SHORTER = (HALOS, 4, 2, 1)  # halos that a chunk is long, where memory is short
# The separator is lighter in memory.
LONG_CHUNK = 7 * UNIT
# Bytes a sample in flight at a family's peak, with the gradient in a WaveNet: measured.
BYTES = {"score": 3000, "separator": 3000, "wavenet": 7500, "pnf-wavenet": 50000}
# Sources are brought to this RMS: clips in training lie around it.
SOURCE_RMS = 0.1


@dataclass(frozen=True)
class Setup:
    """What a run needs: models, their scores on a device, and the schedule.

    `posterior` gives the estimate that the chain starts from and, where `choice.follow` says so, the chain's
    score as well; without it the chain starts from the mixture and follows the priors. `schedule` is None where
    the estimate is the result.
    """

    quality: str
    choice: Quality
    cards: tuple[ModelCard, ...]
    priors: tuple[Prior, ...]
    posterior: Posterior | None
    executor: Executor
    schedule: Schedule | None
    sampler: str
    bf16: bool
    wanted: tuple[float, float] | None = None  # sigmas that the ladder would have, were they all known
    shown: Posterior | None = None  # whose estimate conditions those priors that can see the mixture
    source_rms: float = SOURCE_RMS

    @property
    def sample_rate(self) -> int:
        """Hz; the same for all models."""
        return (self.priors or [self.posterior])[0].sample_rate  # type: ignore[union-attr]

    def calls_per_source(self, draws: int) -> int:
        """Calls that work on one source: those of the estimate, then each draw's chain and last denoising step."""
        estimate = len(self.choice.views) * (self.posterior is not None and self.choice.estimate)
        return estimate + len(TWO) * (self.shown is not None) + draws * self._chain_calls

    def network_calls(self, draws: int) -> int:
        """Calls of networks of any kind; a separator works on all sources at once, a prior on its own."""
        return self.calls_per_source(draws) + draws * self._chain_calls * (self.threads - 1)

    @property
    def _chain_calls(self) -> int:
        return SAMPLERS[self.sampler].calls(self.schedule) + 1 if self.schedule else 0

    @property
    def _wide(self) -> Executor:
        """For the separator, whatever the chunks of the priors are."""
        return replace(self.executor, chunk=max(UNIT, LONG_CHUNK * self.executor.halos // HALOS))

    def in_chunks(self, halos: int) -> Setup:
        """With chunks of about so many halos: less memory and more work. Only for where `unit` is `grid`."""
        return replace(self, executor=replace(self.executor, halos=halos))

    @property
    def prior_cards(self) -> tuple[ModelCard, ...]:
        """Cards of the priors, in the order of the sources."""
        return self.cards[len(self.cards) - len(self.priors) :]

    @property
    def threads(self) -> int:
        """Networks that run at the same time."""
        return max(1, len(self.priors))

    @property
    def halo(self) -> int | None:
        """Samples on each side that a score of the chain depends on; None: the whole file."""
        followed: Sequence[Prior | Posterior] = self.priors or ([self.posterior] if self.posterior else [])
        halos = [one.halo for one in followed]
        known = [halo for halo in halos if halo is not None]
        return -(-max(known, default=0) // self.grid) * self.grid if len(known) == len(halos) else None

    @property
    def wide_halo(self) -> int | None:
        """Samples on each side that an estimate of any separator depends on; None: the whole file."""
        asked = [one for one in (self.posterior, self.shown) if one is not None]
        known = [wider(one.halo, (*self.choice.views, *TWO)) for one in asked if one.halo is not None]
        return max(known, default=0) if len(known) == len(asked) else None

    @property
    def grid(self) -> int:
        """Parts of a file must start at multiples of this many samples."""
        asked = [one for one in (*self.priors, self.posterior, self.shown) if one is not None]
        return math.lcm(*(one.grid for one in asked))

    @property
    def unit(self) -> int:
        """Samples that parts of a file begin at multiples of: the grid, where bits allow it."""
        asked: list[Prior | Posterior | None] = [*self.priors, self.posterior, self.shown]
        free = all(getattr(one, "anywhere", False) for one in asked if one is not None)
        return self.grid if free else UNIT

    def estimate(self, mixture: Tensor, sources: int, part: Chunk | None = None) -> Tensor | None:
        """The separator's own estimate from (batch, time), (batch, source, time); None without a separator.

        `part`: which samples of the file the mixture holds and where the estimate is wanted; None: all.
        """
        if self.posterior is None or not self.choice.estimate:
            return None
        return self._told(self.posterior, mixture, sources, self.choice.views, part)

    def _told(
        self, separator: Posterior, mixture: Tensor, sources: int, speeds: Speeds, part: Chunk | None
    ) -> Tensor:
        def separate(view: Tensor, there: Chunk) -> Tensor:
            blank = view.new_zeros(()).expand(len(view), sources, view.shape[1])  # takes no memory
            return self._wide.jointly(separator, view, there)(blank, math.inf)

        return mean_over_views(separate, mixture, speeds, separator.grid, part)

    @property
    def hints(self) -> bool:
        """Whether the chain's priors are shown something beside the mixture."""
        return self.shown is not None and bool(self.priors)

    def hint(self, mixture: Tensor, part: Chunk | None = None) -> Tensor | None:
        """What priors are shown beside the mixture: the separator's answer, a better one than in training."""
        if self.shown is None or not self.hints:
            return None
        return self._told(self.shown, mixture, len(self.priors), TWO, part)

    def score(self, mixture: Tensor, hint: Tensor | None = None, part: Chunk | None = None) -> ScoreFn:
        """Chunked score of (batch, source, time) that the chain follows; `hint` is what `hint` gave."""
        if self.posterior is not None and not self.priors:
            return amortised_score(self._wide.jointly(self.posterior, mixture, part))
        given = None
        if hint is not None:
            given = [
                torch.stack([mixture, hint[:, i]], dim=1) if card.shown else None
                for i, card in enumerate(self.prior_cards)
            ]
        return self.executor.together(self.priors, given, part)

    def described(self) -> list[dict[str, Any]]:
        """What the models are, for a report."""
        return [
            {"name": card.name, "source": card.source, "family": card.family, "hash": model_hash(card)}
            for card in self.cards
        ]

    def cost(self, sources: int, channels: int, length: int) -> tuple[float, int]:
        """(seconds of one draw, bytes at its peak), from the second of two short calls of each network."""
        probe = torch.zeros(1, sources, min(length, self.sample_rate))
        mixture = probe[:, 0]
        seconds, peak, total = 0.0, 0, length
        if self.posterior is not None:
            total, largest = self._wide.flight(self.posterior, length)
            if self.choice.estimate:
                seconds += _time(lambda: self.estimate(mixture, sources)) / probe.shape[2] * total
            peak = BYTES["separator"] * largest
        if self.schedule is not None:
            score, sigma = self.score(mixture, self.hint(mixture)), self.schedule.sigmas[0]
            each = _time(lambda: score(probe, sigma)) / probe.shape[2]
            flights = [self.executor.flight(prior, length) for prior in self.priors] or [(total, 0)]
            seconds += each * max(flown for flown, _ in flights) * self._chain_calls
            sizes = [BYTES.get(card.family, 7500) for card in self.prior_cards]
            peak = max(peak, max(sizes, default=0) * sum(largest for _, largest in flights))
        return seconds * channels, peak


def _time(call: Callable[[], object]) -> float:
    call()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
