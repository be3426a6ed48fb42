"""Clicks: samples that short-term linear prediction explains neither from what precedes nor from what follows.

A click is added to the samples; a plosive, a hammer or a glottal pulse drives the resonances. With A the
prediction error filter of a block, the least-squares correction of a single sample is A(1/z) A(z) x / |a|^2
(Godsill & Rayner, Digital Audio Restoration, 1998). It is as large as a click of one sample, while a pulse that
drives the resonances counts |a|^-2 of its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiofix.faults.dropouts import Signal, bridged, runs

ORDER = 32  # of the prediction
WIDEN = 2  # samples on each side of a click: what is prediction error to the eye has a foot
_BLOCK = 0.064  # seconds that have one filter
_SEGMENT = 64  # hops worked at once: some seconds, so that hours need no more memory
_LONGEST = 0.001  # seconds
_ROUNDS = 2  # of fitting the filter anew without what stands out: clicks whiten it
_SPOILT = 5.0  # robust standard deviations that keep a sample out of the fit
_STANDS_OUT = 10.0  # robust standard deviations of the block
_ALONE = 8.0  # times the 95th percentile of the sound just before and just after: voices have many pulses
_HEARD = 0.25  # correction relative to the recording's RMS: less, and plosives and lips do it
_FOOT = 0.1  # prediction error relative to the click's largest that still belongs to it
_RIDGE, _FLOOR = 1e-9, 1e-3  # relative to power; to RMS: 60 dB below the sound, nothing stands out of less


@dataclass(frozen=True)
class _Errors:
    """What prediction leaves, each (time,)."""

    correction: Signal  # of a single sample, in its unit
    forward: Signal  # error of predicting from the past
    backward: Signal  # and from the future
    scale: Signal  # robust standard deviation of `correction` in the block


def segment_length(sample_rate: int) -> int:
    """Samples that are looked at together."""
    return _hop(sample_rate) * _SEGMENT


def _hop(sample_rate: int) -> int:
    return 1 << max(7, round(np.log2(_BLOCK * sample_rate)) - 1)


def find_clicks(
    x: Signal, sample_rate: int, lost: NDArray[np.bool_] | None = None, rms: float | None = None
) -> list[tuple[int, int]]:
    """Clicks up to 1 ms in any channel, two samples wider on each side than they are.

    x: (channel, time), finite; lost: (time,) samples known to be lost, not looked at, nor is what lies within 32
    samples of them or of the recording's ends. Returns first and one past the last of each, in order. rms: of what
    is not lost of the recording that x is a part of, which begins with a segment.
    """
    time = x.shape[1]
    skip = np.zeros(time, dtype=bool) if lost is None else lost
    spread = _widened(skip, ORDER)
    spread[:ORDER] = spread[time - ORDER :] = True
    clicked = np.zeros(time, dtype=bool)
    if skip.all():
        return []
    rms = float(np.sqrt(np.mean(x[:, ~skip] ** 2))) if rms is None else rms
    if rms == 0:
        return []
    hop = _hop(sample_rate)
    for row in x:
        whole = bridged(row, skip)
        for first in range(0, time, hop * _SEGMENT):
            low, last = max(0, first - hop), first + hop * _SEGMENT
            part = slice(low, last + hop)
            others = spread[part].copy()  # what the neighbouring segments see whole
            others[: first - low] = others[last - low :] = True
            for start, stop in _clicks(whole[part], others, hop, rms, sample_rate):
                clicked[max(0, low + start - WIDEN) : low + stop + WIDEN] = True
    return runs(clicked)


def _clicks(
    x: Signal, skip: NDArray[np.bool_], hop: int, rms: float, sample_rate: int
) -> Iterator[tuple[int, int]]:
    """First and one past the last sample of the clicks in one segment of one channel."""
    errors = _errors(x, x, hop)
    for _ in range(_ROUNDS):
        spoilt = np.abs(errors.correction) > _SPOILT * np.maximum(errors.scale, _FLOOR * rms)
        spoilt = _widened(spoilt, WIDEN)
        if spoilt.all():
            return
        errors = _errors(x, bridged(x, spoilt), hop)
    size = np.where(skip, 0.0, np.abs(errors.correction))
    large = size > np.maximum(_STANDS_OUT * errors.scale, _HEARD * rms)
    reach = round(_LONGEST * sample_rate)
    while large.any():
        peak = int(np.argmax(np.where(large, size, 0.0)))
        start, stop = _extent(errors, peak, reach, sample_rate)
        large[max(0, min(start, peak) - ORDER) : max(stop, peak) + ORDER] = False
        alone = size[peak] > _ALONE * _beside(errors.correction, peak, reach, sample_rate)
        if alone and stop - start <= reach:
            yield start, stop


def _widened(flags: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """True up to `reach` samples from each True of (time,)."""
    return np.convolve(flags, np.ones(2 * reach + 1))[reach:-reach] > 0


def _extent(errors: _Errors, peak: int, reach: int, sample_rate: int) -> tuple[int, int]:
    """The past predicts the sound until a click begins, the future as soon as it has ended."""
    low, high = max(0, peak - reach), peak + reach + 1
    usual = _beside(errors.forward, peak, reach, sample_rate)
    forward, backward = np.abs(errors.forward[low:high]), np.abs(errors.backward[low:high])
    starts = np.flatnonzero(forward > _foot(forward.max(), usual))
    stops = np.flatnonzero(backward > _foot(backward.max(), usual))
    ends = (low + int(starts[0]), low + int(stops[-1]))
    return min(ends), max(ends) + 1


def _foot(largest: float, usual: float) -> float:
    """Prediction error above which a sample belongs to a click, given the largest of it and of what is usual."""
    return min(max(_FOOT * largest, usual), 0.5 * largest)


def _beside(error: Signal, peak: int, reach: int, sample_rate: int) -> float:
    """The larger of the 95th percentiles of |error| in the 20 ms before and after what the click smears."""
    span, off = round(0.02 * sample_rate), ORDER + reach
    sides = (error[max(0, peak - off - span) : max(0, peak - off)], error[peak + off :][:span])
    return max((float(np.percentile(np.abs(side), 95)) for side in sides if len(side)), default=0.0)


def _errors(x: Signal, fit: Signal, hop: int) -> _Errors:
    """Prediction errors of x, (time,), by filters fitted to `fit`, one for each hop of samples."""
    count, margin = -(-len(x) // hop), hop // 2
    width = hop + 2 * margin
    padding = (margin, count * hop - len(x) + margin)
    frames, sources = (
        np.lib.stride_tricks.sliding_window_view(np.pad(row, padding), width)[::hop] for row in (x, fit)
    )
    filters = _filters(sources)
    response = np.fft.rfft(filters, width)
    spectrum = np.fft.rfft(frames)
    gain = np.sum(filters**2, axis=1)[:, None]
    found = (
        np.fft.irfft(spectrum * np.abs(response) ** 2, width) / gain,
        np.fft.irfft(spectrum * response, width),
        np.fft.irfft(spectrum * response.conj(), width),
    )
    # The transform's wrapping round stays in the margins.
    correction, forward, backward = (rows[:, margin:-margin].reshape(-1)[: len(x)] for rows in found)
    scale = np.median(np.abs(found[0][:, ORDER:-ORDER]), axis=1) / 0.6745  # a Gaussian's median of |x|
    return _Errors(correction, forward, backward, np.repeat(scale, hop)[: len(x)])


def _filters(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prediction error filters 1, a_1 ... a_p of windowed frames, (frame, time) to (frame, ORDER + 1)."""
    windowed = frames * np.hanning(frames.shape[1])
    lags = np.fft.irfft(np.abs(np.fft.rfft(windowed)) ** 2)[:, : ORDER + 1]
    lags[:, 0] += _RIDGE * lags[:, 0] + 1e-30
    order = np.arange(ORDER)
    matrices = lags[:, np.abs(order[:, None] - order)]
    solved = np.linalg.solve(matrices, -lags[:, 1:, None])[..., 0]
    return np.concatenate([np.ones((len(frames), 1)), solved], axis=1)
