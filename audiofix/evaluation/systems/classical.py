"""Classical restoration from `audiofix.baselines`, told the faults as ours is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.baselines.declipping import declip_autoregressive, declip_interpolated
from audiofix.baselines.denoising import FRAME, log_mmse, spectral_subtraction, wiener
from audiofix.baselines.frames import Floats
from audiofix.baselines.interpolation import interpolated
from audiofix.baselines.upsampling import spectral_replication
from audiofix.damages import Cut, LostBand, LostSamples, Noisy
from audiofix.errors import InputError
from audiofix.evaluation.systems.base import RESTORED, Task
from audiofix.guesses import PRIOR_RATE, sparse_guess
from audiofix.operators.lowpass import PASSBAND

Fault = TypeVar("Fault")
SAID: dict[type, str] = {
    Noisy: "the noise's level", Cut: "the level that was clipped at", LostSamples: "where the gaps are",
}  # fmt: skip
Denoise = Callable[..., Floats]


def told(task: Task, kind: type[Fault], system: str) -> Fault:
    """The fault of that kind. Raises InputError where there is none."""
    found = next((fault for fault in task.faults if isinstance(fault, kind)), None)
    if found is None:
        raise InputError(
            f"{system} has to be told {SAID[kind]}, and of {task.track} nobody knows that; choose another system"
        )
    return found


def each(samples: Tensor, method: Callable[[Floats], Floats]) -> Tensor:
    """A method of one channel on all of (channel, time), in float64."""
    rows = [method(row.double().numpy()) for row in samples]
    return torch.from_numpy(np.ascontiguousarray(np.stack(rows))).float()


def replicated(task: Task) -> Tensor:
    """Spectral replication above the recording's band; where no cutoff is told, above 0.9 of it."""
    rate = task.given.sample_rate
    cutoffs = [fault.hertz for fault in task.faults if isinstance(fault, LostBand)]
    cutoff = min([rate / 2 * PASSBAND, *cutoffs])
    wide = resample(task.given.samples, rate, task.rate, task.clean[RESTORED].shape[1])
    return each(wide, lambda row: spectral_replication(row, task.rate, cutoff))


def janssen(task: Task) -> Tensor:
    """Gaps filled by autoregression of order 1024, scaled with the rate (Janssen, Veldhuis & Vries 1986)."""
    lost = told(task, LostSamples, "janssen").spans
    known = torch.nan_to_num(task.given.samples)
    return each(known, lambda row: interpolated(row, task.rate, lost))


def spade(task: Task) -> Tensor:
    """The sparsest signal that explains the recording: A-SPADE, for clipping and for rounding."""
    found = sparse_guess(task.given.samples, task.rate, task.faults)
    if found is None:
        raise InputError(f"a-spade mends one clipping or one rounding, and {task.track} has other faults")
    return found


def spline(task: Task) -> Tensor:
    """A cubic spline through the samples that are not clipped; to upsample, through all, held after the last."""
    if task.kind == "upsample":
        places = np.arange(task.clean[RESTORED].shape[1]) * (task.given.sample_rate / task.rate)
        within = places.clip(max=task.given.length - 1)
        return each(task.given.samples, lambda row: CubicSpline(np.arange(len(row)), row)(within))
    cut = told(task, Cut, "spline")
    return each(task.given.samples, lambda row: declip_interpolated(row, cut.low, cut.high))


def autoregressive(task: Task) -> Tensor:
    """Clipped samples filled by autoregression of order 256, beyond the level."""
    cut = told(task, Cut, "autoregression")
    return each(task.given.samples, lambda row: declip_autoregressive(row, cut.low, cut.high))


def denoised(method: Denoise) -> Callable[[Task], Tensor]:
    """A denoiser by frames of 64 ms, to a power of two, that is told the noise's spectrum."""

    def run(task: Task) -> Tensor:
        profile = told(task, Noisy, method.__name__).profile.double().numpy()
        known = profile if len(profile) > 1 else float(profile[0])
        frame = int(FRAME * 2 ** round(math.log2(task.rate / PRIOR_RATE)))
        return each(task.given.samples, lambda row: method(row, known, frame=frame))

    return run


@dataclass(frozen=True)
class Classical:
    """A function from a task to (channel, time), as a system. `told`: the kinds for which it needs the faults."""

    name: str
    kinds: frozenset[str]
    restore: Callable[[Task], Tensor]
    oracle: bool = False
    told: frozenset[str] = frozenset({"inpaint", "declip", "dequantise", "denoise"})

    def run(self, task: Task) -> dict[str, Tensor]:
        """What the function gives, float32."""
        return {RESTORED: self.restore(task).float()}


def make_spectral_replication() -> Classical:
    """See `replicated`."""
    return Classical("spectral-replication", frozenset({"upsample"}), replicated)


def make_janssen() -> Classical:
    """See `janssen`."""
    return Classical("janssen", frozenset({"inpaint"}), janssen)


def make_spade() -> Classical:
    """See `spade`."""
    return Classical("a-spade", frozenset({"declip", "dequantise"}), spade)


def make_spline() -> Classical:
    """See `spline`."""
    return Classical("spline", frozenset({"declip", "upsample"}), spline)


def make_autoregressive() -> Classical:
    """See `autoregressive`."""
    return Classical("autoregression", frozenset({"declip"}), autoregressive)


def make_wiener() -> Classical:
    """Wiener's filter with the decision-directed a-priori SNR."""
    return Classical("wiener", frozenset({"denoise"}), denoised(wiener))


def make_log_mmse() -> Classical:
    """Least squared error of the log amplitude."""
    return Classical("log-mmse", frozenset({"denoise"}), denoised(log_mmse))


def make_spectral_subtraction() -> Classical:
    """Subtraction of the noise's power."""
    return Classical("spectral-subtraction", frozenset({"denoise"}), denoised(spectral_subtraction))
