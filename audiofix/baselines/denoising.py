"""Taking white or coloured noise away, frame by frame, where its spectrum is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.fft import irfft, rfft
from scipy.special import exp1

from audiofix.baselines.frames import Floats, Signal, hann, join, mono, split
from audiofix.errors import SettingError

BINS = 1025  # of a noise profile
FRAME, OVERLAP = 1024, 4
TINY = 1e-30
# A-priori SNR that speech and music are never thought to fall below, -25 dB (Cappé 1994); gains that silence
# less leave noise, gains that silence more leave tones of noise.
LEAST_SNR = 10**-2.5

Profile = float | Floats
Gain = Callable[[Signal, Signal], Signal]


def noise_power(profile: Profile, frame: int) -> Signal:
    """Expected power of the noise in the bins of a windowed frame, (frame / 2 + 1,).

    profile: standard deviation of white noise that is as dense, for all frequencies or for those of a DFT of
    2048 samples, (1025,). Raises SettingError for other shapes and for numbers below 0 or not finite.
    """
    deviations = np.asarray(profile, np.float64)
    if deviations.shape not in {(), (BINS,)} or not (np.isfinite(deviations) & (deviations >= 0)).all():
        raise SettingError(
            f"the profile has shape {deviations.shape}; give one number or {BINS}, finite and not below 0"
        )
    curve = np.broadcast_to(deviations, BINS)
    places = np.linspace(0, BINS - 1, frame // 2 + 1)
    return np.interp(places, np.arange(BINS), curve) ** 2 * hann(frame).sum()


def spectra(x: Floats, frame: int) -> np.ndarray:
    """Windowed by the root of a Hann window, which comes twice: (time,) to (frames, frame / 2 + 1)."""
    if frame < 2 * OVERLAP or frame % OVERLAP:
        raise SettingError(f"frames of {frame} samples; give a multiple of {OVERLAP}, {2 * OVERLAP} or more")
    return rfft(split(mono(x), frame, frame // OVERLAP) * np.sqrt(hann(frame)), axis=1)


def resynthesised(spectrum: np.ndarray, frame: int, like: Floats) -> Floats:
    """The inverse of `spectra` where nothing was changed: (frames, bins) to the length and dtype of `like`."""
    frames = irfft(spectrum, frame, axis=1) * np.sqrt(hann(frame))
    return (join(frames, frame // OVERLAP, len(like)) / (OVERLAP / 2)).astype(like.dtype)


def spectral_subtraction(
    x: Floats, profile: Profile, oversubtraction: float = 4.0, floor: float = 0.01, frame: int = FRAME
) -> Floats:
    """Subtract the noise's power from each frame's (Berouti, Schwartz & Makhoul 1979).

    |X|² becomes max(|X|² - alpha N, floor N), the phase stays, and alpha falls with the SNR of the frame:
    alpha = oversubtraction - 3/20 SNR_dB between -5 and 20 dB, never below 1. x: (time,), full scale 1;
    profile: see `noise_power`; `frame`: samples, 64 ms at 16 kHz by default. Returns (time,) of the same dtype.
    Raises SettingError as `noise_power` does, and for numbers out of range.
    """
    if not (oversubtraction >= 0 and 0 <= floor <= 1):
        raise SettingError(
            f"oversubtraction {oversubtraction:g}, floor {floor:g}; give 0 or more, and a share of 0 to 1"
        )
    noisy, noise = spectra(x, frame), noise_power(profile, frame)
    power = np.abs(noisy) ** 2
    decibels = 10 * np.log10((power.sum(axis=1) + TINY) / (noise.sum() + TINY))
    alpha = np.maximum(oversubtraction - 3 / 20 * np.clip(decibels, -5, 20), 1.0)[:, None]
    # The floor is noise that was there: silence stays silent.
    left = np.minimum(np.maximum(power - alpha * noise, floor * noise), power)
    return resynthesised(noisy * np.sqrt(left / (power + TINY)), frame, x)


def wiener_gain(prior: Signal, _posterior: Signal) -> Signal:
    """The linear filter xi / (1 + xi)."""
    return prior / (1 + prior)


def log_mmse_gain(prior: Signal, posterior: Signal) -> Signal:
    """The gain xi / (1 + xi) exp(E1(v) / 2), v = xi gamma / (1 + xi) (Ephraim & Malah 1985, eq. 20); at most 1."""
    share = prior / (1 + prior)
    return np.minimum(share * np.exp(exp1(np.maximum(share * posterior, 1e-10)) / 2), 1.0)


def decision_directed(
    noisy: np.ndarray, noise: Signal, gain: Gain, memory: float, before: Signal | None = None
) -> np.ndarray:
    """Each frame's a-priori SNR from what the frame before became (Ephraim & Malah 1984, eq. 51).

    xi = memory A²/N of the frame before + (1 - memory) max(gamma - 1, 0), gamma = |X|²/N. (frames, bins) and
    (bins,) to (frames, bins). before: A²/N of the frame before the first, (bins,); none: 0.
    """
    clean, before = np.empty_like(noisy), np.zeros_like(noise) if before is None else before
    for index, frame in enumerate(noisy):
        posterior = np.abs(frame) ** 2 / (noise + TINY)
        prior = memory * before + (1 - memory) * np.maximum(posterior - 1, 0)
        clean[index] = frame * gain(np.maximum(prior, LEAST_SNR), posterior)
        before = np.abs(clean[index]) ** 2 / (noise + TINY)
    return clean


def wiener(x: Floats, profile: Profile, memory: float = 0.95, frame: int = FRAME) -> Floats:
    """Wiener's filter with the decision-directed a-priori SNR (Ephraim & Malah 1984; Scalart & Filho 1996).

    x: (time,), full scale 1; profile: see `noise_power`; memory: 0 to 1, share of the frame before; `frame`:
    samples, 64 ms at 16 kHz by default. Returns (time,) of the same dtype. Raises SettingError as `noise_power`
    does, and for a memory out of range.
    """
    return _filtered(x, profile, wiener_gain, memory, frame)


def wiener_in_order(
    read: Callable[[int, int], Signal],
    time: int,
    profile: Profile,
    frame: int = FRAME,
    stretch: int = 1 << 18,
    memory: float = 0.95,
) -> Iterator[Signal]:
    """`wiener` of samples [0, time) that `read` gives stretch by stretch, the very same: (stretch,) each.

    What a frame became is carried from one stretch to the next. stretch: samples, a multiple of `frame`.
    """
    noise, hop = noise_power(profile, frame), frame // OVERLAP
    before: Signal | None = None
    for start in range(0, time, stretch):
        left, stop = max(0, start - frame), min(time, start + stretch)
        noisy = spectra(read(left, min(time, stop + frame)), frame)
        # Of a stretch that is not the first, frames are whole from here on; the one before has been cleaned.
        first = OVERLAP if left else 0
        noisy = noisy[first:]
        clean = decision_directed(noisy, noise, wiener_gain, memory, before)
        if stop < time:  # the frame that ends where the next stretch begins
            before = np.abs(clean[(stop - left) // hop - first - 1]) ** 2 / (noise + TINY)
        whole = np.concatenate([np.zeros((first, clean.shape[1]), clean.dtype), clean])
        found = resynthesised(whole, frame, np.zeros(min(time, stop + frame) - left))
        yield found[start - left : stop - left].astype(np.float64)


def log_mmse(x: Floats, profile: Profile, memory: float = 0.95, frame: int = FRAME) -> Floats:
    """Least squared error of the log amplitude (Ephraim & Malah 1985); all else as for `wiener`."""
    return _filtered(x, profile, log_mmse_gain, memory, frame)


def _filtered(x: Floats, profile: Profile, gain: Gain, memory: float, frame: int) -> Floats:
    if not 0 <= memory <= 1:
        raise SettingError(f"memory {memory:g}; give a share of 0 to 1")
    noisy, noise = spectra(x, frame), noise_power(profile, frame)
    return resynthesised(decision_directed(noisy, noise, gain, memory), frame, x)
