"""torchaudio's own classes for published datasets, where torchaudio can be imported."""

from __future__ import annotations

import importlib
import warnings
from typing import Any


def published(name: str) -> Any:
    """A class of torchaudio.datasets; None where it cannot be had.

    A torchaudio that was not built for the torch beside it raises when it is imported: RuntimeError for another
    CUDA, OSError for another ABI. pip does not prevent that. Only the lists of the classes are used: what they
    read sound with, TorchCodec, takes libraries of ffmpeg that pip does not bring.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it will not have in later versions
            return getattr(importlib.import_module("torchaudio.datasets"), name, None)
    except (ImportError, OSError, RuntimeError):
        return None
