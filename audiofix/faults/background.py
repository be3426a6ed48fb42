"""The noise that a recording has in its pauses, to be continued where its band ends."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter
from torch import Tensor

from audiofix.faults.frames import WIDTH, power_frames
from audiofix.faults.noise import TOO_MANY, fading, steady

LOW, HIGH = 0.5, 0.9  # of the cut-off: where the noise is measured, below the filter's slope
LEAST = 16  # frames
FLAT = (
    2.0  # in power, between the lower and the upper half of what is measured: what falls cannot be continued
)


def background(samples: Tensor, sample_rate: int, cutoff: float) -> float:
    """Standard deviation of white noise as loud as a recording's own is below its cut-off; 0 where it has none.

    Measured between half and 0.9 of the cut-off as `find_noise` does, and taken for none by the same test: what
    fades has more faint frames than noise has. What is not as loud in the lower half of that band as in the upper
    one is left alone too, for nobody knows how it goes on.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1.
    sample_rate, cutoff
        Hz, > 0.
    """
    return background_among(power_frames(samples.detach().cpu().double().numpy()), sample_rate, cutoff)


def background_among(frames: NDArray[np.float64], sample_rate: int, cutoff: float) -> float:
    """`background` of a recording with these power spectra (frame, 1025)."""
    first, last = (math.ceil(share * cutoff * WIDTH / sample_rate) for share in (LOW, HIGH))
    frames = frames[:, first : min(last, frames.shape[1])]
    if len(frames) < LEAST or frames.shape[1] < LEAST:
        return 0.0
    power = percentile_filter(steady(frames), 30, size=LEAST, mode="mirror")
    if not power.min() > 0 or fading(frames, power) > TOO_MANY:
        return 0.0
    lower, upper = (float(np.median(half)) for half in np.array_split(power, 2))
    return math.sqrt(upper) if max(lower, upper) < FLAT * min(lower, upper) else 0.0
