"""What is asked of a restoration, as one value that is handed on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What `audiofix.restore` takes besides a recording, its faults and who watches.

    `preparing` and `tools` refuse what is out of range. to_rate: Hz, above the recording's; None: as it came.
    source: a model's, or auto: recognised. prior: a model's name or folder; None: the source's best measured.
    quality: fast, balanced or best. draws: >= 1; None: the quality's. mean: whether their mean is the result;
    None: unless a band is missing. seed: >= 0. device: as `runtime.devices.pick_device` takes it.
    """

    to_rate: int | None = None
    source: str = "auto"
    prior: str | None = None
    quality: str = "balanced"
    draws: int | None = None
    mean: bool | None = None
    seed: int = 0
    device: str = "auto"
