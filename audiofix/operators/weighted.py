"""A filter without delay whose response is given at some frequencies, round a circle or stretch by stretch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fft import irfft, rfft

from audiofix.operators.local import Blocks, Read, smoothed


@dataclass(frozen=True)
class Weighted:
    """y = x, each frequency times its factor: between those given along a line, outside of them 0. Linear.

    Attributes
    ----------
    rate
        Hz, of x and of y.
    hertz, factors
        Rising frequencies, and the amplitude at each.
    """

    rate: int
    hertz: tuple[float, ...]
    factors: tuple[float, ...]

    def at(self, hertz: Tensor) -> Tensor:
        """The response at these frequencies, float64."""
        found = np.interp(hertz.numpy(), self.hertz, self.factors, left=0.0, right=0.0)
        return torch.from_numpy(np.asarray(found))

    def forward(self, x: Tensor) -> Tensor:
        """(..., time) to the same, round a circle."""
        spectrum = rfft(x.double())
        response = self.at(torch.fft.rfftfreq(x.shape[-1], 1 / self.rate).double()).to(x.device)
        return irfft(spectrum * response, n=x.shape[-1]).to(x)

    def over(self, read: Read, start: int, stop: int) -> Tensor:
        """Samples [start, stop) of y from x as `read` gives it: as `forward`, but for the slopes of `local`."""
        blocks = Blocks(self.rate, self.rate)
        size = blocks.size(self.rate)
        hertz = torch.arange(6 * size + 1, dtype=torch.float64) * self.rate / (12 * size)
        return blocks.apply(smoothed(self.at(hertz), size, self.rate), read, start, stop)
