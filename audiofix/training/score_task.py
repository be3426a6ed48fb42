"""Training of score priors: a denoiser of one source, by itself or shown a recording of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.numerics.evidence import RECORDED
from audiofix.priors.score_network import ScorePrior
from audiofix.training.batches import gains, mixer_forward, noise_generator, noisy_batch, valid_clips
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas
from audiofix.training.objectives import denoising_error, recorded_error, sliced_error
from audiofix.training.recordings import FAULTS, Recorded, Recordings, simulated_recordings

VALID_RECORDINGS, VALID_LENGTH = 16, 32768


class ScoreTask:
    """Denoising score matching over a range of sigma, preconditioned (Karras et al. 2022, section 5; seed 004).

    With a table [recordings] the network is shown simulated recordings as well: given one it is the posterior of
    restoration, amortised; given none (`hide_share` of the items) it stays the prior.
    """

    unit = "loss"

    def network(self, config: TrainConfig) -> TimeFrequencyMixer:
        """As the config's [network] says; one wave out."""
        recorded = RECORDED if config.recordings else 0
        sizes = {"inputs": recorded + 1, "recorded": recorded, **config.network}
        return TimeFrequencyMixer(MixerConfig.from_dict(sizes))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The trunk compiled."""
        return mixer_forward(net, compiled)

    def loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        """Denoising: squared error, where 1 is as bad as the Gaussian denoiser. Sliced: see `sliced_error`.

        With recordings: the error in decibels (log10) of what they lack, see `recorded_error`.
        """
        if config.recordings:
            return self._recorded_loss(config, forward, folders, generator)
        clean, sigma, noise = noisy_batch(config, folders, generator)
        if config.objective == "sliced":
            probe = torch.randn(clean.shape, generator=noise_generator(generator))
            return sliced_error(forward, clean, sigma, noise, probe).mean()
        return denoising_error(forward, clean, sigma, noise).mean()

    def _recorded_loss(
        self, config: TrainConfig, forward: Any, folders: Sequence[Folder], generator: np.random.Generator
    ) -> Tensor:
        (folder,) = folders
        how = Recordings(**config.recordings)
        item = simulated_recordings(folder, config.batch, config.window, config.gain_db, how, generator)
        noise = torch.randn(item.clean.shape, generator=noise_generator(generator))
        sigma = spread_sigmas(config.batch, config.sigma_min, config.sigma_max, generator)
        sigma = sigma[torch.from_numpy(generator.permutation(config.batch))]
        # Highs are drawn, not estimated: their mean is near silence, and one call in three is enough to learn it.
        share = np.array([config.blind_share / (3 if fault == "highs" else 1) for fault in item.faults])
        blind = torch.from_numpy(generator.uniform(size=config.batch) < share)
        hidden = torch.from_numpy(generator.uniform(size=config.batch) < config.hide_share) & ~blind
        sigma = torch.where(blind, torch.inf, sigma)
        error = recorded_error(
            forward,
            item.clean,
            item.heard,
            item.evidence.recorded,
            item.lost,
            item.kept_hz,
            config.sample_rate,
            sigma,
            noise,
            (~hidden).float(),
        )
        return error.mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Denoise gain, and by how much one call betters each kind of recording."""
        prior = ScorePrior(net, config.sample_rate, (config.sigma_max, config.sigma_min))
        figures = gains(config, prior, valid_clips(config, folders))
        if not config.recordings:
            return figures
        (folder,), table = folders, config.recordings
        restored = {}
        for fault in FAULTS:
            one = {name: float(name == fault) for name in FAULTS}
            generator = np.random.default_rng([config.seed, 1 << 41])
            how = Recordings(**{**table, **one, "second": 0.0})
            item = simulated_recordings(folder, VALID_RECORDINGS, VALID_LENGTH, (0.0, 0.0), how, generator)
            restored[fault] = round(float(_gained_db(prior, item).mean()), 3)
        return {**figures, "restored_db": restored}


def _gained_db(prior: ScorePrior, item: Recorded) -> Tensor:
    """By how much the error of one call is below that of the first guess where samples are lost, dB, (batch,)."""
    recorded = item.evidence.recorded
    found = torch.cat([prior.restore(r[:, 0], r, float("inf")) for r in recorded.split(4)])
    before, after = (((x - item.clean) * item.lost).square().sum(dim=1) for x in (recorded[:, 0], found))
    return 10 * torch.log10(before / after.clamp(min=1e-12))
