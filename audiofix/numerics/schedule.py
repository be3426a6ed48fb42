"""Annealing schedules: which noise levels, how many steps at each, how long a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiofix.errors import SettingError

# Of a step, the standard deviation of the error of rounding (1 / sqrt(12)): the level of noise it is taken for.
ROUNDING = 0.3


@dataclass(frozen=True)
class Schedule:
    """A ladder of noise levels with the Langevin steps taken at each.

    sigmas: full-scale amplitude, decreasing; steps: at each level; step_scale: delta in step_size = delta sigma^2
    (Song & Ermon 2019, algorithm 1; PnF section 4).
    """

    sigmas: tuple[float, ...]
    steps: int
    step_scale: float

    def __post_init__(self) -> None:
        if not self.sigmas or min(self.sigmas) <= 0:
            raise SettingError(f"noise levels must be positive and at least one, got {self.sigmas}")
        if any(a <= b for a, b in zip(self.sigmas, self.sigmas[1:], strict=False)):
            raise SettingError("noise levels must decrease")
        if self.steps < 1:
            raise SettingError(f"--steps must be 1 or more, got {self.steps}")
        if not 0 < self.step_scale < 2:
            raise SettingError(
                f"step scale must lie between 0 and 2 (above, Langevin diverges), got {self.step_scale}"
            )

    @property
    def total_steps(self) -> int:
        """Steps over all levels."""
        return len(self.sigmas) * self.steps

    def step_size(self, level: int) -> float:
        """Eta of a level."""
        return self.step_scale * self.sigmas[level] ** 2


def geometric_sigmas(high: float, low: float, levels: int) -> tuple[float, ...]:
    """`levels` noise levels from high down to low with a constant ratio; one level: just high."""
    if levels < 1:
        raise SettingError(f"--levels must be 1 or more, got {levels}")
    if not 0 < low <= high:
        raise SettingError(f"noise levels must satisfy 0 < low <= high, got {low} and {high}")
    if levels == 1:
        return (high,)
    return tuple(float(s) for s in np.geomspace(high, low, levels))


def levels_within(sigmas: tuple[float, ...], high: float, low: float) -> tuple[float, ...]:
    """Those of a prior's own levels from high down to low; a hundredth beside the ends counts as within."""
    return tuple(sigma for sigma in sigmas if low / 1.01 <= sigma <= high * 1.01)
