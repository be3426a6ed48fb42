"""What a prior is: the distribution of one clean source, smoothed at noise level sigma."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from audiofix.numerics.fills import Fills


@runtime_checkable
class Prior(Protocol):
    """One source's distribution, smoothed by Gaussian noise of standard deviation sigma."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise levels it knows, decreasing, full-scale amplitude; the ends bound a continuous range."""
        ...

    @property
    def halo(self) -> int | None:
        """Samples of context that the score needs on each side; None: it cannot be chunked."""
        ...

    @property
    def grid(self) -> int:
        """Chunks must start at multiples of this many samples."""
        ...

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """(batch, time) noisy amplitude to the gradient of log p_sigma, uphill, same shape.

        One that can be conditioned takes (batch, wave, time) of what conditions it as a third argument.
        """
        ...


@runtime_checkable
class HasLogDensity(Protocol):
    """A prior that also knows its log-density, as autoregressive ones do."""

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """(batch, time) to nats per sample given its past, same shape."""
        ...


@runtime_checkable
class PullsBack(Protocol):
    """A prior whose denoiser D(x, sigma) = x + sigma^2 score can be differentiated, as score networks can."""

    @property
    def halo(self) -> int | None:
        """As a prior's. A sample enters outputs a halo away, which look a halo further: a pullback needs two."""
        ...

    @property
    def grid(self) -> int:
        """As a prior's."""
        ...

    def pullback(self, x: Tensor, sigma: float, residual: Tensor) -> Tensor:
        """Transposed Jacobian of D at x applied to a residual of D, (batch, time) each."""
        ...


@runtime_checkable
class Posterior(Protocol):
    """Several sources' distribution given what was recorded, smoothed at sigma: a denoiser that sees y."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    @property
    def sigmas(self) -> tuple[float, ...]:
        """As a prior's; above them it can be asked with sigma infinite."""
        ...

    @property
    def halo(self) -> int | None:
        """As a prior's, for x and y alike."""
        ...

    @property
    def grid(self) -> int:
        """As a prior's."""
        ...

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """(batch, source, time), (batch, time) to the mean of the clean sources; sigma infinite: x is ignored."""
        ...


@runtime_checkable
class Inpainting(Posterior, Protocol):
    """A posterior of lost samples, which is shown two classical fills of them."""

    @property
    def fills(self) -> Fills:
        """Which."""
        ...
