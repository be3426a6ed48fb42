"""How far a recording's own filter has fallen where its band ends, so that what it left can be raised again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiofix.faults.frames import WIDTH, Signal

LOW, HIGH = 0.8, 0.89  # of where the filter ends: the stretch below its slope that the line is fitted to
NEAR = 1  # bins on either side that a level is averaged with
TAKEN = 0.7  # share of a shortfall in dB that is made up for: the line is a guess
MOST_DB = 12.0  # that a bin is raised by
LOST_DB = 32.0  # of shortfall, beyond which what is left is rounding and aliases: taken for nothing
LEAST = 16  # frames, and bins of the line


@dataclass(frozen=True)
class Slope:
    """What a filter left between two frequencies, and by how much to raise it.

    Attributes
    ----------
    hertz
        Frequencies, rising; outside of them nothing is kept.
    factors
        Amplitude at each: 0 where nothing is left, else 1 to 10^(MOST_DB / 20).
    """

    hertz: tuple[float, ...]
    factors: tuple[float, ...]


def slope_among(frames: Signal, sample_rate: int, first: float, last: float) -> Slope:
    """The slope of a filter between two frequencies in Hz, of a recording with these power spectra (frame, 1025).

    The mean spectrum goes on above the slope as it came, as a line in dB that does not rise; what it falls short
    of that is the filter's. Of a recording too short to tell, all is kept as it is.
    """
    hertz = np.arange(frames.shape[1]) * sample_rate / WIDTH
    inside = (hertz > first) & (hertz < last)
    flat = (hertz >= LOW * last) & (hertz < min(HIGH * last, first))
    places = np.concatenate([[first], hertz[inside], [last]])
    if len(frames) < LEAST or flat.sum() < LEAST or not inside.any():
        return Slope(tuple(map(float, places)), (1.0,) * len(places))
    power = np.maximum(frames.mean(axis=0), 1e-30)
    tilt, level = np.polyfit(hertz[flat] - hertz[flat].mean(), 10 * np.log10(power[flat]), 1)
    line = level + min(0.0, tilt) * (hertz - hertz[flat].mean())
    around = np.convolve(power, np.full(2 * NEAR + 1, 1 / (2 * NEAR + 1)), "same")
    missing = (line - 10 * np.log10(around))[inside]
    factors = np.where(missing > LOST_DB, 0.0, 10 ** (np.clip(TAKEN * missing, 0.0, MOST_DB) / 20))
    ends = np.concatenate([factors[:1], factors, factors[-1:]])
    return Slope(tuple(map(float, places)), tuple(map(float, ends)))
