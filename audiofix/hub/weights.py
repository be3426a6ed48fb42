"""Weights on disk: safetensors, checked by sha256 before anything is parsed. Nothing is ever unpickled.

torch is imported inside the functions, so that listing and hashing models does not wait for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from audiofix.errors import ModelError
from audiofix.hub.card import bad_model

if TYPE_CHECKING:
    from torch import Tensor

SHORT = 64  # numbers in a vector that is kept in float32
_AGAIN = "fetch the model again, or export it again"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file. Raises ModelError when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise bad_model(path, "file", "a weights file", error.strerror, _AGAIN) from error


def save_weights(path: Path, state_dict: Mapping[str, Tensor], exact: bool = False) -> str:
    """Write a state dict as safetensors: float16, but short vectors in float32. Returns the sha256.

    Short ones cost nothing, and the noise level's frequencies among them multiply large angles. `exact`: all in
    float32.
    Written beside its place, then moved there. Raises ModelError for values that float16 cannot hold.
    """
    import torch
    from safetensors.torch import save

    tensors = {}
    for name, tensor in state_dict.items():
        value = tensor.detach().cpu()
        if value.is_floating_point():
            half = not exact and (value.ndim > 1 or len(value) > SHORT)
            value = value.to(torch.float16 if half else torch.float32)
            if not value.isfinite().all():
                remedy = "the training went wrong: go back to an earlier checkpoint"
                raise bad_model(
                    path,
                    name,
                    f"values within {str(value.dtype).removeprefix('torch.')}",
                    "larger or not finite ones",
                    remedy,
                )
        tensors[name] = value.contiguous().clone()  # safetensors refuses views and shared memory
    data = save(tensors)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def load_weights(path: Path, expected_sha256: str) -> dict[str, Tensor]:
    """Read a weights file into a state dict of float32 tensors.

    Raises ModelError when the file is missing, is not the one its card names, or is not whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise bad_model(path, "file", "a weights file", error.strerror, _AGAIN) from error
    got = hashlib.sha256(data).hexdigest()
    if got != expected_sha256:
        raise wrong_hash(path, expected_sha256, got, len(data))
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        got = f"{len(data)} bytes that do not parse"
        raise bad_model(path, "content", "safetensors", got, _AGAIN) from error
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def check_hash(path: Path, expected: str) -> None:
    """Raise ModelError when a file is missing or is not the one its card names."""
    got = sha256_of(path)
    if got != expected:
        raise wrong_hash(path, expected, got, path.stat().st_size)


def wrong_hash(path: Path, expected: str, got: str, size: int) -> ModelError:
    """The error for a file that is not the one its card names."""
    remedy = f"it is damaged, cut short or another model's: {_AGAIN}"
    return bad_model(path, "sha256", f"{expected[:12]}...", f"{got[:12]}... ({size} bytes)", remedy)
