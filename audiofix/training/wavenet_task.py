"""Training of WaveNet priors: by themselves, or conditioned on a mixture and on what a separator says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.hub.registry import load_prior, resolve_model
from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
from audiofix.numerics.companding import mu_law_levels, nearest_level
from audiofix.priors.base import Posterior
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.training.batches import (
    Drawn,
    gains,
    known_sigmas,
    noise_generator,
    noisy_batch,
    place_of,
    valid_clips,
)
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas
from audiofix.training.degrade import Simulation, simulated_sources
from audiofix.training.objectives import level_nll, noisy_history_nll

GIVEN = 2  # the mixture, and the separator's estimate of the source
VALID_MIXTURES, MIXTURE_LENGTH = 12, 32768


class WaveNetTask(Drawn):
    """Cross-entropy of the clean level given the noisy history (PnF section 3.1)."""

    unit = "bits"

    def network(self, config: TrainConfig) -> TieredWaveNet:
        """As the config's [network] says."""
        sizes = WaveNetConfig.from_dict(config.network)
        return TieredWaveNet(sizes, mu_law_levels(sizes.levels))

    def forward(self, net: Any, compiled: bool) -> Any:
        """Network and loss in one piece."""
        loss = partial(level_nll, net)
        return torch.compile(loss, dynamic=False) if compiled else loss

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """Clean windows, their noise levels, noise."""
        return noisy_batch(config, folders, generator)

    def error(self, config: TrainConfig, forward: Any, batch: tuple[Tensor, ...]) -> Tensor:
        """Bits per sample."""
        clean, sigma, noise, *given = batch
        levels = mu_law_levels(WaveNetConfig.from_dict(config.network).levels).float().to(clean.device)
        noisy = clean + sigma[:, None] * noise
        bits: Tensor = forward(noisy, sigma, nearest_level(clean, levels), *given)
        return bits.mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Denoise gain and bits per sample."""
        clean = valid_clips(config, folders).to(place_of(net))
        prior = WaveNetPrior({1.0: net}, config.sample_rate, (config.sigma_max, config.sigma_min))
        figures = gains(config, prior, clean)
        bits = {}
        for sigma in known_sigmas(config):
            with torch.no_grad():
                unit = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)).to(clean.device)
                level = torch.full((len(clean),), sigma, device=clean.device)
                values = [
                    noisy_history_nll(net, net.level_values, c, s, n)
                    for c, s, n in zip(clean.split(4), level.split(4), unit.split(4), strict=True)
                ]
            bits[f"{sigma:g}"] = round(float(torch.cat(values).mean()), 4)
        return {**figures, "bits_per_sample": bits}


class ConditionedWaveNetTask(WaveNetTask):
    """The same for a WaveNet that sees the mixture (local conditioning, van den Oord 2016, section 2.5).

    It is given the mixture and the estimate of a separator, worked out once for each; shown neither it stays the
    source's prior. p(x_i | noisy x_<i, mixture) has the closed form that PnF needs, so PnF samples it in parallel.
    """

    def __init__(self) -> None:
        self._loaded: tuple[Posterior, list[int]] | None = None

    def network(self, config: TrainConfig) -> TieredWaveNet:
        """As the config's [network] says, with layers for what it is given."""
        sizes = WaveNetConfig.from_dict({"given": GIVEN, **config.network})
        return TieredWaveNet(sizes, mu_law_levels(sizes.levels))

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """The source, its noise levels, noise, and what it is shown: nothing for some items."""
        how = Simulation(**config.simulation)
        sources = simulated_sources(folders, config.batch, config.window, how, generator)
        noise = torch.randn(sources[:, 0].shape, generator=noise_generator(generator))
        sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
        hidden = torch.from_numpy(generator.uniform(size=config.batch) < config.hide_share)
        given = self.given(config, sources) * (~hidden).float()[:, None, None]
        return sources[:, 0].contiguous(), sigma, noise, given

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """As without conditions, and the denoise gain at each level given mixtures at 0 dB."""
        figures = super().validate(config, net, folders[:1])
        generator = np.random.default_rng([config.seed, 1 << 41])
        plain = Simulation(
            level_db=(0.0, 0.0), rms_db=(-17.0, -17.0), equalise=0, reverberate=0, codec=0, silent=0, crowd=0
        )
        sources = simulated_sources(folders, VALID_MIXTURES, MIXTURE_LENGTH, plain, generator)
        prior = WaveNetPrior({1.0: net}, config.sample_rate, (config.sigma_max, config.sigma_min))
        # The separator stays on the processor, the network may be elsewhere.
        given, clean = (wave.to(place_of(net)) for wave in (self.given(config, sources), sources[:, 0]))
        found = {}
        for sigma in known_sigmas(config):
            unit = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
            noisy = clean + sigma * unit.to(clean.device)
            error = [
                (x + sigma**2 * prior.score(x, sigma, g) - c).square().mean()
                for x, g, c in zip(noisy.split(4), given.split(4), clean.split(4), strict=True)
            ]
            found[f"{sigma:g}"] = round(float(10 * torch.log10(sigma**2 / torch.stack(error).mean())), 3)
        return {**figures, "given_gain_db": found}

    def given(self, config: TrainConfig, sources: Tensor) -> Tensor:
        """(batch, source, time), the task's own source first, to what conditions it: (batch, 2, time)."""
        if self._loaded is None:
            self._loaded = _separator(config)
        posterior, order = self._loaded
        mixture = sources.sum(dim=1)
        with torch.no_grad():
            estimate = posterior.denoise(torch.zeros_like(sources), mixture, math.inf)
        return torch.stack([mixture, estimate[:, order[0]]], dim=1)


def _separator(config: TrainConfig) -> tuple[Posterior, list[int]]:
    """The separator of the config, and the place of the config's source in its output. Raises SettingError."""
    card, home = resolve_model(str(config.shown))
    kinds = card.source.split(",")
    if card.family != "separator" or config.source not in kinds or len(kinds) != 1 + len(config.mixed_train):
        raise SettingError(
            f"{card.name} ({card.family}) knows {card.source}; shown needs a separator of {config.source} and of "
            "as many others as there are folders in mixed_train"
        )
    return load_prior(home, bf16=config.bf16), [kinds.index(config.source)]
