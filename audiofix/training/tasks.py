"""What is trained: one task for each family, behind one small interface that the trainer knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
from audiofix.numerics.companding import mu_law_levels
from audiofix.numerics.metrics import si_sdr
from audiofix.priors.base import Prior
from audiofix.priors.score_network import MixturePosterior, ScorePrior
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas, training_batch
from audiofix.training.degrade import Simulation, simulated_sources
from audiofix.training.objectives import (
    denoise_gain,
    denoising_error,
    noisy_history_nll,
    posterior_error,
    sliced_error,
)

GAIN_SIGMAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
VALID_CLIPS, VALID_LENGTH = 12, 32768
VALID_MIXTURES, MIXTURE_LENGTH = 16, 65536


class Task(Protocol):
    """A family's network, its loss on one batch, and its figures on held-out clips."""

    unit: str  # of the loss, in logs

    def network(self, config: TrainConfig) -> nn.Module:
        """Fresh weights. Raises TypeError or ValueError when the sizes do not fit."""
        ...

    def forward(self, net: Any, compiled: bool) -> Any:
        """What the loss calls: the network, compiled where that is wanted."""
        ...

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Mean loss of one batch drawn with the generator."""
        ...

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Figures on the same clips and noise each time."""
        ...


class WaveNetTask:
    """Cross-entropy of the clean level given the noisy history (PnF section 3.1)."""

    unit = "bits"

    def network(self, config: TrainConfig) -> TieredWaveNet:
        """As the config's [network] says."""
        sizes = WaveNetConfig.from_dict(config.network)
        return TieredWaveNet(sizes, mu_law_levels(sizes.levels))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The whole network in one piece."""
        return torch.compile(net, dynamic=False) if compiled else net

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Bits per sample."""
        clean, sigma, noise = _noisy_batch(config, folders, generator)
        levels = mu_law_levels(WaveNetConfig.from_dict(config.network).levels).float()
        return noisy_history_nll(forward, levels, clean, sigma, noise).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Denoise gain and bits per sample."""
        clean = _valid_clips(config, folders)
        prior = WaveNetPrior({1.0: net}, config.sample_rate, (config.sigma_max, config.sigma_min))
        figures = _gains(config, prior, clean)
        bits = {}
        for sigma in _known(config):
            with torch.no_grad():
                unit = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
                level = torch.full((len(clean),), sigma)
                values = [
                    noisy_history_nll(net, net.level_values, c, s, n)
                    for c, s, n in zip(clean.split(4), level.split(4), unit.split(4), strict=True)
                ]
            bits[f"{sigma:g}"] = round(float(torch.cat(values).mean()), 4)
        return {**figures, "bits_per_sample": bits}


class ScoreTask:
    """Denoising score matching over a range of sigma, preconditioned (Karras et al. 2022, section 5; seed 004)."""

    unit = "loss"

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; one wave in, one out."""
        return TimeFrequencyMixer(MixerConfig.from_dict(config.network))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled; transforms with complex numbers stay as they are."""
        return _mixer_forward(net, compiled)

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Denoising: squared error, where 1 is as bad as the Gaussian denoiser. Sliced: see `sliced_error`."""
        clean, sigma, noise = _noisy_batch(config, folders, generator)
        if config.objective == "sliced":
            probe = torch.randn(clean.shape, generator=_noise_generator(generator))
            return sliced_error(forward, clean, sigma, noise, probe).mean()
        return denoising_error(forward, clean, sigma, noise).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Denoise gain."""
        prior = ScorePrior(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        return _gains(config, prior, _valid_clips(config, folders))


class SeparatorTask:
    """Amortised posterior of several sources: denoise them, shown their sum, at levels up to "nothing known"."""

    unit = "loss"

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; the mixture and the sources in, the sources out."""
        sources = len(config.train)
        sizes = {"inputs": sources + 1, "outputs": sources, "recorded": 1, **config.network}
        return TimeFrequencyMixer(MixerConfig.from_dict(sizes))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled."""
        return _mixer_forward(net, compiled)

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Error in decibels for items that see the mixture alone, preconditioned error for noisy ones."""
        simulation = Simulation(**config.simulation)
        clean = simulated_sources(folders, config.batch, config.window, simulation, generator)
        noise = torch.randn(clean.shape, generator=_noise_generator(generator))
        sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
        sigma = sigma[torch.from_numpy(generator.permutation(config.batch))]
        blind = torch.from_numpy(generator.uniform(size=config.batch) < config.blind_share)
        hidden = torch.from_numpy(generator.uniform(size=config.batch) < config.hide_share) & ~blind
        sigma = torch.where(blind, torch.inf, sigma)
        return posterior_error(forward, clean, sigma, noise, (~hidden).float()).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """SI-SDR on mixtures at 0 dB: of the posterior mean, and of one step from the truth plus noise."""
        generator = np.random.default_rng([config.seed, 1 << 40])
        plain = Simulation(
            level_db=(0.0, 0.0), rms_db=(-17.0, -17.0), equalise=0, reverberate=0, codec=0, silent=0, crowd=0
        )
        clean = simulated_sources(folders, VALID_MIXTURES, MIXTURE_LENGTH, plain, generator)
        posterior = MixturePosterior(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        figures = {}
        for sigma in (math.inf, 0.3, 0.1):
            unit = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
            noisy = clean if math.isinf(sigma) else clean + sigma * unit
            found = torch.cat(
                [
                    posterior.denoise(x, c.sum(dim=1), sigma)
                    for x, c in zip(noisy.split(4), clean.split(4), strict=True)
                ]
            )
            figures[f"{sigma:g}"] = round(float(si_sdr(found, clean).mean()), 3)
        return {"si_sdr_db": figures, "mean_si_sdr_db": figures["inf"]}


TASKS: dict[str, Task] = {"wavenet": WaveNetTask(), "score": ScoreTask(), "separator": SeparatorTask()}


def _mixer_forward(net: TimeFrequencyMixer, compiled: bool) -> Any:
    if not compiled:
        return net
    forward = partial(net, trunk=torch.compile(net.trunk, dynamic=False))
    forward.config = net.config  # type: ignore[attr-defined]
    return forward


def _noise_generator(generator: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(generator.integers(2**62)))


def _noisy_batch(
    config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Clean windows (batch, time), their noise levels (batch,), unit noise."""
    noise_generator = _noise_generator(generator)
    (folder,) = folders
    clean = training_batch(folder, config.batch, config.window, config.gain_db, generator)
    sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
    return clean, sigma, torch.randn(clean.shape, generator=noise_generator)


def _valid_clips(config: TrainConfig, folders: Sequence[Folder]) -> Tensor:
    """(clip, time) held-out windows at RMS 0.1, peaks within full scale."""
    generator = np.random.default_rng([config.seed, 1 << 40])
    (folder,) = folders
    clean = torch.stack([folder.window(VALID_LENGTH, generator) for _ in range(VALID_CLIPS)])
    clean = clean * (0.1 / clean.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-4))
    return clean / clean.abs().amax(dim=1, keepdim=True).clamp(min=1.0)


def _known(config: TrainConfig) -> list[float]:
    return [sigma for sigma in GAIN_SIGMAS if config.sigma_min <= sigma <= config.sigma_max]


def _gains(config: TrainConfig, prior: Prior, clean: Tensor) -> dict[str, Any]:
    gains = {}
    for sigma in _known(config):
        noise = torch.Generator().manual_seed(1)
        parts = [denoise_gain(prior, part, sigma, noise) for part in clean.split(4)]
        # Every part has the same length: the mean of the errors is the mean over the clips.
        gains[f"{sigma:g}"] = round(-10 * math.log10(np.mean([10 ** (-g / 10) for g in parts])), 3)
    return {"denoise_gain_db": gains, "mean_denoise_gain_db": round(float(np.mean(list(gains.values()))), 3)}
