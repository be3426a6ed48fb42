"""From names and options to what a run needs: priors spread over a device, and a schedule."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from audiofix.errors import SettingError
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import FAMILIES, load_prior, model_hash, models_for_source, resolve_model
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.posterior import ScoreFn
from audiofix.priors.base import Prior
from audiofix.runtime.devices import has_native_bf16, pick_device
from audiofix.runtime.executor import Executor
from audiofix.samplers.consistent import fresh_noise
from audiofix.separation import SAMPLERS

# Samples in one network call: long beside the halo of 0.44 s on both sides, and two priors at once stay below 2 GB
# (tests/benchmarks/memory.py).
CHUNK = 3 * 16000
# Sources are brought to this RMS: clips in training lie around it.
SOURCE_RMS = 0.1


@dataclass(frozen=True)
class Setup:
    """Priors, their scores on a device, and the schedule."""

    cards: tuple[ModelCard, ...]
    homes: tuple[Path, ...]
    priors: tuple[Prior, ...]
    executor: Executor
    schedule: Schedule
    sampler: str
    bf16: bool
    source_rms: float = SOURCE_RMS

    @property
    def sample_rate(self) -> int:
        """Hz; the same for all priors."""
        return self.priors[0].sample_rate

    @property
    def score(self) -> ScoreFn:
        """Chunked score of (batch, source, time) under the priors."""
        return self.executor.together(self.priors)

    def described(self) -> list[dict[str, Any]]:
        """What the models are, for a report."""
        return [
            {"name": card.name, "source": card.source, "family": card.family, "hash": model_hash(card)}
            for card in self.cards
        ]

    def cost(self, channels: int, length: int) -> tuple[float, int]:
        """(seconds of one step, bytes at its peak) of all priors, from the second of two short calls."""
        probe = torch.zeros(1, len(self.priors), min(length, self.sample_rate))
        sigma, score = self.schedule.sigmas[0], self.score
        score(probe, sigma)
        began = time.perf_counter()
        score(probe, sigma)
        each = (time.perf_counter() - began) / probe.shape[2]
        halo = max(prior.halo or 0 for prior in self.priors)
        chunks = -(-length // self.executor.chunk)
        worked = length + 2 * halo * (chunks - 1)
        # About 7.5 kB a sample in flight: measured peak of the shipped networks with their gradient, all at once.
        peak = 7500 * len(self.priors) * channels * min(length, self.executor.chunk + 2 * halo)
        return each * worked * channels, peak


def prepare(
    sources: Sequence[str],
    prior: str | None,
    levels: int | None,
    steps: int | None,
    step_scale: float | None,
    device: str,
    sampler: str | None,
) -> Setup:
    """Choose and load the priors of the sources, and lay out the schedule between the levels they know.

    Without a sampler's name several steps a level mean Langevin dynamics, as published; one step a level
    means consistent sampling.
    """
    if sampler is None:
        sampler = "langevin" if steps is not None and steps > 1 else "consistent"
    if sampler not in SAMPLERS:
        raise SettingError(f"there is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}")
    where = pick_device(device)
    bf16 = has_native_bf16(where)
    chosen = choose_models(sources, prior)
    priors = tuple(load_prior(home, where, bf16=bf16) for _, home in chosen)
    rates = {p.sample_rate for p in priors}
    if len(rates) > 1:
        raise SettingError(
            f"the priors have different sample rates {sorted(rates)}; choose priors of one rate"
        )
    preset = SAMPLERS[sampler]
    high = min(preset.sigma_high, *(p.sigmas[0] for p in priors))
    low = max(preset.sigma_low, *(p.sigmas[-1] for p in priors))
    schedule = Schedule(
        geometric_sigmas(high, low, preset.levels if levels is None else levels),
        preset.steps if steps is None else steps,
        preset.step_scale if step_scale is None else step_scale,
    )
    if sampler == "consistent":
        fresh_noise(schedule)  # refuses what does not fit before anything is computed
    cards, homes = zip(*chosen, strict=True)
    return Setup(cards, homes, priors, Executor(where, CHUNK), schedule, sampler, bf16)


def choose_models(sources: Sequence[str], prior: str | None) -> list[tuple[ModelCard, Path]]:
    """A model for each source; a source `speech-2` is of kind speech.

    `prior` gives a name or a folder for each, or one family for all; None takes the first found.
    """
    kinds = [re.sub(r"-\d+$", "", source) for source in sources]
    if prior is None or prior in FAMILIES:
        found = [models_for_source(kind) for kind in kinds]
        names = []
        for kind, cards in zip(kinds, found, strict=True):
            fitting = [card.name for card in cards if prior in (None, card.family)]
            if not fitting:
                raise SettingError(
                    f"no {prior} prior of {kind}; there are {', '.join(c.name for c in cards)}"
                )
            names.append(fitting[0])
    else:
        names = [name.strip() for name in prior.split(",")]
        if len(names) != len(sources):
            raise SettingError(
                f"--prior names {len(names)} models for {len(sources)} sources; give one for each source, "
                f"or one of the families {', '.join(FAMILIES)}"
            )
    return [resolve_model(name) for name in names]
