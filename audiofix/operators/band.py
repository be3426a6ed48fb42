"""Band: a signal heard at another sample rate, or at the same one, without what lies above a frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from torch.fft import irfft, rfft

from audiofix.errors import InputError, SettingError


@dataclass(frozen=True)
class Band:
    """y = x at `to_rate`, of which only what lies below `cutoff` is known. Linear; any two rates.

    An ideal filter round a circle: it keeps or drops bins of the DFT. So A⁺ = (N / n) Aᵀ for N samples of x and n
    of y, and both are exact. Ends that do not meet ring: work on a recording that fades at both ends.

    Attributes
    ----------
    from_rate, to_rate
        Hz, whole numbers > 0, of x and of y.
    cutoff
        Hz, > 0; below it the band is known. The Nyquist frequencies of both rates bound it as well.

    Raises
    ------
    SettingError
        A rate or cutoff that is not positive.
    """

    from_rate: int
    to_rate: int
    cutoff: float = math.inf

    def __post_init__(self) -> None:
        if min(self.from_rate, self.to_rate) <= 0 or not self.cutoff > 0:
            raise SettingError(
                f"rates {self.from_rate} and {self.to_rate} Hz, cutoff {self.cutoff:g} Hz; give positive ones"
            )

    @property
    def block(self) -> int:
        """Samples of x whose number goes into y's rate as a whole number: lengths are multiples of it."""
        return self.from_rate // math.gcd(self.from_rate, self.to_rate)

    def heard(self, time: int) -> int:
        """How many samples of y belong to so many of x. Raises InputError where that is no whole number."""
        if time % self.block:
            raise InputError(
                f"{time} samples at {self.from_rate} Hz are no whole number at {self.to_rate} Hz; pad them to a "
                f"multiple of {self.block}"
            )
        return time // self.block * (self.to_rate // math.gcd(self.from_rate, self.to_rate))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to (batch, source, time')."""
        time = self.heard(x.shape[-1])
        return self._moved(x, time) * (time / x.shape[-1])

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """The adjoint: (batch, source, time') to the shape of x."""
        return self._moved(residual, x.shape[-1])

    def invert(self, y: Tensor) -> Tensor:
        """A⁺ y, nothing above the cutoff: (batch, source, time') to (batch, source, time)."""
        back = Band(self.to_rate, self.from_rate, self.cutoff)
        return back.forward(y)

    def start(self, y: Tensor, sources: int) -> Tensor:
        """The known band, nothing above it: (batch, 1 or sources, time') to (batch, sources, time)."""
        return self.invert(y).expand(-1, sources, -1)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The known band from y, the rest from x: x + A⁺(y - A x)."""
        self.heard(x.shape[-1])  # refuses
        time = x.shape[-1]
        # Both terms of y - A x are wanted as spectra only: three transforms, where four would be plain.
        wanted = self._spectrum(y, time) * (time / y.shape[-1])
        return x + irfft(wanted - self._spectrum(x, y.shape[-1]), n=time).to(x)

    def _moved(self, wave: Tensor, time: int) -> Tensor:
        """The bins below the cutoff put into a spectrum of `time` samples."""
        return irfft(self._spectrum(wave, time), n=time).to(wave)

    def _spectrum(self, wave: Tensor, other: int) -> Tensor:
        """The bins below the cutoff that a wave of `other` samples has as well."""
        # float64: at low frequencies of long files float32 leaves -100 dB of what is to come back unchanged.
        return rfft(wave.double())[..., : self._bins(wave.shape[-1], other)]

    def _bins(self, time: int, other: int) -> int:
        """How many bins lie below the cutoff and both Nyquist frequencies. The Nyquist bin itself is not kept."""
        least = (min(time, other) - 1) // 2 + 1
        seconds = max(time, other) / max(self.from_rate, self.to_rate)
        return max(1, min(least, math.ceil(min(self.cutoff * seconds, least))))
