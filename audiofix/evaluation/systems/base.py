"""What a system is given and what it gives back: one interface for ours, classical ones and peers."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from audiofix.errors import SettingError
from audiofix.types import Audio

KINDS = ("separate", "upsample", "inpaint", "declip", "dequantise", "denoise")
RESTORED = "restored"  # the one name in `Task.clean` of a restoration


@dataclass(frozen=True, eq=False)
class Task:
    """One item to work on: what a system gets to see, and the truth that it is scored against.

    Attributes
    ----------
    kind
        One of KINDS.
    track
        A name that no other item of the run has.
    given
        What was recorded: the mixture, or the damaged recording at its own rate (lower than `rate` to upsample).
    clean
        Source to (channel, time) truth at `rate`; one entry, named RESTORED, for a restoration. Sources are named
        as the dataset's stems, joined by + where several count as one: "vocals", "drums+bass+other".
    rate
        Hz of the result.
    faults
        Those of `audiofix.damages` that were applied; () for a separation. Upsampling has none where the rate of
        `given` says it all.
    seed
        Of all that is drawn, >= 0.
    """

    kind: str
    track: str
    given: Audio
    clean: dict[str, Tensor]
    rate: int
    faults: tuple[Any, ...]
    seed: int


@runtime_checkable
class System(Protocol):
    """Something that separates or restores.

    One that cannot do all tasks of its kinds may have a method `check(kind, names)` too, which is called once with
    the names of `Task.clean` before anything is computed, and raises SettingError. One that must be told the
    faults may have `told`, the kinds for which that is so: it is refused where nobody knows them. One that reads
    models when they are asked for may have `loading`, the seconds spent on that so far; they do not count.

    Attributes
    ----------
    name
        As in results and tables.
    kinds
        The tasks that it can do, of KINDS.
    oracle
        Whether it looks at `task.clean`. Only then may it.
    """

    name: str
    kinds: frozenset[str]
    oracle: bool

    def run(self, task: Task) -> dict[str, Tensor]:
        """The same keys and shapes as `task.clean`, at `task.rate`. Raises AudiofixError where it cannot."""
        ...


# Name: "module:factory". A factory takes by name those options of `load_system` that it knows, and gives a System.
# It imports what it needs when it is called, and raises SettingError with the command to install what is missing.
SYSTEMS: dict[str, str] = {
    "audiofix": "audiofix.evaluation.systems.own:own",
    "mixture": "audiofix.evaluation.systems.plain:mixture",
    "unchanged": "audiofix.evaluation.systems.plain:unchanged",
    "sinc": "audiofix.evaluation.systems.plain:sinc",
    "ratio-mask": "audiofix.evaluation.systems.ratio_mask:oracle",
    "hpss": "audiofix.evaluation.systems.spectral:hpss",
    "nmf": "audiofix.evaluation.systems.spectral:nmf",
    "nmf-oracle": "audiofix.evaluation.systems.spectral:nmf_oracle",
    "spectral-replication": "audiofix.evaluation.systems.classical:make_spectral_replication",
    "janssen": "audiofix.evaluation.systems.classical:make_janssen",
    "a-spade": "audiofix.evaluation.systems.classical:make_spade",
    "spline": "audiofix.evaluation.systems.classical:make_spline",
    "autoregression": "audiofix.evaluation.systems.classical:make_autoregressive",
    "wiener": "audiofix.evaluation.systems.classical:make_wiener",
    "log-mmse": "audiofix.evaluation.systems.classical:make_log_mmse",
    "spectral-subtraction": "audiofix.evaluation.systems.classical:make_spectral_subtraction",
    "demucs": "audiofix.evaluation.systems.demucs:demucs",
    "spleeter": "audiofix.evaluation.systems.spleeter:spleeter",
    "dtln": "audiofix.evaluation.systems.dtln:dtln",
    "gtcrn": "audiofix.evaluation.systems.gtcrn:gtcrn",
    "command": "audiofix.evaluation.systems.command:command",
}


def load_system(name: str, options: Mapping[str, Any] | None = None) -> System:
    """The system of that name, made with those of the options that its factory takes.

    Options are `quality`, `prior`, `draws`, `device`, `sources` (name in `Task.clean` to source of a model, such
    as {"drums+bass+other": "piano"}), `command` (a template: "tool {in} {outdir}"), `stem_names` and `timeout`
    for it, and `kept`, the models that several systems share; None is not handed on. A name with a colon is itself
    "module:factory", for systems of one's own.
    Raises SettingError.
    """
    if name not in SYSTEMS and ":" not in name:
        raise SettingError(
            f"no system is named {name!r}; there are {', '.join(sorted(SYSTEMS))}, or give module:factory"
        )
    module, _, factory = SYSTEMS.get(name, name).partition(":")
    try:
        make = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise SettingError(
            f"the system {name} cannot be made ({error}); check its name, or install it"
        ) from error
    known = inspect.signature(make).parameters
    given = {key: value for key, value in (options or {}).items() if key in known and value is not None}
    system: System = make(**given)
    return system
