"""Give a network more to look at without changing what it says, so that training can go on with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.nets.wavenet import WaveNetConfig


def can_widen(small: object, large: object) -> bool:
    """Whether two networks' sizes differ only in that the larger is shown more: recordings, or conditions."""
    if isinstance(small, MixerConfig) and isinstance(large, MixerConfig):
        added = large.recorded - small.recorded
        return added > 0 and replace(small, recorded=large.recorded, inputs=small.inputs + added) == large
    if isinstance(small, WaveNetConfig) and isinstance(large, WaveNetConfig):
        return small.given == 0 < large.given and replace(large, given=0) == replace(
            small, given_taps=large.given_taps, given_window=large.given_window
        )
    return False


def widened(small: nn.Module, fresh: nn.Module) -> dict[str, Tensor]:
    """Weights for `fresh`, newly initialised, that answer as `small` does, whatever is shown beside its inputs.

    Recordings that are added come after those there were. Raises ValueError where `can_widen` says no.
    """
    if not can_widen(small.config, fresh.config):
        raise ValueError("the networks differ in more than what they are shown")
    if isinstance(small, TimeFrequencyMixer):
        config: Any = fresh.config
        return _widened_mixer(small, config)
    return {**fresh.state_dict(), **small.state_dict()}  # its new layers are all zero


def _widened_mixer(small: TimeFrequencyMixer, config: MixerConfig) -> dict[str, Tensor]:
    before = small.config
    state = {name: value.clone() for name, value in small.state_dict().items()}
    for index, (count, width) in enumerate(config.bands):
        # Rows of `enter` are (bin, frame, wave, part), columns of `leave` (bin, frame, output, factor, part).
        shape = (count, width, config.patch)
        enter = state[f"enter.{index}"].view(*shape, before.inputs, 2, config.features)
        wide = enter.new_zeros(*shape, config.inputs, 2, config.features)
        old = [*range(before.recorded), *range(config.recorded, config.inputs)]
        wide[:, :, :, old] = enter
        state[f"enter.{index}"] = wide.flatten(1, 4)
        leave = state[f"leave.{index}"]
        leave = leave.view(count, config.features, width, config.patch, before.outputs, before.factors, 2)
        out = leave.new_zeros(*leave.shape[:5], config.factors, 2)
        out[..., [*range(before.recorded), *range(config.recorded, config.factors)], :] = leave
        state[f"leave.{index}"] = out.flatten(2)
    return state
