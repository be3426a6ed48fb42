"""Begin a network that is shown more, or says more, with the weights of one that is shown or says less."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.nets.wavenet import WaveNetConfig


def can_widen(small: object, large: object) -> bool:
    """Whether two networks' sizes differ only in that the larger is shown waves that the smaller is not.

    Or, for mixers, only in that the larger estimates local variances.
    """
    if isinstance(small, MixerConfig) and isinstance(large, MixerConfig):
        if large.local:
            return not small.local and replace(small, local=True) == large
        small = replace(small, local=False)  # what it says of variances is left behind
        added = large.recorded - small.recorded
        same = (
            replace(small, recorded=large.recorded, inputs=small.inputs + added) == large
            if added > 0
            else False
        )
        return small.recorded == 0 and small.inputs == 1 and same
    if isinstance(small, WaveNetConfig) and isinstance(large, WaveNetConfig):
        same = replace(large, given=0) == replace(
            small, given_taps=large.given_taps, given_window=large.given_window
        )
        return small.given == 0 < large.given and same
    return False


def widened(small: nn.Module, fresh: nn.Module) -> dict[str, Tensor]:
    """Weights for `fresh`, newly initialised, of which as many as can be come from `small`.

    A WaveNet answers as before, whatever conditions it: its new layers are all zero. A mixer takes over all but
    its exit, so that it answers zero; it looks at the first recorded wave as at its input, at others not yet. One
    that comes to estimate variances answers as before: heights above noise are not looked at yet, and the
    variances are those of the data.
    Raises ValueError where `can_widen` says no.
    """
    if not can_widen(small.config, fresh.config):
        raise ValueError("the networks differ in more than what they are shown")
    before, state = small.state_dict(), fresh.state_dict()
    if not isinstance(fresh, TimeFrequencyMixer):
        return {**state, **before}
    if fresh.config.local:
        return {**state, **before, **_with_variances(before, fresh.config)}
    kept = {name: value for name, value in before.items() if not name.startswith(("enter.", "leave."))}
    c, entering = fresh.config, 3 if _has_variances(small) else 2
    entrances = {}
    for index, (count, width) in enumerate(c.bands):
        # Rows are (bin, frame, wave, part): the noisy input comes last.
        old = before[f"enter.{index}"].view(count, width, c.patch, 1, entering, c.features)[..., :2, :]
        wide = old.new_zeros(count, width, c.patch, c.inputs, 2, c.features)
        wide[:, :, :, [0]], wide[:, :, :, [-1]] = old, old
        entrances[f"enter.{index}"] = wide.flatten(1, 4)
    return {**state, **kept, **entrances}


def _with_variances(before: dict[str, Tensor], c: MixerConfig) -> dict[str, Tensor]:
    """Entrances and exits with zeros for the numbers that are new."""
    found = {}
    for index, (count, width) in enumerate(c.bands):
        old = before[f"enter.{index}"].view(count, width * c.patch, c.entering - 1, c.features)
        found[f"enter.{index}"] = functional.pad(old, (0, 0, 0, 1)).flatten(1, 2)
        old = before[f"leave.{index}"].view(count, c.features, width * c.patch, c.leaving - 1)
        found[f"leave.{index}"] = functional.pad(old, (0, 1)).flatten(2, 3)
    return found


def _has_variances(net: nn.Module) -> bool:
    return isinstance(net.config, MixerConfig) and net.config.local
