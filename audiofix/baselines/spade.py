"""The sparsest spectrum whose signal lies in a box: SPADE, for declipping and dequantising alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from audiofix.baselines.frames import Floats, Signal, hann, join, split
from audiofix.errors import SettingError

Spectra = NDArray[np.complexfloating]

TOGETHER = 128  # frames worked at once: their spectra stay in the cache


@dataclass(frozen=True)
class Spade:
    """Settings of the algorithm; lengths in samples, so scale `frame` with the rate. The defaults are for 16 kHz.

    Raises SettingError for lengths that do not fit and numbers out of range.
    """

    frame: int = 1024  # even
    overlap: int = 4  # frames that share a sample, even
    redundancy: int = 2  # bins of the spectrum per sample of the frame
    rise: float = 1.0  # by how many bins the spectra grow in each iteration, above 0
    tolerance: float = 0.02  # of what is left over at the end, relative to what the caller counts as 1

    def __post_init__(self) -> None:
        if self.overlap < 2 or self.overlap % 2 or self.frame < 2 or self.frame % self.overlap:
            raise SettingError(
                f"frames of {self.frame} with overlap {self.overlap}; give an even overlap that divides the frame"
            )
        if self.redundancy < 1 or self.rise <= 0 or self.tolerance <= 0:
            raise SettingError("redundancy, rise and tolerance; give 1 or more, and numbers above 0")


def analyse(x: Floats, redundancy: int) -> Spectra:
    """A x, a Parseval frame: the DFT of frames with zeros appended. (frames, frame) to (frames, bins)."""
    return rfft(x, x.shape[1] * redundancy, axis=1, norm="ortho")


def synthesise(z: Spectra, frame: int, redundancy: int) -> Floats:
    """The adjoint of `analyse`: (frames, bins) to (frames, frame)."""
    return irfft(z, frame * redundancy, axis=1, norm="ortho")[:, :frame]


def keep_largest(z: Spectra, count: int) -> Spectra:
    """Hard thresholding: in each row all but the `count` largest numbers become 0, at least one stays."""
    if count >= z.shape[1]:
        return z
    power = z.real**2 + z.imag**2
    least = np.partition(power, -count, axis=1)[:, -count, None]
    return np.where(power >= least, z, 0)


def norms(z: Spectra) -> Floats:
    """Root energy of whole spectra of which half is given, (frames, bins) to (frames,)."""
    power = z.real**2 + z.imag**2
    return np.sqrt(2 * power.sum(axis=1) - power[:, 0] - power[:, -1])


def solve(x: Floats, lower: Floats, upper: Floats, enough: Floats, how: Spade) -> Floats:
    """A-SPADE (Kitić, Bertin & Gribonval 2015, algorithm 2; Záviška, Rajmic, Mokrý & Průša 2019) for frames.

    Seeks x in the box with few large coefficients A x, by ADMM whose sparsity k rises (H_k: hard thresholding):

        z = H_k(A x + u),   x = P(Aᴴ(z - u)),   u = u + A x - z,   until |A x - z| <= enough

    With a Parseval frame clipping Aᴴ(z - u) to the box is the exact second step. x, the start, and the bounds:
    (frames, frame), infinite where there is none; `enough`: (frames,). Returns (frames, frame), in the box.
    """
    done, active = x.copy(), np.arange(len(x))
    spectra = analyse(x, how.redundancy)
    dual, bins = np.zeros_like(spectra), spectra.shape[1]
    for iteration in range(1, int(bins / how.rise) + 1):
        sparse = keep_largest(spectra + dual, max(1, int(iteration * how.rise)))
        x = np.clip(synthesise(sparse - dual, x.shape[1], how.redundancy), lower, upper)
        spectra = analyse(x, how.redundancy)
        left_over = spectra - sparse
        dual += left_over
        ended = norms(left_over) <= enough
        if ended.any():
            done[active[ended]] = x[ended]
            going = ~ended
            active, enough = active[going], enough[going]
            x, lower, upper = x[going], lower[going], upper[going]
            spectra, dual = spectra[going], dual[going]
        if len(active) == 0:
            break
    done[active] = x
    return done


def sparsest(x: Signal, lower: Signal, upper: Signal, unit: float | None, how: Spade) -> Signal:
    """The signal between two bounds that has the sparsest frames, starting with x, (time,) each.

    `how.tolerance` counts, frame by frame, in `unit`, a standard deviation of full scale 1, or if there is
    none in the root mean square of the frame. Where no bound leaves any freedom x is returned as it is.

    Frames are windowed, and so are their bounds; adding them up averages signals that each keep the bounds.
    """
    window, hop = hann(how.frame).astype(np.float32), how.frame // how.overlap
    pieces = split(x.astype(np.float32), how.frame, hop)
    lows, highs = (split(bound.astype(np.float32), how.frame, hop) for bound in (lower, upper))
    restored = pieces * window
    free = np.flatnonzero((lows < highs).any(axis=1))
    for first in range(0, len(free), TOGETHER):
        rows = free[first : first + TOGETHER]
        start = restored[rows]
        root = np.sqrt((window**2).sum())
        enough = np.linalg.norm(start, axis=1) if unit is None else np.full(len(rows), unit * root)
        restored[rows] = solve(start, lows[rows] * window, highs[rows] * window, how.tolerance * enough, how)
    return np.clip(join(restored, hop, len(x)) / (how.overlap / 2), lower, upper)
