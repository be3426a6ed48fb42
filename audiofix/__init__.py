"""audiofix restores audio by posterior sampling: priors of clean sound, guided by what was recorded.

Public names are imported when first used, so that `import audiofix` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiofix.api import Separation, separate
    from audiofix.hub.registry import list_models, load_prior
    from audiofix.repair import Repair, restore
    from audiofix.types import Audio

try:
    __version__ = version("audiofix")
except PackageNotFoundError:  # a checkout that is on the path but not installed
    __version__ = "0+unknown"

_HOMES = {
    "Audio": "audiofix.types",
    "Repair": "audiofix.repair",
    "Separation": "audiofix.api",
    "list_models": "audiofix.hub.registry",
    "load_prior": "audiofix.hub.registry",
    "restore": "audiofix.repair",
    "separate": "audiofix.api",
}

__all__ = [
    "Audio", "Repair", "Separation", "__version__", "list_models", "load_prior", "restore", "separate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'audiofix' has no attribute {name!r}; public: {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
