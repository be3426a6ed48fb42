"""A recording before and after, seen from so far that a picture has columns enough, in memory that stays flat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.numerics.spread import HOP, WINDOW

COLUMNS = 1500  # at most
TOGETHER = 1024  # frames worked at once
SILENCE = 1e-20  # power, -200 dB

Read = Callable[[int, int], Tensor]  # samples [start, stop), (channel, stop - start)


@dataclass(frozen=True)
class Overview:
    """Spectrograms (bin, column) in dB, not below -200, of the mean over channels.

    before, after: mean power over a column's frames; change: the loudest frame's, so that what is short is not
    lost in a long column; touched: (column,) share of samples that differ, in any channel.
    frames: in a column, HOP samples apart; start: the first sample that is looked at.
    """

    before: Tensor
    after: Tensor
    change: Tensor
    touched: Tensor
    frames: int
    start: int = 0

    @property
    def columns(self) -> int:
        """How many there are."""
        return len(self.touched)

    def sample(self, column: int) -> int:
        """Where a column begins."""
        return self.start + column * self.frames * HOP

    @property
    def most(self) -> int:
        """The column in whose frames the power of the change is greatest."""
        return int((10 ** (self.change.double() / 10)).sum(dim=0).argmax())


def overview(before: Read, after: Read, start: int, stop: int, columns: int = COLUMNS) -> Overview:
    """What happened between samples start and stop; outside is silence.

    Where no more than `columns` frames are needed the spectrograms are those of `spread.level_db`.
    """
    count = 1 + (stop - start) // HOP
    each = -(-count // columns)
    step = max(1, TOGETHER // each) * each
    found = [_part(before, after, start, stop, first, min(count, first + step), each)
             for first in range(0, count, step)]  # fmt: skip
    whole = [torch.cat(parts, dim=-1) for parts in zip(*found, strict=True)]
    levels = [10 * torch.log10(power + SILENCE) for power in whole[:3]]
    return Overview(levels[0], levels[1], levels[2], whole[3], each, start)


def _part(
    before: Read, after: Read, start: int, stop: int, first: int, last: int, each: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Powers (bin, column) and shares (column,) of frames [first, last)."""
    left, right = start + first * HOP - WINDOW // 2, start + (last - 1) * HOP + WINDOW // 2
    begin, end = max(start, left), min(stop, right)
    waves = [read(begin, end).float() for read in (before, after)]
    moved = (waves[0] != waves[1]).any(dim=0)
    moved = moved[max(0, start + first * HOP - begin) : max(0, start + last * HOP - begin)]
    around = (begin - left, right - end)
    mono = [torch.nn.functional.pad(wave.mean(dim=0), around) for wave in waves]
    power = [_powers(wave) for wave in (*mono, mono[1] - mono[0])]
    groups = [one.split(each, dim=1) for one in power]
    means = [torch.stack([group.mean(dim=1) for group in one], dim=1) for one in groups[:2]]
    loudest = torch.stack([group.amax(dim=1) for group in groups[2]], dim=1)
    parts = moved.float().split(each * HOP) if len(moved) else ()
    shares = torch.stack([part.mean() for part in parts]) if parts else torch.zeros(0)
    missing = loudest.shape[1] - len(shares)  # a last frame that is centred on the end
    return means[0], means[1], loudest, torch.nn.functional.pad(shares, (0, missing))


def _powers(wave: Tensor) -> Tensor:
    """(time,) to (bin, frame), frames HOP apart that lie within."""
    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(wave, WINDOW, HOP, window=window, center=False, return_complex=True)
    return spectrum.abs().square()
