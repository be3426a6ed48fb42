"""Tiny networks: real in every respect but size."""

from __future__ import annotations

import torch

from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
from audiofix.numerics.companding import mu_law_levels

TINY = WaveNetConfig(
    levels=16,
    slow_hop=8,
    slow_window=16,
    slow_channels=8,
    slow_dilations=(1, 2),
    slow_taps=8,
    middle_hop=4,
    middle_window=8,
    middle_channels=8,
    middle_dilations=(1,),
    middle_taps=4,
    fast_window=4,
    fast_channels=4,
    fast_dilations=(1,),
    sigma_width=8,
)


def tiny_net(seed: int = 0) -> TieredWaveNet:
    """A network with every weight drawn from its own generator, so that none is zero."""
    net = TieredWaveNet(TINY, mu_law_levels(TINY.levels))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return net
