"""A finite first guess of a damaged recording, by classical methods: what a chain starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from audiofix.baselines import declipping, dequantising
from audiofix.baselines.declipping import declip_interpolated, declip_sparse
from audiofix.baselines.denoising import FRAME, wiener
from audiofix.baselines.dequantising import dequantise_sparse
from audiofix.baselines.spade import Spade
from audiofix.damages import Cut, Fault, LostSamples, Noisy, Rounded
from audiofix.numerics.fills import USUAL
from audiofix.operators.autoregression import fill_from_nearby

PRIOR_RATE = 16000  # at which the orders of the fills were chosen; others get the same time


def first_guess(samples: Tensor, sample_rate: int, faults: Sequence[Fault]) -> Tensor:
    """(channel, time) with gaps filled by autoregression, clipped peaks by interpolation; never not-a-number."""
    guess = torch.where(samples.isfinite(), samples, 0.0)
    spans = sorted(span for fault in faults if isinstance(fault, LostSamples) for span in fault.spans)
    if spans:
        order = fill_order(sample_rate)
        filled = [fill_from_nearby(row.double().numpy(), spans, order) for row in guess]
        guess = torch.from_numpy(np.stack(filled)).to(guess)
    for fault in faults:
        if isinstance(fault, Cut):
            whole = [declip_interpolated(row.double().numpy(), fault.low, fault.high) for row in guess]
            guess = torch.from_numpy(np.stack(whole)).to(guess)
    return guess


def sparse_guess(samples: Tensor, sample_rate: int, faults: Sequence[Fault]) -> Tensor | None:
    """(channel, time) declipped or dequantised by consistent sparsity; None where more is wrong."""
    fault = faults[0] if len(faults) == 1 else None
    if not isinstance(fault, Cut | Rounded):
        return None
    rows, how = samples.double().numpy(), sparse_settings(fault, sample_rate)
    if isinstance(fault, Cut):
        found = [declip_sparse(row, fault.low, fault.high, how) for row in rows]
    else:
        found = [dequantise_sparse(row, fault.step, fault.offset, how) for row in rows]
    return torch.from_numpy(np.stack(found)).to(samples)


def fill_order(sample_rate: int) -> int:
    """Order of the autoregressive fills.

    The work grows with its cube: twice the priors' is enough for what lies above their band.
    """
    return USUAL.orders[0] * min(2, max(1, round(sample_rate / PRIOR_RATE)))


def sparse_settings(fault: Cut | Rounded, sample_rate: int) -> Spade:
    """Frames of the same time at any rate: a power of two near it."""
    how = (declipping if isinstance(fault, Cut) else dequantising).SPARSE
    return replace(how, frame=max(64, int(how.frame * 2 ** round(math.log2(sample_rate / PRIOR_RATE)))))


def noise_frame(sample_rate: int) -> int:
    """Samples of a frame of the Wiener filter."""
    return int(FRAME * 2 ** round(math.log2(sample_rate / PRIOR_RATE)))


def without_noise(wave: Tensor, sample_rate: int, faults: Sequence[Fault]) -> Tensor:
    """(channel, 1, time) after a Wiener filter for the noise that is among the faults; as it came without any.

    For what lies above the priors' band: hiss is there above all.
    """
    profile = next((fault.profile for fault in faults if isinstance(fault, Noisy)), None)
    if profile is None:
        return wave
    known = profile.double().numpy() if len(profile) > 1 else float(profile[0])
    rows = [wiener(row[0].double().numpy(), known, frame=noise_frame(sample_rate)) for row in wave]
    return torch.from_numpy(np.stack(rows))[:, None].to(wave)


def to_recognise(samples: Tensor, sample_rate: int, faults: Sequence[Fault], sparse: Tensor | None) -> Tensor:
    """(channel, time) with its faults mended as far as matters for telling what sounds.

    Noise and the corners of clipping and rounding are more like speech than like a piano to the priors. `sparse`
    is what `sparse_guess` gave. Splines over clipped peaks mislead more than the peaks.
    """
    if sparse is not None:
        return sparse
    filled = first_guess(samples, sample_rate, [fault for fault in faults if isinstance(fault, LostSamples)])
    return without_noise(filled[:, None], sample_rate, faults)[:, 0]
