"""Training of upsamplers: the posterior of a missing upper band, amortised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.priors.upsampling import Upsampler
from audiofix.training.bands import DECIMATED, Bands, simulated_bands
from audiofix.training.batches import Drawn, mixer_forward, noise_generator, place_of
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas
from audiofix.training.objectives import above, highs_error

VALID_WINDOWS, VALID_LENGTH, VALID_SIGMAS = 16, 32768, (0.001, 0.003, 0.01, 0.03)


class UpsamplingTask(Drawn):
    """Denoise upper bands, shown the lower band, at levels of noise up to "nothing known"."""

    unit = "loss"

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; the lower band and the noisy source in, the source out."""
        return TimeFrequencyMixer(MixerConfig.from_dict({"inputs": 2, "recorded": 1, **config.network}))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled."""
        return mixer_forward(net, compiled)

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """Clean windows, their lower bands, cut-offs as shares of Nyquist, noise levels, noise."""
        (folder,) = folders
        how = Bands(**config.bands)
        item = simulated_bands(folder, config.batch, config.window, config.gain_db, how, generator)
        noise = torch.randn(item.clean.shape, generator=noise_generator(generator))
        sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
        sigma = sigma[torch.from_numpy(generator.permutation(config.batch))]
        blind = torch.from_numpy(generator.uniform(size=config.batch) < config.blind_share)
        sigma = torch.where(blind, torch.inf, sigma)
        edge = item.cutoff_hz / (config.sample_rate / 2)
        return item.clean, item.low, edge, sigma, noise

    def error(self, _config: TrainConfig, forward: Any, batch: tuple[Tensor, ...]) -> Tensor:
        """Error above the cut-off, where 1 is as bad as the Gaussian denoiser."""
        return highs_error(forward, *batch).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Denoise gain above 2 kHz given what is below, at some levels: dB, mean over windows."""
        (folder,) = folders
        prior = Upsampler(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        generator = np.random.default_rng([config.seed, 1 << 41])
        edge = config.sample_rate * DECIMATED[1]
        how = Bands(decimated=0.0, cutoff_hz=(edge, edge))
        item = simulated_bands(folder, VALID_WINDOWS, VALID_LENGTH, (0.0, 0.0), how, generator)
        share = item.cutoff_hz / (config.sample_rate / 2)
        found, place = {}, place_of(net)
        for sigma in VALID_SIGMAS:
            unit = torch.randn(item.clean.shape, generator=torch.Generator().manual_seed(2))
            noisy = item.clean + sigma * unit
            parts = [
                prior.denoise(x[:, None].to(place), y.to(place), sigma)[:, 0].cpu()
                for x, y in zip(noisy.split(4), item.low.split(4), strict=True)
            ]
            error = above(torch.cat(parts) - item.clean, share).square().mean(dim=1)
            before = above(sigma * unit, share).square().mean(dim=1)
            found[f"{sigma:g}"] = round(float((10 * torch.log10(before / error)).mean()), 3)
        return {"highs_gain_db": found, "mean_highs_gain_db": round(float(np.mean(list(found.values()))), 3)}
