"""Simulated mixtures: windows of clean sources, varied as recordings vary, then set to levels and summed.

Waves are NumPy float32 (time,), full scale ±1; only `simulated_sources` hands over a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import soxr
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.companding import mu_compress, mu_expand
from audiofix.training.data import Folder

Wave = NDArray[np.float32]
Range = tuple[float, float]  # (low, high)

QUIET = 1e-3  # RMS of a pause, -60 dB re full scale: nothing to learn, and no gain may make it a source
TRIES = 4  # windows drawn before a source is left silent
ACTIVE_DB = 40.0  # a block this far below the loudest one is a pause within the window
FLOOR = 0.01  # least RMS of a mixture of sources of about unit RMS that is still scaled to the full target
PEAK = 0.999  # a hair below 1, because sums are rounded in another order elsewhere
LOWEST_HZ, POINTS, TAIL = (
    60.0,
    6,
    1024,
)  # equaliser: first control point, their number, samples of its response
FRAME = 512  # codec: samples of a short-time frame, half overlapping


@dataclass(frozen=True)
class Simulation:
    """How sources are varied before they are summed: ranges are (low, high), drawn uniformly; the rest are
    probabilities. Raises SettingError for a range upside down or a probability outside [0, 1].
    """

    level_db: Range = (-10.0, 10.0)  # of a source's active RMS against the first one's
    rms_db: Range = (
        -26.0,
        -14.0,
    )  # of the mixture re full scale; less where a peak would pass 1
    semitones: tuple[Range | tuple[()], ...] = ()  # per source, () or none: as it is; moves pitch and tempo
    equalise: float = 0.5  # a smooth gain curve within ±6 dB
    reverberate: float = (
        0.3  # RT60 0.15 to 0.8 s, wet level -20 to -3 dB; the reverberant source is the target
    )
    codec: float = 0.15  # band limit 3.4 to 7.5 kHz with noise that follows the spectrum, or coarse mu-law
    silent: float = 0.05  # per item: one source starts or stops in the middle, so one may be alone
    crowd: float = 0.1  # the source is the sum of two windows: two speakers, two pianos

    def __post_init__(self) -> None:
        for low, high in (self.level_db, self.rms_db, *filter(None, self.semitones)):
            if low > high:
                raise SettingError(f"simulation: range ({low}, {high}) is upside down; give (low, high)")
        for name in ("equalise", "reverberate", "codec", "silent", "crowd"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"simulation: {name} is a probability, {getattr(self, name)}; give 0 to 1")


def rms(x: Wave) -> float:
    """Root mean square amplitude of (time,)."""
    return math.sqrt(float(x @ x) / len(x))


def active_rms(x: Wave, block: int) -> float:
    """RMS amplitude of (time,) over those blocks of `block` samples that are not pauses; 0 for silence."""
    power = np.square(np.pad(x, (0, -len(x) % block))).reshape(-1, block).mean(axis=1)
    return math.sqrt(float(power[power >= power.max() * 10 ** (-ACTIVE_DB / 10)].mean()))


def transpose(x: Wave, semitones: float, length: int) -> Wave:
    """(time,) played faster by 2^(semitones/12), cut or zero-padded to (length,). Band-limited."""
    faster = soxr.resample(x, 2 ** (semitones / 12), 1.0, quality="HQ")[:length]
    return np.pad(faster, (0, length - len(faster)))


def equalise(x: Wave, gains_db: Wave, sample_rate: int) -> Wave:
    """(time,) with dB gains (point,) on points evenly spaced in log frequency, 60 Hz to Nyquist. Zero phase."""
    size = scipy.fft.next_fast_len(len(x) + TAIL, real=True)
    # 0 Hz has no logarithm; below the first point interp() holds its gain.
    octave = np.log2(np.maximum(scipy.fft.rfftfreq(size, 1 / sample_rate), 1.0))
    points = np.linspace(math.log2(LOWEST_HZ), math.log2(sample_rate / 2), len(gains_db))
    gain = np.exp(np.interp(octave, points, gains_db * (math.log(10) / 20))).astype(np.float32)
    return scipy.fft.irfft(scipy.fft.rfft(x, size) * gain, size)[: len(x)]


def reverberate(x: Wave, rt60: float, wet_db: float, sample_rate: int, generator: Generator) -> Wave:
    """(time,) plus its decaying echo: Gaussian noise that loses 60 dB in rt60 s, wet_db re the direct sound."""
    taps = max(2, round(rt60 * sample_rate))
    tail = generator.standard_normal(taps, dtype=np.float32)
    tail *= np.exp(-math.log(1000) / taps * np.arange(taps, dtype=np.float32))
    tail[0] = 0  # the direct sound's place
    tail *= 10 ** (wet_db / 20) / math.sqrt(float(tail @ tail))
    tail[0] = 1
    size = scipy.fft.next_fast_len(len(x) + taps - 1, real=True)
    return scipy.fft.irfft(scipy.fft.rfft(x, size) * scipy.fft.rfft(tail, size), size)[: len(x)]


def band_limited(x: Wave, cutoff: float, noise_db: float, sample_rate: int, generator: Generator) -> Wave:
    """(time,) without what lies above cutoff Hz, with noise noise_db re each short-time bin."""
    hop = FRAME // 2
    count = -(-len(x) // hop) + 1
    padded = np.pad(x, (hop, count * hop - len(x)))
    # A sine window twice is a Hann window, and half-overlapping Hann windows sum to one.
    window = np.sin(np.pi / FRAME * (np.arange(FRAME, dtype=np.float32) + 0.5))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::hop] * window
    kept = math.ceil(cutoff * FRAME / sample_rate)
    bins = scipy.fft.rfft(frames, axis=1)
    bins[:, kept:] = 0
    noise = generator.standard_normal((*bins[:, :kept].shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    # Two parts of unit variance are 3 dB too much; the second window takes them away again.
    bins[:, :kept] *= 1 + noise * np.float32(10 ** (noise_db / 20))
    frames = scipy.fft.irfft(bins, FRAME, axis=1) * window
    return (frames[1:, :hop] + frames[:-1, hop:]).reshape(-1)[: len(x)]


def quantised(x: Wave, steps: int) -> Wave:
    """(time,) rounded to 2 steps + 1 mu-law levels between its own negative and positive peak."""
    peak = float(np.abs(x).max()) or 1.0
    u = mu_compress(torch.from_numpy(x / peak))
    return mu_expand((u * steps).round_() / steps).numpy() * np.float32(peak)


def silenced(x: Wave, cut: int, keep_start: bool, fade: int) -> Wave:
    """(time,) that stops (keep_start) or starts at sample `cut`, with a linear fade of `fade` samples."""
    ramp = ((np.arange(len(x)) - cut) / fade).clip(0, 1).astype(np.float32)
    return x * (1 - ramp if keep_start else ramp)


def simulated_sources(
    folders: Sequence[Folder], batch: int, length: int, simulation: Simulation, generator: Generator
) -> Tensor:
    """(batch, source, length) float32, one source per folder; their sum over sources is the mixture.

    Everything drawn comes from `generator`. A source is all zeros where its folder gave only pauses.
    """
    items = [_item(folders, length, simulation, generator) for _ in range(batch)]
    return torch.from_numpy(np.stack(items))


def _item(folders: Sequence[Folder], length: int, simulation: Simulation, generator: Generator) -> Wave:
    ranges = [*(pair or (0.0, 0.0) for pair in simulation.semitones), *[(0.0, 0.0)] * len(folders)]
    sources = np.empty((len(folders), length), np.float32)
    for index, folder in enumerate(folders):
        level = generator.uniform(*simulation.level_db) if index else 0.0
        sign = generator.choice((-1.0, 1.0))  # microphones have either polarity
        source = _source(folder, length, ranges[index], simulation, generator)
        sources[index] = source * np.float32(sign * 10 ** (level / 20))
    if generator.random() < simulation.silent:
        chosen, cut = int(generator.integers(len(folders))), int(generator.uniform(0.2, 0.8) * length)
        fade = max(1, min(folders[chosen].sample_rate // 100, length // 10))
        sources[chosen] = silenced(sources[chosen], cut, bool(generator.integers(2)), fade)
    mixture = sources.sum(axis=0)
    gain = 10 ** (generator.uniform(*simulation.rms_db) / 20) / max(rms(mixture), FLOOR)
    peak = max(float(np.abs(sources).max()), float(np.abs(mixture).max()))
    return sources * np.float32(min(gain, PEAK / peak) if peak else 0.0)


def _source(folder: Folder, length: int, semitones: Range, how: Simulation, generator: Generator) -> Wave:
    """One varied source, (length,), of unit active RMS or zero."""
    rate = folder.sample_rate
    x = _voice(folder, length, semitones, generator)
    if generator.random() < how.crowd:
        second = _voice(folder, length, semitones, generator)
        x = x + second * np.float32(10 ** (generator.uniform(-6, 6) / 20))
    if generator.random() < how.equalise:
        x = equalise(x, generator.uniform(-6, 6, POINTS).astype(np.float32), rate)
    if generator.random() < how.reverberate:
        x = reverberate(x, generator.uniform(0.15, 0.8), generator.uniform(-20, -3), rate, generator)
    if generator.random() < how.codec:
        if generator.random() < 0.5:
            x = band_limited(x, generator.uniform(3400, 7500), generator.uniform(-25, -10), rate, generator)
        else:
            x = quantised(x, int(generator.integers(7, 64)))
    return _unit(x, rate)


def _voice(folder: Folder, length: int, semitones: Range, generator: Generator) -> Wave:
    """One window, transposed, (length,), of unit active RMS; zero when all that were drawn are pauses."""
    shift = generator.uniform(*semitones)
    for _ in range(TRIES):
        x: Wave = folder.window(round(length * 2 ** (shift / 12)) + (2 if shift else 0), generator).numpy()
        if rms(x) >= QUIET:
            return _unit(transpose(x, shift, length) if shift else x, folder.sample_rate)
    return np.zeros(length, np.float32)


def _unit(x: Wave, sample_rate: int) -> Wave:
    """(time,) at unit active RMS over blocks of 20 ms; quieter than a pause, it is raised by 60 dB at most."""
    return x / np.float32(max(active_rms(x, max(1, sample_rate // 50)), QUIET))
