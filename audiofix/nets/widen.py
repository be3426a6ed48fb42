"""Give a network more to look at without changing what it says, so that training can go on with it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from audiofix.nets.wavenet import WaveNetConfig


def can_widen(small: object, large: object) -> bool:
    """Whether two networks' sizes differ only in that the larger is conditioned and the smaller is not."""
    if not (isinstance(small, WaveNetConfig) and isinstance(large, WaveNetConfig)):
        return False
    same = replace(small, given_taps=large.given_taps, given_window=large.given_window)
    return small.given == 0 < large.given and replace(large, given=0) == same


def widened(small: nn.Module, fresh: nn.Module) -> dict[str, Tensor]:
    """Weights for `fresh`, newly initialised, that answer as `small` does, whatever conditions them.

    The layers that look at conditions are all zero at first. Raises ValueError where `can_widen` says no.
    """
    if not can_widen(small.config, fresh.config):
        raise ValueError("the networks differ in more than what they are shown")
    return {**fresh.state_dict(), **small.state_dict()}
