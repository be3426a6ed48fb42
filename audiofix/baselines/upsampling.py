"""A new upper band without a model of the source: copies of the lower one."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq

from audiofix.baselines.frames import Floats, Signal, hann, join, mono, split
from audiofix.errors import SettingError

FRAME, HOP = 1024, 256
LEAST_BINS = 8  # below the cutoff: a slope cannot be found in fewer than the four of their upper octave
QUIET = 1e-10  # power below a frame's strongest bin that counts as nothing, -100 dB


def slopes(power: Signal) -> Signal:
    """Least-squares slope of log power over the bins, never above 0: (frames, bins) to (frames,), 1 / bin.

    The base is e. Silence has slope 0.
    """
    logarithm = np.log(power + QUIET * power.max(axis=1, keepdims=True) + 1e-30)
    places = np.arange(power.shape[1]) - (power.shape[1] - 1) / 2
    return np.minimum(logarithm @ places / (places @ places), 0.0)


def replicated(spectra: np.ndarray, below: int) -> np.ndarray:
    """Fill the bins from `below` on with copies of the octave under them: (frames, bins) to (frames, bins).

    A copy moved up by s bins is exp(slope s / 2) as strong, so that the line through the octave's log power goes
    on, and turns by s HOP / FRAME cycles from frame to frame, so that a tone stays one tone.
    """
    first = below // 2
    targets = np.arange(below, spectra.shape[1])
    shifts = (targets - first) // (below - first) * (below - first)
    fall = np.exp(slopes(np.abs(spectra[:, first:below]) ** 2)[:, None] / 2 * shifts)
    turns = np.arange(len(spectra))[:, None] * shifts * HOP / FRAME
    filled = spectra.copy()
    filled[:, targets] = spectra[:, targets - shifts] * fall * np.exp(2j * np.pi * turns)
    return filled


def spectral_replication(x: Floats, sample_rate: float, cutoff_hz: float) -> Floats:
    """Fill the band from cutoff_hz on by copying the octave below it upward, as often as needed.

    Spectral band replication (Dietz, Liljeryd, Kjörling & Kunz 2002) without side information: the envelope of
    each frame continues the tilt of that octave, and never rises. x: (time,), full scale 1, at the target rate
    `sample_rate`, Hz; what it holds from the cutoff on is replaced, what is below comes back as it was, to the
    rounding of its dtype. Returns (time,) of that dtype. A cutoff at half the rate or more changes nothing.
    Raises SettingError for a cutoff below 8/1024 of the rate.
    """
    copies = copied(mono(x), sample_rate, cutoff_hz)
    if copies is None:
        return x.copy()
    upper = rfftfreq(len(x), 1 / sample_rate) >= cutoff_hz
    return irfft(np.where(upper, rfft(copies), rfft(mono(x))), len(x)).astype(x.dtype)


def copied(x: Signal, sample_rate: float, cutoff_hz: float) -> Signal | None:
    """The copies alone, (time,), right from the cutoff on, of which a sample depends on FRAME around it.

    Frames are counted from the start of x. None where there is nothing to fill. Raises as `spectral_replication`.
    """
    below = int(cutoff_hz / sample_rate * FRAME)
    if below < LEAST_BINS:
        lowest = sample_rate * LEAST_BINS / FRAME
        raise SettingError(f"the cutoff is {cutoff_hz:g} Hz; at {sample_rate:g} Hz give {lowest:g} or more")
    if below > FRAME // 2 or len(x) == 0:
        return None
    window = np.sqrt(hann(FRAME))
    spectra = rfft(split(x, FRAME, HOP) * window, axis=1)
    frames = irfft(replicated(spectra, below), FRAME, axis=1) * window
    return join(frames, HOP, len(x)) / (FRAME / HOP / 2)
