"""Priors with levels of their own, and those that were smoothed on another axis than linear amplitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from audiofix.damages import Cut, Fault, LostSamples, Rounded
from audiofix.numerics.companding import LINEAR, Curve
from audiofix.numerics.schedule import Schedule, geometric_sigmas, levels_within
from audiofix.operators.companded import Companded
from audiofix.restoration import Damage

# Where the errors of a first guess drown: anywhere on the axis in a gap, what is left above a level of clipping.
HIGHEST_IN_GAPS, HIGHEST_ABOVE_CUT = 1.0, 0.3


def curve_of(prior: Any) -> Curve:
    """The axis that a prior's levels and sigmas are on."""
    return getattr(prior, "curve", LINEAR)


def walked(prior: Any) -> Any:
    """The prior that a chain follows: on its own axis, where noise fits sigma."""
    return prior if curve_of(prior) is LINEAR else prior.on_its_axis


def sample_by_sample(faults: Sequence[Fault]) -> bool:
    """Whether all that is known is known of single samples, so that any monotone axis will do."""
    return all(isinstance(fault, LostSamples | Cut | Rounded) for fault in faults)


def along(curve: Curve, damage: Damage, begin: Tensor) -> tuple[Damage, Tensor]:
    """What is known, and the first guess (batch, 1, time), for a chain along the curve's axis."""
    if curve is LINEAR or damage.operator is None:
        return damage, begin
    return replace(damage, operator=Companded(damage.operator, curve)), curve.compress(begin)


def highest_along(curve: Curve, faults: Sequence[Fault]) -> float:
    """Noise level on the curve's axis to start from, for faults that are `sample_by_sample`."""
    return max(
        # A step is longest on the axis where the signal is quietest.
        min(HIGHEST_IN_GAPS, fault.step * float(curve.slope(torch.zeros(()))))
        if isinstance(fault, Rounded)
        else (HIGHEST_ABOVE_CUT if isinstance(fault, Cut) else HIGHEST_IN_GAPS)
        for fault in faults
    )


def ladder(prior: Any, high: float, low: float, levels: int, step_scale: float) -> Schedule:
    """Geometric levels, one step at each; a prior that has levels of its own gets these, as many steps in all."""
    own = levels_within(prior.sigmas, high, low) if getattr(prior, "stepped", False) else ()
    if len(own) < 2:
        return Schedule(geometric_sigmas(high, min(low, high / 2), levels), 1, step_scale)
    return Schedule(own, max(1, round(levels / len(own))), step_scale)
