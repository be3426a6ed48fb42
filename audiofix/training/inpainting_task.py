"""Training of inpainters: the posterior of lost samples, amortised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.priors.inpainting import SHOWN, Inpainter
from audiofix.training.batches import Drawn, mixer_forward, noise_generator, place_of
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas
from audiofix.training.gaps import Gapped, Gaps, pooled_gaps, simulated_gaps
from audiofix.training.objectives import gap_error

VALID_WINDOWS, VALID_LENGTH, VALID_MS = 24, 32768, (20, 50, 100, 200)


class InpaintingTask(Drawn):
    """Fill simulated gaps, shown the classical fills, at levels of noise up to "nothing known"."""

    unit = "loss"

    def __init__(self) -> None:
        self._filled: dict[int, Gapped] = {}

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; the recording and the noisy source in, the source out."""
        sizes = {"inputs": SHOWN + 1, "recorded": SHOWN, **config.network}
        return TimeFrequencyMixer(MixerConfig.from_dict(sizes))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled."""
        return mixer_forward(net, compiled)

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """Clean windows, their fills, what is lost, noise levels with infinity where nothing is known, noise."""
        (folder,) = folders
        how, sizes = Gaps(**config.gaps), (config.batch, config.window, config.gain_db)
        if how.pool:
            item = pooled_gaps(folder, *sizes, how, config.seed, generator, self._filled)
        else:
            item = simulated_gaps(folder, *sizes, how, generator)
        noise = torch.randn(item.clean.shape, generator=noise_generator(generator))
        sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
        sigma = sigma[torch.from_numpy(generator.permutation(config.batch))]
        blind = torch.from_numpy(generator.uniform(size=config.batch) < config.blind_share)
        sigma = torch.where(blind, torch.inf, sigma)
        return item.clean, item.fills, item.lost, sigma, noise

    def error(self, _config: TrainConfig, forward: Any, batch: tuple[Tensor, ...]) -> Tensor:
        """log10 of the error in the gaps against what was lost or the noise, whichever is less."""
        return gap_error(forward, *batch).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """SNR in gaps of four lengths, mean over windows in dB: of one call, and of the first classical fill."""
        (folder,) = folders
        shown = {key: config.gaps[key] for key in ("orders", "kind") if key in config.gaps}
        inpainter = Inpainter(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        found: dict[str, float] = {}
        classical: dict[str, float] = {}
        for length in VALID_MS:
            generator = np.random.default_rng([config.seed, 1 << 41])
            how = Gaps(most=4, length_ms=(length, length), **shown)
            item = simulated_gaps(folder, VALID_WINDOWS, VALID_LENGTH, (0.0, 0.0), how, generator)
            y = torch.cat([item.fills, item.lost[:, None]], dim=1)
            parts = (part.to(place_of(net)) for part in y.split(4))
            filled = torch.cat([inpainter.denoise(y[:, :1], y, math.inf)[:, 0].cpu() for y in parts])
            for figures, wave in ((found, filled), (classical, item.fills[:, 0])):
                energy, error = ((z * item.lost).square().sum(dim=1) for z in (item.clean, wave - item.clean))
                heard = energy > 1e-6 * item.lost.sum(dim=1)  # gaps in pauses say nothing
                figures[f"{length}"] = round(float((10 * torch.log10(energy / error))[heard].mean()), 3)
        mean = round(float(np.mean(list(found.values()))), 3)
        return {"snr_in_gaps_db": found, "classical_db": classical, "mean_snr_in_gaps_db": mean}
