"""The posterior of samples that are lost, amortised: a network that sees what is known and the classical fills."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.numerics.fills import USUAL, Fills
from audiofix.priors.score_network import NOTHING_KNOWN, Network

SHOWN = 2  # waves that the network is shown: the first fill, and in the gaps how the second differs from it
AROUND = 641  # samples over which the difference of the fills is averaged: 40 ms
LEAST, MOST = 1e-4, 8.0  # of the fills' difference, full-scale amplitude; of it over its mean


def disagreement(fills: Tensor, lost: Tensor) -> Tensor:
    """How far two fills lie apart around each lost sample, root mean square: (batch, 2, time) to (batch, time).

    It tells the size of a fill's error before the truth is known. 0 where nothing is lost.
    """
    apart = (fills[:, 0] - fills[:, 1]).square() * lost
    pooled = avg_pool1d(torch.stack([apart, lost], dim=1), AROUND, 1, AROUND // 2)
    return (pooled[:, 0] / pooled[:, 1].clamp(min=1e-6)).sqrt().clamp(min=LEAST) * lost


def denoise_gaps(net: Network, x: Tensor, recorded: Tensor, sigma: Tensor) -> Tensor:
    """D(x, y, sigma): the mean of the lost samples given their noisy versions and the recording.

    x: (batch, time); recorded: (batch, 3, time), two classical fills and 1 where samples are lost; sigma:
    (batch,), infinite where x carries nothing. The part that needs no network takes the first fill for an
    observation with an error as large as the fills' disagreement S, beside x with its noise: their mean weighted
    by precision, of variance 1 / (1 / sigma^2 + 1 / S^2). The network adds the rest at that scale (as Karras et
    al. 2022, section 5, scale the output by what is uncertain). Known samples come back as they are. Returns
    (batch, time).
    """
    fills, lost = recorded[:, :2], recorded[:, 2]
    first, scale = fills[:, 0], disagreement(fills, lost)
    blind = ~torch.isfinite(sigma)[:, None]
    level = torch.where(blind, NOTHING_KNOWN, sigma[:, None])
    both = (level**2 + scale**2).sqrt()
    apart = torch.where(blind | (lost == 0), 0.0, x - first)
    uncertain = torch.where(blind, scale, level * scale / both)
    differ = ((first - fills[:, 1]) / scale.clamp(min=LEAST)).clamp(-MOST, MOST) * lost
    inputs = torch.stack([first / net.config.sigma_data, differ, apart / both], dim=1)
    return first + (scale / both) ** 2 * apart + uncertain * net(inputs, level[:, 0])[:, 0]


class Inpainter:
    """One source's posterior given a recording with gaps (a `Posterior`); y is (batch, 3, time)."""

    def __init__(
        self,
        net: TimeFrequencyMixer,
        sample_rate: int,
        sigmas: tuple[float, ...],
        bf16: bool = False,
        fills: Fills = USUAL,
    ) -> None:
        """`fills`: the two that it learnt to be shown."""
        self.fills = fills
        self.net, self.sample_rate, self.sigmas, self.bf16 = net, sample_rate, sigmas, bf16
        self.grid = net.grid
        self.halo = -(-(net.receptive_field + AROUND) // net.grid) * net.grid
        net.eval().requires_grad_(False)

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """x: (batch, 1, time) noisy; with sigma infinite it is ignored. Returns (batch, 1, time)."""
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return denoise_gaps(self.net, x[:, 0], y, level)[:, None]
