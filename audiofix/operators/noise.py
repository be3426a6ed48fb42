"""Noise: stationary Gaussian noise was added, white or coloured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from audiofix.errors import SettingError


@dataclass(frozen=True, eq=False)
class Noise:
    """y = x + noise of known density. What it says of x is a Gaussian, so there is a mean but no projection.

    Attributes
    ----------
    profile
        (bin,) float: standard deviation that white noise of the same density has, full-scale amplitude, > 0, at
        frequencies spread evenly from 0 to the Nyquist frequency; one number for white noise.

    Raises
    ------
    SettingError
        A profile that is not one-dimensional, positive and finite.
    """

    profile: Tensor

    def __post_init__(self) -> None:
        good = (
            self.profile.ndim == 1
            and len(self.profile) > 0
            and bool((self.profile.isfinite() & (self.profile > 0)).all())
        )
        if not good:
            raise SettingError("a noise profile is one row of positive standard deviations; measure it anew")

    @property
    def std(self) -> float:
        """Standard deviation of the noise as a whole."""
        return float(self.profile.double().square().mean().sqrt())

    @property
    def white(self) -> bool:
        """Whether all frequencies have the same density."""
        return bool((self.profile == self.profile[0]).all())

    def combine(self, estimate: Tensor, y: Tensor, variance: float) -> Tensor:
        """Mean of x given y and an estimate with a white error of that variance: the two weighted by precision.

        (..., time) each. Frequency by frequency, round a circle.
        """
        if self.white:
            return estimate + variance / (variance + float(self.profile[0]) ** 2) * (y - estimate)
        time = y.shape[-1]
        place = torch.arange(time // 2 + 1, dtype=torch.float64) * (2 * (len(self.profile) - 1) / time)
        below = place.long().clamp(max=len(self.profile) - 2)
        power = self.profile.double().square()
        density = torch.lerp(power[below], power[below + 1], place - below).to(y.device)
        weight = variance / (variance + density)
        return estimate + irfft(rfft((y - estimate).double()) * weight, n=time).to(y)
