"""Tiny networks: real in every respect but size."""

from __future__ import annotations

from dataclasses import replace

import torch

from audiofix.nets.envelope import EnvelopeConfig, EnvelopeNet
from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
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

TINY_MIXER = MixerConfig(
    window=64,
    hop=16,
    patch=2,
    bands=((4, 4), (2, 8)),
    features=8,
    hidden=8,
    dilations=(1, 2),
    band_features=2,
    band_hidden=8,
    sigma_width=8,
)


# What is shown and what is told have the sizes of the real ones.
TINY_ENVELOPE = EnvelopeConfig(width=8, hidden=8, dilations=(1, 2))

# Given the mixture and a separator's estimate of its source.
TINY_SHOWN = replace(TINY, given=2, given_window=8, given_taps=4)


def tiny_net(seed: int = 0, sizes: WaveNetConfig = TINY) -> TieredWaveNet:
    """A network with every weight drawn from its own generator, so that none is zero."""
    net = TieredWaveNet(sizes, mu_law_levels(sizes.levels))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return net


def tiny_mixer(sources: int = 0, seed: int = 0) -> TimeFrequencyMixer:
    """A mixer of one source, or of a separator's mixture and sources, without a zero among its weights."""
    sizes = replace(TINY_MIXER, inputs=sources + 1, outputs=sources, recorded=1) if sources else TINY_MIXER
    return drawn_mixer(sizes, seed)


def tiny_restorer(recorded: int, seed: int = 0) -> TimeFrequencyMixer:
    """A mixer of one source that is shown so many waves, without a zero among its weights."""
    return drawn_mixer(replace(TINY_MIXER, inputs=recorded + 1, recorded=recorded), seed)


def drawn_mixer(sizes: MixerConfig, seed: int = 0) -> TimeFrequencyMixer:
    """A mixer of these sizes without a zero among its weights."""
    net = TimeFrequencyMixer(sizes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return net


def tiny_envelope(seed: int = 0, told: float | None = None) -> EnvelopeNet:
    """A network without a zero among its weights; `told`: one that tells this log10 of power of every band."""
    net = EnvelopeNet(TINY_ENVELOPE)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        if told is not None:
            net.leave.weight.zero_()
            net.leave.bias.fill_((told + 2) / 4)
    return net
