"""Training of envelopes: how loud each band of each frame is, told from the bands below a cut-off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.nets.envelope import EnvelopeConfig, EnvelopeNet
from audiofix.numerics.envelope import features, known_bands, levels, spectrum, unscaled
from audiofix.training.bands import DECIMATED, Bands, simulated_bands
from audiofix.training.batches import Drawn, place_of
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder
from audiofix.training.variation import Variation

VALID_WINDOWS, VALID_LENGTH = 48, 65536
# Variance of log10 power within a band that no envelope tells: of a bin of Gaussian noise, (5.57 dB)^2.
FINE = 0.31


class EnvelopeTask(Drawn):
    """Tell the mean log-power of bands that are missing; the error that counts is that of a frame, in decibels."""

    unit = "loss"

    def network(self, config: TrainConfig) -> EnvelopeNet:
        """As the config's [network] says."""
        return EnvelopeNet(EnvelopeConfig.from_dict(config.network))

    def forward(self, net: Any, compiled: bool) -> Any:
        """The network, compiled."""
        return torch.compile(net, dynamic=False) if compiled else net

    def draw(
        self, config: TrainConfig, folders: Sequence[Folder], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """What is shown of each frame, the levels wanted, and which bands are known."""
        (folder,) = folders
        how, variation = Bands(**config.bands), Variation(**config.variation)
        item = simulated_bands(folder, config.batch, config.window, config.gain_db, how, generator, variation)
        edge = item.cutoff_hz.float() / (config.sample_rate / 2)
        return features(item.low, edge), levels(spectrum(item.clean)), known_bands(edge)

    def error(self, _config: TrainConfig, forward: Any, batch: tuple[Tensor, ...]) -> Tensor:
        """Log-spectral distance of the missing bands: root mean square over bands, mean over frames, log10."""
        shown, wanted, known = batch
        error = frame_error(unscaled(forward(shown).float()), wanted, known)
        return (error + FINE).sqrt().mean()

    def validate(self, config: TrainConfig, net: Any, folders: Sequence[Folder]) -> dict[str, Any]:
        """Root mean square error of the levels above each of three cut-offs, mean over frames, dB."""
        (folder,) = folders
        found = {}
        for share in DECIMATED:
            generator = np.random.default_rng([config.seed, 1 << 41])
            hertz = config.sample_rate * share
            how = Bands(decimated=0.0, cutoff_hz=(hertz, hertz))
            item = simulated_bands(folder, VALID_WINDOWS, VALID_LENGTH, (0.0, 0.0), how, generator)
            edge = item.cutoff_hz.float() / (config.sample_rate / 2)
            with torch.no_grad():
                told = unscaled(net(features(item.low, edge).to(place_of(net)))).cpu()
            error = frame_error(told, levels(spectrum(item.clean)), known_bands(edge))
            found[f"{hertz:.0f} Hz"] = round(10 * float(error.sqrt().mean()), 3)
        mean = round(float(np.mean(list(found.values()))), 3)
        return {"envelope_error_db": found, "mean_envelope_error_db": mean}


def frame_error(told: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean squared error over the bands of a frame that are not known: (batch, frame, band) to (batch, frame)."""
    missing = 1 - known[:, None]
    return ((told - wanted).square() * missing).sum(dim=2) / missing.sum(dim=2).clamp(min=1)
