"""Objectives against what can be written down: the Gaussian."""

from __future__ import annotations

import pytest
import torch

from audiofix.nets.mixer import MixerConfig
from audiofix.training.objectives import denoising_error, sliced_error

CONFIG = MixerConfig(sigma_data=0.1)


class Scaled:
    """A net whose denoiser is x * factor: the true one for white Gaussian sources of standard deviation `data`."""

    config = CONFIG

    def __init__(self, data: float) -> None:
        self.data = data

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        inner = CONFIG.sigma_data
        level = sigma[:, None, None]
        total = (level**2 + inner**2).sqrt()
        factor = self.data**2 / (self.data**2 + level**2)
        skip = (inner / total) ** 2
        # denoise_alone answers skip * noisy + level * inner / total * net(noisy / total).
        return (factor - skip) * total**2 / (level * inner) * x


def batch(data: float, time: int = 200_000) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    clean, noise, probe = torch.randn(3, 2, time, generator=generator).double()
    return data * clean, torch.tensor([0.05, 0.3]).double(), noise, probe


def test_sliced_error_of_the_true_gaussian_score() -> None:
    data = 0.2
    clean, sigma, noise, probe = batch(data)
    found = sliced_error(Scaled(data), clean, sigma, noise, probe)
    # s = -x / (data^2 + sigma^2), so sigma^2 (-1 + 1/2) / (data^2 + sigma^2). Both terms are means of squares of
    # 200,000 normal variables, each within sqrt(2 / 200000) = 0.0032: six of those of three times the result.
    expected = -0.5 * sigma**2 / (data**2 + sigma**2)
    assert torch.allclose(found, expected, rtol=6 * 0.0032 * 3, atol=0)


@pytest.mark.parametrize("wrong", [0.1, 0.4])
def test_sliced_and_denoising_errors_are_least_for_the_truth(wrong: float) -> None:
    data = 0.2
    clean, sigma, noise, probe = batch(data)
    assert (
        sliced_error(Scaled(data), clean, sigma, noise, probe)
        < sliced_error(Scaled(wrong), clean, sigma, noise, probe)
    ).all()
    assert (
        denoising_error(Scaled(data), clean, sigma, noise)
        < denoising_error(Scaled(wrong), clean, sigma, noise)
    ).all()


def test_denoising_error_of_the_gaussian_denoiser_is_one() -> None:
    clean, sigma, noise, _ = batch(CONFIG.sigma_data)
    found = denoising_error(Scaled(CONFIG.sigma_data), clean, sigma, noise)
    # A mean of squares of 200,000 normal variables: six times sqrt(2 / 200000).
    assert torch.allclose(found, torch.ones(2).double(), rtol=6 * 0.0032)
