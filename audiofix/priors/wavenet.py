"""PnF prior: a causal network's categorical over levels, smoothed in linear amplitude (seed: PnF, 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from audiofix.nets.wavenet import TieredWaveNet
from audiofix.numerics.blockwise import blockwise
from audiofix.numerics.smoothing import smoothed_log_density


class WaveNetPrior:
    """Score of an autoregressive model smoothed at sigma, by one backward pass.

    `nets` maps a noise level to its network. One entry: a network conditioned on sigma over the whole range.
    Several: one set of weights for each level; the one nearest in log sigma answers.
    """

    def __init__(
        self,
        nets: Mapping[float, TieredWaveNet],
        sample_rate: int,
        sigmas: tuple[float, ...],
        bf16: bool = False,
    ) -> None:
        self.nets = dict(nets)
        self.sample_rate = sample_rate
        self.sigmas = sigmas
        self.bf16 = bf16
        any_net = next(iter(self.nets.values()))
        self.grid = any_net.config.slow_hop
        self.receptive_field = max(net.receptive_field for net in self.nets.values())
        # Sample t enters the conditionals t ... t + R, and each of those looks R back. A later grid point can
        # only be reached whole, hence one grid cell more.
        foresight = max(net.foresight for net in self.nets.values())
        self.halo = -(-(self.receptive_field + foresight) // self.grid) * self.grid + self.grid
        for net in self.nets.values():
            net.eval().requires_grad_(False)

    def _net(self, sigma: float) -> TieredWaveNet:
        target = torch.tensor(sigma).log()
        return self.nets[min(self.nets, key=lambda s: abs(float(torch.tensor(s).log() - target)))]

    @property
    def given(self) -> int:
        """How many waveforms condition it: the mixture and a separator's estimate of the source, or none."""
        return next(iter(self.nets.values())).config.given

    def log_density(self, x: Tensor, sigma: float, given: Tensor | None = None) -> Tensor:
        """(batch, time) noisy amplitude to nats of each sample given its past (PnF eq. 4), same shape.

        `given`: (batch, wave, time) what conditions it, linear amplitude; without it, the prior alone.
        """
        net = self._net(sigma)
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            hidden, guess, scale = net.features(x, level, given)

        def density(hidden: Tensor, guess: Tensor, scale: Tensor, amplitude: Tensor) -> Tensor:
            return smoothed_log_density(net.logits(hidden, guess, scale), net.level_values, amplitude, sigma)

        rows = (v.flatten(0, 1) for v in (hidden, guess, scale, x))
        return blockwise(density, *rows).view_as(x)

    def score(self, x: Tensor, sigma: float, given: Tensor | None = None) -> Tensor:
        """Gradient of the summed log-density by every sample (PnF section 3): direct term and future terms."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            total = self.log_density(leaf, sigma, given).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
        return gradient
