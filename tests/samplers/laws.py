"""Exact laws of the samplers when every score is linear: the chain itself is then Gaussian at each step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from scipy import stats
from torch import Tensor

from audiofix.numerics.schedule import Schedule

Precision = Callable[[float], tuple[Tensor, Tensor]]  # sigma -> (P, m): score(x) = -P (x - m)

FALSE_ALARM = 1e-6


def langevin_law(
    mean: Tensor,
    cov: Tensor,
    precision: Precision,
    schedule: Schedule,
    projector: Tensor,
    offset: Tensor,
    metric: Callable[[float], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and covariance after the ladder of x' = projector (x - eta M P (x - m) + sqrt(2 eta M) n) + offset.

    M is what `metric` gives at a sigma, or the identity.
    """
    identity = torch.eye(len(mean), dtype=mean.dtype)
    mean, cov = projector @ mean + offset, projector @ cov @ projector.T
    for level, sigma in enumerate(schedule.sigmas):
        matrix, centre = precision(sigma)
        eta = schedule.step_size(level)
        stretch = identity if metric is None else metric(sigma)
        turn = projector @ (identity - eta * stretch @ matrix)
        for _ in range(schedule.steps):
            mean = turn @ mean + eta * projector @ stretch @ matrix @ centre + offset
            cov = turn @ cov @ turn.T + 2 * eta * projector @ stretch @ projector.T
    return mean, cov


def consistent_law(
    mean: Tensor, cov: Tensor, precision: Precision, schedule: Schedule, projector: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for x' = projector D + offset + (1 - delta) (x - D) + fresh noise; x - D = sigma^2 P (x - m)."""
    identity = torch.eye(len(mean), dtype=mean.dtype)
    sigmas = [s for s in schedule.sigmas for _ in range(schedule.steps)]
    kept = 1 - schedule.step_scale
    for sigma, following in zip(sigmas, [*sigmas[1:], sigmas[-1]], strict=True):
        matrix, centre = precision(sigma)
        noise_part = sigma**2 * matrix
        turn = projector @ (identity - noise_part) + kept * noise_part
        shift = projector @ noise_part @ centre - kept * noise_part @ centre + offset
        mean = turn @ mean + shift
        cov = turn @ cov @ turn.T + (following**2 - (kept * sigma) ** 2) * identity
    return mean, cov


def heun_law(
    mean: Tensor, cov: Tensor, precision: Precision, schedule: Schedule, projector: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for fresh noise and a trapezoid of dx/dsigma = (x - projector D - offset) / sigma, D as above."""
    identity = torch.eye(len(mean), dtype=mean.dtype)

    def slope(sigma: float) -> tuple[Tensor, Tensor]:
        matrix, centre = precision(sigma)
        pull = sigma**2 * projector @ matrix
        return (identity - projector + pull) / sigma, -(pull @ centre + offset) / sigma

    for high, low in itertools.pairwise(schedule.sigmas):
        for step in range(schedule.steps):
            sigma, following = (high * (low / high) ** ((step + more) / schedule.steps) for more in (0, 1))
            raised = min(sigma * (1 + schedule.step_scale), schedule.sigmas[0])
            (turn, shift), (turn_there, shift_there) = slope(raised), slope(following)
            way = following - raised
            guess_turn, guess_shift = identity + way * turn, way * shift
            whole = identity + way / 2 * (turn + turn_there @ guess_turn)
            mean = whole @ mean + way / 2 * (shift + turn_there @ guess_shift + shift_there)
            cov = whole @ (cov + (raised**2 - sigma**2) * identity) @ whole.T
    return mean, cov


def predictor_corrector_law(
    mean: Tensor, cov: Tensor, precision: Precision, schedule: Schedule, projector: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for x' = projector (x - fall P (x - m) + sqrt(fall) n) + offset, then Langevin on the new level."""
    identity = torch.eye(len(mean), dtype=mean.dtype)
    mean, cov = projector @ mean + offset, projector @ cov @ projector.T
    for sigma, following in itertools.pairwise(schedule.sigmas):
        matrix, centre = precision(sigma)
        fall = sigma**2 - following**2
        turn = projector @ (identity - fall * matrix)
        mean = turn @ mean + fall * projector @ matrix @ centre + offset
        cov = turn @ cov @ turn.T + fall * projector @ projector.T
        level = Schedule((following,), schedule.steps, schedule.step_scale)
        mean, cov = langevin_law(mean, cov, precision, level, projector, offset)
    return mean, cov


def law_violations(samples: Tensor, mean: Tensor, cov: Tensor) -> list[str]:
    """Which of mean, covariance and shape differ from N(mean, cov), at a false-alarm rate of 1e-6 each.

    samples: (chains, size) independent. Directions without variance must be exact; the others are whitened.
    The bounds are those of the normal, chi-square and Kolmogorov-Smirnov laws, with Bonferroni's correction.
    """
    values, vectors = torch.linalg.eigh(cov)
    alive = values > 1e-10 * values.max()
    centred = (samples - mean) @ vectors
    found = []
    # Round-off of the chain in float64, far below any statistical bound.
    if not torch.all(centred[:, ~alive].abs() < 1e-9):
        found.append("leaves the constraint")
    white = centred[:, alive] / values[alive].sqrt()
    chains, size = white.shape
    limit = stats.norm.isf(FALSE_ALARM / (2 * size))
    if (white.mean(dim=0) * math.sqrt(chains)).abs().max() > limit:
        found.append("mean")
    low = stats.chi2.ppf(FALSE_ALARM / (2 * size), chains)
    high = stats.chi2.isf(FALSE_ALARM / (2 * size), chains)
    power = white.square().sum(dim=0)
    if power.min() < low or power.max() > high:
        found.append("variance")
    pairs = size * (size - 1) // 2
    if pairs:
        # Products of two independent standard normals have variance 1; their mean is normal for many chains.
        products = (white.T @ white) / math.sqrt(chains)
        off = products[~torch.eye(size, dtype=torch.bool)].abs().max()
        if off > stats.norm.isf(FALSE_ALARM / (2 * pairs)):
            found.append("correlation")
    if min(stats.kstest(white[:, i].numpy(), "norm").pvalue for i in range(size)) < FALSE_ALARM / size:
        found.append("shape")
    return found
