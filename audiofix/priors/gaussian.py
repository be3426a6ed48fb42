"""A Gaussian prior with a known covariance: exact score at every sigma; the reference for tests and manual."""

from __future__ import annotations

import torch
from torch import Tensor


class GaussianPrior:
    """x ~ N(mean, covariance) of fixed length; smoothed at sigma it is N(mean, covariance + sigma^2 I)."""

    halo = None
    grid = 1

    def __init__(
        self, mean: Tensor, covariance: Tensor, sample_rate: int, sigmas: tuple[float, ...] = (1.0, 1e-4)
    ) -> None:
        """mean: (time,); covariance: (time, time) symmetric, positive semi-definite."""
        self.mean, self.covariance = mean, covariance
        self.sample_rate, self.sigmas = sample_rate, sigmas

    def precision(self, sigma: float) -> Tensor:
        """Inverse of covariance + sigma^2 I, (time, time)."""
        return torch.linalg.inv(self.covariance + sigma**2 * torch.eye(len(self.mean), dtype=self.mean.dtype))

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """(batch, time) to (batch,): the joint log-density in nats."""
        cov = self.covariance + sigma**2 * torch.eye(len(self.mean), dtype=self.mean.dtype)
        return torch.distributions.MultivariateNormal(self.mean, cov).log_prob(x)

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """-(x - mean) P for P the precision at sigma; (batch, time) to the same."""
        return -(x - self.mean) @ self.precision(sigma)

    def pullback(self, x: Tensor, sigma: float, residual: Tensor) -> Tensor:  # noqa: ARG002
        """The residual times I - sigma^2 P: the denoiser is linear, and its Jacobian symmetric."""
        return residual - sigma**2 * residual @ self.precision(sigma)
