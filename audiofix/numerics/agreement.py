"""The mean of draws, less of it where they do not agree: what they have by chance is no news of the truth.

The mean of K draws has a K-th of their variance besides the posterior mean, and where phases are anybody's guess
that is all it has. In each stretch of time and frequency the mean is shrunk, as James & Stein (1961) do, but by
twice the share of its power that is chance: with m the power of the posterior mean and c that of chance, the share
(m - c) / (m + c) of the mean errs by c, as all of it does, and none by m; so the error is the lesser of the two,
never more than silence has. Half as much shrinking would err least if draws were as far apart as they should be;
networks' draws agree on what is not so.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

WINDOW, HOP = 512, 128  # samples: 32 and 8 ms at 16 kHz
BINS, FRAMES = 9, 33  # that a share is found over: 280 Hz and 0.26 s at 16 kHz
REACH = WINDOW + (FRAMES // 2 + 1) * HOP  # samples on either side that a sample depends on, at most
BLOCK = 1024 * HOP  # samples worked on at once
CAUTION = 2.0  # times chance is counted
FEWEST = 4  # draws: of fewer it is not found out what they share


def agreed(read: Callable[[int, int], Tensor], start: int, stop: int) -> Tensor:
    """Samples [start, stop) of the mean, shrunk: (batch, time).

    read: samples [first, last) of all draws, (draw, batch, time) with two draws or more, silence outside of the
    recording. Frames are counted from sample 0, so that any two stretches agree on what they share, but for
    rounding.
    """
    margin = -(-REACH // HOP) * HOP
    parts = []
    for first in range(start // HOP * HOP, stop, BLOCK):
        last = min(first + BLOCK, -(-stop // HOP) * HOP)
        found = _shrunk(read(first - margin, last + margin))
        parts.append(found[:, margin : margin + last - first])
    if not parts:
        return read(start, stop).mean(dim=0)
    lead = start % HOP
    return torch.cat(parts, dim=1)[:, lead : lead + stop - start]


def _shrunk(draws: Tensor) -> Tensor:
    """(draw, batch, time) to (batch, time); the margins' ends are of no use."""
    count, batch, time = draws.shape
    hann = torch.hann_window(WINDOW, dtype=draws.dtype, device=draws.device)
    spectra = torch.stft(
        draws.flatten(0, 1), WINDOW, HOP, window=hann, pad_mode="constant", return_complex=True
    ).unflatten(0, (count, batch))
    mean = spectra.mean(dim=0)
    apart = spectra - mean
    chance = (apart.real.square() + apart.imag.square()).sum(dim=0) / ((count - 1) * count)
    power = mean.real.square() + mean.imag.square()
    share = 1 - CAUTION * _around(chance) / _around(power).clamp(min=1e-20)
    return torch.istft(mean * share.clamp(min=0.0), WINDOW, HOP, window=hann, length=time)


def _around(power: Tensor) -> Tensor:
    """Mean over BINS by FRAMES: (batch, bin, frame) to the same; outside counts as zero."""
    return avg_pool2d(power[:, None], (BINS, FRAMES), 1, (BINS // 2, FRAMES // 2))[:, 0]
