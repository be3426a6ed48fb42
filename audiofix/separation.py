"""Draw sources from their posterior given a mixture, at the priors' own rate and level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional

from audiofix.errors import SettingError
from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule, geometric_sigmas, levels_within
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.numerics.windows import Chunk
from audiofix.operators.base import Measurement, Restorable
from audiofix.operators.mixture import Mixture
from audiofix.operators.speeds import at_speed, reach
from audiofix.posterior import ScoreFn, guided_score
from audiofix.samplers.base import Info, State, drive
from audiofix.samplers.consistent import consistent_annealing, fresh_noise
from audiofix.samplers.heun import heun_annealing, moves
from audiofix.samplers.langevin import annealed_langevin
from audiofix.samplers.predictor_corrector import predictor_corrector, score_calls

Callback = Callable[[State, Info], None]
Speeds = Sequence[Fraction]


@dataclass(frozen=True)
class Preset:
    """A chain and the schedule that suits it; the ladder ends at sigma_high and sigma_low or where priors do."""

    walk: Callable[..., Iterator[tuple[State, Info]]]
    levels: int
    steps: int
    step_scale: float
    sigma_high: float
    sigma_low: float
    calls: Callable[[Schedule], int] = lambda schedule: schedule.total_steps
    check: Callable[[Schedule], object] = lambda _: None  # raises SettingError for what does not fit
    reach: int = 1  # scores that a step asks for one after the other: so many halos does it look to each side


SAMPLERS = {
    # Measured on validation clips: models/recipes/EXPERIMENTS.md.
    "consistent": Preset(consistent_annealing, 48, 1, 1.0, 0.6, 0.03, check=fresh_noise),
    # As published (PnF section 4 and its code): levels of 175.9 ... 0.1 quantiser steps of 2/256.
    "langevin": Preset(annealed_langevin, 24, 256, 0.05, 1.374, 0.00078),
    # Song & Ermon 2019, section 5: 10 levels, T = 100, epsilon = 2e-5; delta = epsilon / (2 0.01^2).
    "ncsn": Preset(annealed_langevin, 10, 100, 0.1, 1.0, 0.01),
    # Churn of 0.2: without any, what the start gets wrong stays wrong.
    "heun": Preset(
        heun_annealing, 24, 1, 0.2, 0.6, 0.03, lambda s: 2 * (len(s.sigmas) - 1) * s.steps, moves, reach=2
    ),
    "predictor-corrector": Preset(predictor_corrector, 24, 1, 0.5, 0.6, 0.03, lambda s: len(score_calls(s))),
}


@dataclass(frozen=True)
class Quality:
    """What a preset does: begin with a separator's one call or not, then follow whose score, over which ladder.

    `follow`: "separator", "prior" or nothing more. Levels and sigmas of None are the sampler's own. `views`: the
    speeds of the views of the mixture that the estimate is the mean over; `blend`: its share in the stems,
    the rest being the mean of the draws. Two estimators err in different ways, and their mean errs less.
    """

    estimate: bool
    follow: str | None
    sampler: str
    levels: int | None = None
    sigma_high: float | None = None
    sigma_low: float | None = None
    draws: int = 1
    views: tuple[Fraction, ...] = (Fraction(1),)
    blend: float = 0.0
    family: str | None = None  # of priors; None: the best measured


TWO = (Fraction(31, 32), Fraction(33, 32))
FOUR = (Fraction(15, 16), Fraction(31, 32), Fraction(33, 32), Fraction(17, 16))
QUALITIES = {
    # Measured on held-out mixtures: models/recipes/EXPERIMENTS.md.
    "fast": Quality(True, None, "consistent", views=TWO),
    "balanced": Quality(True, "prior", "consistent", 16, 0.1, 0.015, views=FOUR, blend=0.85),
    "best": Quality(
        True, "prior", "consistent", 32, 0.1, 0.015, draws=3, views=(*FOUR, Fraction(1)), blend=0.8
    ),
    "pnf": Quality(False, "prior", "langevin", family="wavenet"),
}
# From the mixture with priors alone, where no separator knows the sources.
WITHOUT_SEPARATOR = Quality(False, "prior", "consistent")


def draw_sources(
    mixture: Tensor,
    prior: ScoreFn,
    sources: int,
    schedule: Schedule,
    *,
    seed: int,
    sampler: str = "consistent",
    draw: int = 0,
    start: Tensor | None = None,
    kappa: float | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """One draw of the sources given their sum, by annealed Langevin dynamics (PnF section 4) or a variant of it.

    "langevin" tends to draws from the posterior as its ladder gets long and its steps small. "consistent" does
    not: with step scale 1 its draws spread about half as much as the posterior's, around nearly the same mean
    (tests/samplers/test_consistent.py has the exact figure for Gaussian priors). It is the better estimate and
    the poorer measure of uncertainty.

    mixture: (batch, time) at the level the priors were trained for; prior: score of (batch, source, time) under
    the sources' priors; sampler: a name in SAMPLERS. Without `kappa` the sum is exact at all times: "langevin"
    lives on the sources that add up to the mixture, "consistent" projects its clean estimates there. With
    `kappa` the sum is held by a Gaussian of variance kappa sigma^2 (PnF eq. 2; the authors use 1/15).
    The chain starts from `start` (batch, source, time), or from equal shares, plus noise at the first level.
    A last Tweedie step takes out the noise of the last level (Jolicoeur-Martineau et al. 2021), and a last
    projection makes the sum exact. Returns (batch, source, time).
    """
    operator, y = Mixture(), mixture[:, None]
    begin = operator.start(y, sources) if start is None else start
    return draw_posterior(
        operator,
        y,
        prior,
        begin,
        schedule,
        seed=seed,
        sampler=sampler,
        draw=draw,
        kappa=kappa,
        callback=callback,
    )


def draw_posterior(
    operator: Restorable,
    y: Tensor,
    prior: ScoreFn,
    begin: Tensor,
    schedule: Schedule,
    *,
    seed: int,
    sampler: str = "consistent",
    draw: int = 0,
    kappa: float | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """As `draw_sources`, for any operator that can be projected on: a gap, a low-pass, a mixture.

    y: (batch, channel, time') what was recorded; begin: (batch, source, time) clean first guess, to which noise of
    the first level is added. Returns (batch, source, time) that explains y exactly.
    """
    noise = noise_source(tuple(begin.shape), seed, draw)
    x = begin + schedule.sigmas[0] * noise(-1, 0).to(begin)
    walk = SAMPLERS[sampler].walk
    if kappa is None:
        chain = walk(x, prior, schedule, noise, lambda state: operator.project(state, y))
    else:
        chain = walk(x, guided_score(prior, Measurement(operator, y), kappa), schedule, noise)
    x = drive(chain, callback)
    last = schedule.sigmas[-1]
    clean = denoised_from_score(x, prior(x, last), last)
    return operator.project(clean, y)


def mean_of_draws(draws: Sequence[Tensor], estimate: Tensor | None = None, blend: float = 0.0) -> Tensor:
    """The estimate of least squared error: the mean; `blend` is the share of an `estimate` from elsewhere in it.

    Sums that hold for all of them hold for the result.
    """
    mean = torch.stack(list(draws)).mean(dim=0)
    return mean if estimate is None or blend == 0 else blend * estimate + (1 - blend) * mean


def mean_over_views(
    separate: Callable[[Tensor, Chunk], Tensor],
    mixture: Tensor,
    speeds: Speeds,
    period: int,
    part: Chunk | None = None,
) -> Tensor:
    """Mean of what a separator says of a mixture played at several speeds and, every other time, inverted.

    separate: of a view (batch, time), which holds samples [left, right) of the played file, (batch, source, time),
    of which [start, stop) is wanted. A separator errs differently where all frequencies and times lie elsewhere,
    and the truth is the same, so the mean errs less; the last projection makes the sum exact. `part`: samples
    [left, right) of the file are what `mixture` holds, [start, stop) is wanted; None: it is the file, all is. The
    views begin at multiples of `period` samples, the network's frames, as those of the whole file do.
    Returns (batch, source, time).
    """
    time, total = mixture.shape[-1], None
    part = part or Chunk(0, time, 0, time)
    for number, speed in enumerate(speeds):
        sign = 1 - 2 * (number % 2)
        # Both the part and its view begin at a frame here; what is added in front lies beyond what matters.
        early = part.left % (speed.denominator * period)
        left = int((part.left - early) * speed)
        view = at_speed(sign * functional.pad(mixture, (early, 0)), speed)
        around = reach(1 / speed)
        first = max(0, math.floor(part.start * speed) - around - left)
        last = min(view.shape[-1], math.ceil(part.stop * speed) + around - left)
        found = separate(view, Chunk(left + first, left + last, left, left + view.shape[-1]))
        del view  # a long file's is large
        found = at_speed(found, 1 / speed)[..., early : early + time]
        total = sign * found if total is None else total.add_(found, alpha=sign)
    if total is None:
        raise ValueError("at least one view is needed")
    return Mixture().project(total.div_(len(speeds)), mixture[:, None])


def wider(halo: int, speeds: Speeds) -> int:
    """Samples of a file on each side that the mean over views depends on, where a network looks `halo` far."""
    return max(math.ceil((halo + reach(1 / speed)) / speed) + reach(speed) for speed in speeds)


def lay_out(
    choice: Quality,
    sampler: str,
    known: Sequence[tuple[float, ...]],
    levels: int | None,
    steps: int | None,
    step_scale: float | None,
    own: tuple[float, ...] = (),
) -> Schedule:
    """The ladder of a quality and sampler between the levels that all networks know. Raises SettingError.

    `own`: the only levels that the networks have, if there are such; without `levels` they are the ladder.
    """
    preset, (wanted_high, wanted_low) = SAMPLERS[sampler], wanted_range(choice, sampler)
    high = min(wanted_high, *(sigmas[0] for sigmas in known))
    low = max(wanted_low, *(sigmas[-1] for sigmas in known))
    sigmas = levels_within(own, choice.sigma_high or own[0], choice.sigma_low or own[-1]) if own else ()
    if levels is not None or len(sigmas) < 2:
        sigmas = geometric_sigmas(high, low, (choice.levels or preset.levels) if levels is None else levels)
    schedule = Schedule(
        sigmas,
        preset.steps if steps is None else steps,
        preset.step_scale if step_scale is None else step_scale,
    )
    preset.check(schedule)  # before anything is computed
    return schedule


def wanted_range(choice: Quality, sampler: str) -> tuple[float, float]:
    """Highest and lowest sigma of a quality and sampler. Raises SettingError for a sampler that there is not."""
    if sampler not in SAMPLERS:
        raise SettingError(f"there is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}")
    preset = SAMPLERS[sampler]
    return choice.sigma_high or preset.sigma_high, choice.sigma_low or preset.sigma_low
