"""What is trained: one task for each family, behind one small interface that the trainer knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.numerics.metrics import si_sdr
from audiofix.priors.score_network import MixturePosterior
from audiofix.training.batches import Drawn, mixer_forward, noise_generator, place_of
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas
from audiofix.training.degrade import Simulation, simulated_sources
from audiofix.training.envelope_task import EnvelopeTask
from audiofix.training.inpainting_task import InpaintingTask
from audiofix.training.objectives import posterior_error
from audiofix.training.score_task import ScoreTask
from audiofix.training.upsampling_task import UpsamplingTask
from audiofix.training.wavenet_task import ConditionedWaveNetTask, WaveNetTask

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

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """One batch, (batch, ...) each, on the processor; a function of the folders and the generator alone."""
        ...

    def error(self, config: TrainConfig, forward: Any, batch: tuple[Tensor, ...], /) -> Tensor:
        """Mean loss of a batch, on the network's device."""
        ...

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Mean loss of one batch drawn with the generator."""
        ...

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Figures on the same clips and noise each time."""
        ...


class SeparatorTask(Drawn):
    """Amortised posterior of several sources: denoise them, shown their sum, at levels up to "nothing known"."""

    unit = "loss"

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; the mixture and the sources in, the sources out."""
        sources = len(config.train)
        sizes = {"inputs": sources + 1, "outputs": sources, "recorded": 1, **config.network}
        return TimeFrequencyMixer(MixerConfig.from_dict(sizes))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled."""
        return mixer_forward(net, compiled)

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """Sources, noise levels with infinity where nothing is known, whether the mixture is seen, noise."""
        simulation = Simulation(**config.simulation)
        clean = simulated_sources(folders, config.batch, config.window, simulation, generator)
        noise = torch.randn(clean.shape, generator=noise_generator(generator))
        sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
        sigma = sigma[torch.from_numpy(generator.permutation(config.batch))]
        blind = torch.from_numpy(generator.uniform(size=config.batch) < config.blind_share)
        hidden = torch.from_numpy(generator.uniform(size=config.batch) < config.hide_share) & ~blind
        sigma = torch.where(blind, torch.inf, sigma)
        return clean, sigma, noise, (~hidden).float()

    def error(self, _config: TrainConfig, forward: Any, batch: tuple[Tensor, ...]) -> Tensor:
        """Error in decibels for items that see the mixture alone, preconditioned error for noisy ones."""
        return posterior_error(forward, *batch).mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """SI-SDR on mixtures at 0 dB: of the posterior mean, and of one step from the truth plus noise."""
        generator = np.random.default_rng([config.seed, 1 << 40])
        plain = Simulation(
            level_db=(0.0, 0.0), rms_db=(-17.0, -17.0), equalise=0, reverberate=0, codec=0, silent=0, crowd=0
        )
        clean = simulated_sources(folders, VALID_MIXTURES, MIXTURE_LENGTH, plain, generator)
        clean = clean.to(place_of(net))
        posterior = MixturePosterior(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        figures = {}
        for sigma in (math.inf, 0.3, 0.1):
            unit = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)).to(clean.device)
            noisy = clean if math.isinf(sigma) else clean + sigma * unit
            found = torch.cat(
                [
                    posterior.denoise(x, c.sum(dim=1), sigma)
                    for x, c in zip(noisy.split(4), clean.split(4), strict=True)
                ]
            )
            figures[f"{sigma:g}"] = round(float(si_sdr(found, clean).mean()), 3)
        return {"si_sdr_db": figures, "mean_si_sdr_db": figures["inf"]}


TASKS: dict[str, Callable[[], Task]] = {
    "wavenet": WaveNetTask, "score": ScoreTask, "separator": SeparatorTask, "inpainter": InpaintingTask,
    "upsampler": UpsamplingTask, "envelope": EnvelopeTask,
}  # fmt: skip


def make_task(config: TrainConfig) -> Task:
    """A task of the config's family; a network that is shown a separator's estimate has one of its own."""
    return ConditionedWaveNetTask() if config.shown else TASKS[config.family]()
