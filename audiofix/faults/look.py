"""What a recording shows of its faults, whether it is in memory or read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiofix.faults.bandwidth import Cutoff, cutoff_among
from audiofix.faults.clipping import Clipping, Parts, clipping_in_parts, parts_of, plateau_in_parts
from audiofix.faults.depth import Depth, depth_in_parts
from audiofix.faults.frames import power_frames
from audiofix.faults.gaps import FoundGap, find_gaps
from audiofix.faults.noise import Noise, noise_among


@dataclass(frozen=True)
class Look:
    """Finders of one recording.

    raw: its parts as they are; frames: its power spectra, see `faults.frames`; lost: its gaps.
    """

    sample_rate: int
    raw: Parts
    frames: Callable[[], NDArray[np.float64]]
    lost: Callable[[], list[FoundGap]]

    def finite(self) -> Iterable[NDArray[np.float64]]:
        """Parts with zeros for what is no number."""
        return (np.nan_to_num(x) for x in self.raw())

    def peak(self) -> float:
        """Largest magnitude."""
        return max(float(np.abs(x).max(initial=0.0)) for x in self.finite())

    def power(self) -> float:
        """Mean square."""
        total, count = 0.0, 0
        for x in self.finite():
            with np.errstate(over="ignore"):  # what is no number outside of gaps is refused later
                total += float(np.square(x).sum())
            count += x.size
        return total / count

    def clipping(self) -> Clipping | None:
        """See `find_clipping`."""
        return clipping_in_parts(self.finite)

    def plateau(self) -> float | None:
        """See `find_plateau`."""
        return plateau_in_parts(self.raw)

    def depth(self) -> Depth | None:
        """See `find_depth`."""
        return depth_in_parts(self.finite)

    def noise(self) -> Noise | None:
        """See `find_noise`."""
        return noise_among(self.frames(), self.sample_rate)

    def cutoff(self) -> Cutoff | None:
        """See `find_cutoff`."""
        return cutoff_among(self.frames(), self.sample_rate)

    def gaps(self) -> list[FoundGap]:
        """See `find_gaps`."""
        return self.lost()


def look_at(samples: Tensor, sample_rate: int) -> Look:
    """Of (channel, time) in memory, full scale +-1."""

    def frames() -> NDArray[np.float64]:
        return power_frames(np.nan_to_num(samples.detach().cpu().double().numpy()))

    return Look(sample_rate, parts_of(samples), frames, lambda: find_gaps(samples, sample_rate))
