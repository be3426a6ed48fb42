"""What tasks share: noisy windows to learn from, held-out clips to be judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.priors.base import Prior
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas, training_batch
from audiofix.training.objectives import denoise_gain
from audiofix.training.variation import Variation, varied, with_rounding

GAIN_SIGMAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
VALID_CLIPS, VALID_LENGTH = 12, 32768


def mixer_forward(net: TimeFrequencyMixer, compiled: bool) -> Any:
    """The network, its trunk compiled where that is wanted; transforms with complex numbers stay as they are."""
    if not compiled:
        return net
    return CompiledMixer(net)


class CompiledMixer:
    """A mixer whose trunk is compiled."""

    def __init__(self, net: TimeFrequencyMixer) -> None:
        self.config, self.spectra, self.noise_power = net.config, net.spectra, net.noise_power
        self._net, self._trunk = net, torch.compile(net.trunk, dynamic=False)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """As the mixer."""
        return self._net(x, sigma, self._trunk)

    def with_variance(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the mixer's."""
        return self._net.with_variance(x, sigma, self._trunk)


class Drawn:
    """What the losses of all tasks have in common: a batch drawn on the processor, then its error."""

    draw: Any
    error: Any

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Mean loss of one batch drawn with the generator."""
        loss: Tensor = self.error(config, forward, self.draw(config, folders, generator))
        return loss


def place_of(net: Any) -> torch.device:
    """The device of a network's weights."""
    found: torch.device = next(net.parameters()).device
    return found


def noise_generator(generator: np.random.Generator) -> torch.Generator:
    """A generator of noise that follows from the one of the batch."""
    return torch.Generator().manual_seed(int(generator.integers(2**62)))


def noisy_batch(
    config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Clean windows (batch, time), their noise levels (batch,), unit noise or errors of rounding."""
    noise = noise_generator(generator)
    (folder,) = folders
    clean = training_batch(folder, config.batch, config.window, config.gain_db, generator)
    how = Variation(**config.variation)
    clean = varied(clean, how, config.sample_rate, generator)
    sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
    unit = torch.randn(clean.shape, generator=noise)
    return clean, sigma, with_rounding(clean, sigma, unit, how.rounded, generator)


def valid_clips(config: TrainConfig, folders: Sequence[Folder]) -> Tensor:
    """(clip, time) held-out windows at RMS 0.1, peaks within full scale."""
    generator = np.random.default_rng([config.seed, 1 << 40])
    (folder,) = folders
    clean = torch.stack([folder.window(VALID_LENGTH, generator) for _ in range(VALID_CLIPS)])
    clean = clean * (0.1 / clean.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-4))
    return clean / clean.abs().amax(dim=1, keepdim=True).clamp(min=1.0)


def known_sigmas(config: TrainConfig) -> list[float]:
    """The levels of GAIN_SIGMAS that the config trains."""
    return [sigma for sigma in GAIN_SIGMAS if config.sigma_min <= sigma <= config.sigma_max]


def gains(config: TrainConfig, prior: Prior, clean: Tensor) -> dict[str, Any]:
    """Denoise gain at each known level and their mean, dB."""
    found = {}
    for sigma in known_sigmas(config):
        noise = torch.Generator().manual_seed(1)
        parts = [denoise_gain(prior, part, sigma, noise) for part in clean.split(4)]
        # Every part has the same length: the mean of the errors is the mean over the clips.
        found[f"{sigma:g}"] = round(-10 * math.log10(np.mean([10 ** (-g / 10) for g in parts])), 3)
    return {"denoise_gain_db": found, "mean_denoise_gain_db": round(float(np.mean(list(found.values()))), 3)}
