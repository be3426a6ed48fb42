"""One small problem for all samplers: two Gaussian sources and their sum, as chains and as the laws' arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule
from audiofix.operators.mixture import Mixture
from audiofix.posterior import prior_score
from audiofix.samplers.base import Info, State, drive
from tests.samplers.test_langevin import CHAINS, RECORDING, SIZE, SOURCES, TIME, joint_precision, priors

Chain = Iterator[tuple[State, Info]]


def run_walk(walk: Callable[..., Chain], schedule: Schedule, projected: bool, seed: int) -> Tensor:
    """Ends of the chains of a sampler from noise of the first level, (CHAINS, SIZE)."""
    y = RECORDING.expand(CHAINS, 1, TIME)
    noise = noise_source((CHAINS, SOURCES, TIME), seed)
    x = schedule.sigmas[0] * noise(-1, 0).double()
    operator = Mixture()
    project = (lambda state: operator.project(state, y)) if projected else None
    score = prior_score([p.score for p in priors()])
    return drive(walk(x, score, schedule, noise, project)).reshape(CHAINS, SIZE)


def problem(schedule: Schedule, projected: bool) -> tuple:
    """What a law takes: mean and covariance of the start, precision, schedule, projector, offset."""
    identity, zero = torch.eye(SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64)
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    projector = identity - mix.T @ mix / SOURCES if projected else identity
    offset = mix.T @ RECORDING / SOURCES if projected else zero
    return zero, schedule.sigmas[0] ** 2 * identity, joint_precision, schedule, projector, offset


def from_the_smoothed_prior(law: Callable[..., tuple[Tensor, Tensor]], schedule: Schedule) -> float:
    """How far a law ends from the prior smoothed at the last level if it starts from that at the first.

    The largest deviation of an eigenvalue of exact^-1 cov from 1: the error of a variance in any direction.
    """
    (first, centre), (last, _) = (joint_precision(schedule.sigmas[end]) for end in (0, -1))
    identity, zero = torch.eye(SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64)
    mean, cov = law(centre, torch.linalg.inv(first), joint_precision, schedule, identity, zero)
    assert (mean - centre).abs().max() < 1e-12  # the mean stays; round-off only
    return (torch.linalg.eigvals(last @ cov).real - 1).abs().max().item()
