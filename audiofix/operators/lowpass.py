"""Low-pass: the recording has a lower sample rate, so it lacks the upper band."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fft import irfft, rfft
from torch.nn.functional import pad

from audiofix.errors import InputError, SettingError

PASSBAND = 0.9
# dB, in Kaiser's formulas; 80 are promised, and the formulas are good to a fraction of one.
ATTENUATION = 82.0
STOPPED = 1e-4


def low_pass_taps(factor: int, passband: float = PASSBAND) -> Tensor:
    """Linear-phase low-pass before decimation: a sinc in a Kaiser window (Kaiser 1974).

    Flat to 1e-4 up to `passband` times the new Nyquist frequency, 1e-4 (-80 dB) or less from the new Nyquist
    frequency upwards. Returns (2 L + 1,) float64, symmetric, of sum 1; L is about 5.2 factor / (1 - passband).
    Raises SettingError for a factor below 2 or a passband outside 0 to 1.
    """
    if factor < 2 or not 0 < passband < 1:
        raise SettingError(
            f"factor is {factor} and passband {passband:g}; give a whole factor of 2 or more and the share of "
            "the new band that stays flat, between 0 and 1"
        )
    width = (1 - passband) / (2 * factor)  # of the transition, cycles per sample
    half = math.ceil((ATTENUATION - 7.95) / (14.36 * width) / 2)
    time = torch.arange(-half, half + 1, dtype=torch.float64)
    beta = 0.1102 * (ATTENUATION - 8.7)
    window = torch.kaiser_window(len(time), periodic=False, beta=beta, dtype=torch.float64)
    # The middle of the transition is the cut-off: (1 + passband) / 2 of the new Nyquist frequency.
    taps = torch.sinc((1 + passband) / (2 * factor) * time) * window
    return taps / taps.sum()


def decimate(x: Tensor, factor: int, passband: float = PASSBAND) -> Tensor:
    """Low-pass without delay, then keep every factor-th sample from the first; outside is silence.

    This makes the benchmark's inputs. (..., time) to (..., ceil(time / factor)), any scale, dtype of x.
    Raises as `low_pass_taps` does.
    """
    taps = low_pass_taps(factor, passband).to(x)[None, None]
    rows = x.reshape(-1, 1, x.shape[-1])
    kept = torch.conv1d(rows, taps, stride=factor, padding=taps.shape[-1] // 2)
    return kept.reshape(*x.shape[:-1], -1)


@dataclass(frozen=True)
class LowPass:
    """y = every factor-th sample of the low-passed x. Linear; each source has its own channel.

    The filter is that of `low_pass_taps`, applied round a circle: what leaves at the end comes in at the start.
    The Fourier basis then diagonalises A Aᵀ, so adjoint and projection are exact and cost three FFTs. With F
    the unnormalised DFT, h the filter's response below the new Nyquist frequency, N = time, n = N / factor:

        A = F_n⁻¹ (h / factor) F_N,   Aᵀ = F_N⁻¹ h F_n,   A Aᵀ = F_n⁻¹ (h² / factor) F_n

    Where h is below `floor` it counts as zero, in `forward` too. The filter falls to -80 dB, and dividing by so
    little would raise the recording's own rounding by as much; there the prior decides. (A Aᵀ can be a multiple
    of the identity only for a filter that passes half the power at the new Nyquist frequency and aliases it.)
    So A is `decimate` to within `floor` in every bin, except that `decimate` has silence outside. Where the ends
    of a recording do not meet, work on its `bridged` form and keep the first factor * time' samples of the result.

    Attributes
    ----------
    factor
        Ratio of the rates, 2 or more.
    passband
        Share of the new band that the filter passes unchanged, 0 to 1.
    floor
        Least response that is trusted, 1e-4 to 1. For recordings made with this very filter 0.01 gives up the
        last 1.3 % of the band and amplifies 100 times at most. Where the filter is unknown take 0.9: what
        another filter passes and this one does not is then neither amplified nor forbidden.

    Raises
    ------
    SettingError
        A factor, passband or floor outside its range.
    """

    factor: int
    passband: float = PASSBAND
    floor: float = 0.01

    def __post_init__(self) -> None:
        low_pass_taps(self.factor, self.passband)
        if not STOPPED < self.floor < 1:
            raise SettingError(f"floor is {self.floor:g}; give a response between {STOPPED:g} and 1")

    def response(self, time: int) -> Tensor:
        """Real response h of the DFT bins up to the new Nyquist frequency, for `time` samples: float64.

        Raises InputError where `time` is not a multiple of the factor.
        """
        if time % self.factor:
            raise InputError(
                f"{time} samples do not go into {self.factor}; pad them with silence to a multiple of it"
            )
        taps = low_pass_taps(self.factor, self.passband)
        places = torch.arange(len(taps)) - len(taps) // 2
        wrapped = torch.zeros(time, dtype=taps.dtype).index_add(0, places % time, taps)
        response = rfft(wrapped).real[: time // self.factor // 2 + 1]
        return torch.where(response < self.floor, 0.0, response)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to (batch, source, time / factor)."""
        time = x.shape[-1]
        response = self.response(time).to(_wide(x))
        spectrum = rfft(_wide(x))[..., : len(response)]
        return irfft(spectrum * (response / self.factor), n=time // self.factor).to(x)

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """The adjoint: zeros between the samples, then the filter."""
        response = self.response(x.shape[-1]).to(_wide(residual))
        return irfft(rfft(_wide(residual)) * response, n=x.shape[-1]).to(residual)

    def invert(self, y: Tensor) -> Tensor:
        """A⁺ y, the signal of least energy that explains y: (..., time') to (..., time' * factor)."""
        time = y.shape[-1] * self.factor
        response = self.response(time)
        inverse = torch.where(response > 0, self.factor / response, 0.0).to(_wide(y))
        return irfft(rfft(_wide(y)) * inverse, n=time).to(y)

    def start(self, y: Tensor, sources: int) -> Tensor:
        """What is known of the lower band, nothing above it: (batch, 1 or sources, time') to all sources."""
        return self.invert(y).expand(-1, sources, -1)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The trusted band from y, the rest from x: x + A⁺(y - A x). What y holds beyond is not looked at.

        Raises InputError where y has not 1/factor as many samples as x.
        """
        if y.shape[-1] * self.factor != x.shape[-1]:
            raise InputError(
                f"{y.shape[-1]} samples recorded belong to {y.shape[-1] * self.factor}, not {x.shape[-1]}, "
                f"at {self.factor} times the rate"
            )
        return x + self.invert(y - self.forward(x))

    def bridged(self, y: Tensor) -> Tensor:
        """Append samples that lead from the recording's end back to its start: (..., time') to (..., longer).

        The likeliest ones: y = A x with white x is Gaussian, its covariance on the circle is circulant with a
        spectrum like h², and with P the inverse of h² + floor² (what is not trusted counts as noise) the mean of
        the unknown u given the known y solves P_uu u = -P_uy y (Rasmussen & Williams 2006, eq. A.6). Without
        them the jump from end to start, which no x explains, is amplified in the transition band by 1/floor.
        The bridge holds the filter's tails of both ends; the new length is a multiple of 64, for the FFT.
        """
        known = y.shape[-1]
        tails = len(low_pass_taps(self.factor, self.passband)) // self.factor
        total = -(-(known + tails) // 64) * 64
        response = self.response(total * self.factor)
        precision = 1 / (response.square() + self.floor**2)
        # Once a recording, and ill-conditioned by 1/floor²: in double precision, where every machine has it.
        wide = pad(y.detach().cpu().double(), (0, total - known))
        right = -irfft(rfft(wide) * precision, n=total)[..., known:]
        places = torch.arange(total - known)
        matrix = irfft(precision.to(torch.complex128), n=total)[(places[:, None] - places) % total]
        bridge = torch.linalg.solve(matrix, right[..., None])[..., 0]
        return torch.cat([y, bridge.to(y)], dim=-1)


def _wide(x: Tensor) -> Tensor:
    # There is no FFT of float16 and bfloat16 on a CPU.
    return x.to(torch.promote_types(x.dtype, torch.float32))
