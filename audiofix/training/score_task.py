"""Training of score priors: a denoiser of one source at all levels of noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.priors.score_network import ScorePrior
from audiofix.training.batches import (
    Drawn,
    gains,
    mixer_forward,
    noise_generator,
    noisy_batch,
    place_of,
    valid_clips,
)
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder
from audiofix.training.objectives import denoising_error, local_error, sliced_error

FIT_WEIGHT = 0.2  # of the fit of each bin beside the error of all


class ScoreTask(Drawn):
    """Denoising score matching over a range of sigma, preconditioned (Karras et al. 2022, section 5; seed 004)."""

    unit = "loss"

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; one wave in, one out."""
        return TimeFrequencyMixer(MixerConfig.from_dict(config.network))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled; transforms with complex numbers stay as they are."""
        return mixer_forward(net, compiled)

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """Clean windows, their noise levels, noise; for the sliced objective a probe of each."""
        clean, sigma, noise = noisy_batch(config, folders, generator)
        if config.objective == "sliced":
            return clean, sigma, noise, torch.randn(clean.shape, generator=noise_generator(generator))
        return clean, sigma, noise

    def error(self, config: TrainConfig, forward: Any, batch: tuple[Tensor, ...]) -> Tensor:
        """Denoising: squared error, where 1 is as bad as the Gaussian denoiser. Sliced: see `sliced_error`.

        With local variances the fit of each bin is added: see `local_error`.
        """
        if config.objective == "sliced":
            return sliced_error(forward, *batch).mean()
        clean, sigma, noise = batch
        if forward.config.local:
            error, fit = local_error(forward, clean, sigma, noise)
            return (error + FIT_WEIGHT * fit).mean()
        return denoising_error(forward, clean, sigma, noise).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Denoise gain."""
        prior = ScorePrior(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        return gains(config, prior, valid_clips(config, folders).to(place_of(net)))
