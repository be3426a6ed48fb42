"""Annealed Langevin dynamics with longer steps at loud frequencies (Roberts & Stramer 2002, fixed metric)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.rng import NoiseFor
from audiofix.numerics.schedule import Schedule
from audiofix.samplers.base import Info, State
from audiofix.samplers.langevin import langevin_step

ScoreFn = Callable[[Tensor, float], Tensor]
Projection = Callable[[Tensor], Tensor]

# Stable for step scales below 2/16, twice the published 0.05 included.
LIMIT = 16.0


def frequency_gain(spectrum: Tensor, time: int, sigma: float, limit: float) -> Tensor:
    """M(f) = min(1 + S(f) / sigma^2, limit): how much longer than plain Langevin's the step is at a frequency.

    A Gaussian prior of spectrum S, smoothed at sigma, has the precision p = 1 / (S + sigma^2) at f. A step of
    eta = delta sigma^2 multiplies what is left to go by 1 - eta M p. Plain Langevin has M = 1 and hardly moves
    where S is large, by delta sigma^2 / (S + sigma^2); this M makes it 1 - delta at every frequency.
    Where S is small M is 1, so that the step of delta sigma^2 stays what it was.

    Other priors are stiffer where a passage has less power than S says, yet never beyond 1 / sigma^2, since
    -Hessian = (1 - Cov(clean given x) / sigma^2) / sigma^2. So |1 - eta M p| <= 1 as long as delta limit <= 2.

    spectrum: (bins,) of S at evenly spaced frequencies from 0 to half the sample rate, any number of them, as
    mean |rfft(x)|^2 / time: white noise of variance v has S = v. Returns (time // 2 + 1,) float64 from 1 to
    limit, at the frequencies of the real Fourier transform.
    """
    places = np.linspace(0, 0.5, len(spectrum))
    power = np.interp(np.fft.rfftfreq(time), places, spectrum.detach().cpu().double().numpy())
    return (1 + torch.from_numpy(power) / sigma**2).clamp(max=limit)


def preconditioned_step(
    x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor | None
) -> Tensor:
    """One step x + eta M score + sqrt(2 eta) M^(1/2) noise (Roberts & Stramer 2002, metric independent of x).

    x, score, noise: (..., time); gain: M, (time // 2 + 1,) positive, or None for 1. M is a circular filter without
    phase, hence symmetric and positive, and the chain's target is that of plain Langevin. That it joins the ends
    of a signal does no harm: any such M is right, the best is merely fastest.
    """
    if gain is None:
        return langevin_step(x, score, step_size, noise)
    push = step_size * gain * torch.fft.rfft(score)
    shake = (2 * step_size * gain).sqrt() * torch.fft.rfft(noise)
    return x + torch.fft.irfft(push + shake, n=x.shape[-1])


def check_gain(schedule: Schedule, spectrum: Tensor | None, limit: float) -> None:
    """Raise SettingError for what is no spectrum, a limit below 1, or a step too long at the limit."""
    if spectrum is None:
        return
    if spectrum.ndim != 1 or not len(spectrum) or not bool(((spectrum >= 0) & spectrum.isfinite()).all()):
        raise SettingError(
            f"a spectrum is one row of powers, 0 or more and finite; got shape {tuple(spectrum.shape)}, "
            "or values that are not; average |rfft|^2 / time over the clips"
        )
    if not 1 <= limit < float("inf"):
        raise SettingError(f"the limit of the longer steps must be 1 or more and finite, got {limit:g}")
    if schedule.step_scale * limit >= 2:
        raise SettingError(
            f"--step-scale {schedule.step_scale:g} does not fit: steps are up to {limit:g} times as long, so it "
            f"must be below {2 / limit:g}, or the chain may diverge; lower it or the limit"
        )


def preconditioned_langevin(
    x: Tensor,
    score: ScoreFn,
    schedule: Schedule,
    noise: NoiseFor,
    project: Projection | None = None,
    *,
    spectrum: Tensor | None = None,
    limit: float = LIMIT,
) -> Iterator[tuple[State, Info]]:
    """Walk down the ladder as `annealed_langevin` does, each frequency with a step of its own length.

    x: (batch, source, time); `spectrum` and `limit` as in `frequency_gain`, without a spectrum it is
    `annealed_langevin`. All sources share one M, so it commutes with a projection that acts on every instant
    alike, as that on a sum does: the chain is then Langevin dynamics inside the space of projected states. A
    projection that treats instants unlike, as that of a gap does, does not commute, and would change the target.

    The stationary variance of a direction of precision p is 1 / (p (1 - eta M p / 2)): a spectrum far above what
    the sources really have inflates it. With sources of different spectra the lowest of them at each frequency is
    the safe choice. With a soft measurement of a mixture of N sources keep kappa above N delta limit / 2.

    Raises SettingError as `check_gain` does.
    """
    check_gain(schedule, spectrum, limit)
    if project is not None:
        x = project(x)
    done = 0
    for level, sigma in enumerate(schedule.sigmas):
        step_size = schedule.step_size(level)
        gain = None if spectrum is None else frequency_gain(spectrum, x.shape[-1], sigma, limit).to(x)
        for step in range(schedule.steps):
            x = preconditioned_step(x, score(x, sigma), step_size, noise(level, step).to(x), gain)
            if project is not None:
                x = project(x)
            done += 1
            yield State(x, level, step), Info(sigma, step_size, done, schedule.total_steps)
