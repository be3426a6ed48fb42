"""Which device to compute on, and what it is good at."""

from __future__ import annotations

import torch

from audiofix.errors import DeviceError


def available_devices() -> list[str]:
    """Names of the devices that can be used here, best first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def pick_device(name: str) -> torch.device:
    """The device of a name, or the best one for "auto". Raises DeviceError that lists what there is."""
    found = available_devices()
    if name == "auto":
        return torch.device(found[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in found:
        raise DeviceError(f"device {name!r} is not here; available: {', '.join(found)}; or use --device auto")
    return torch.device(wanted)


def wants_bf16(precision: str, device: torch.device) -> bool:
    """Whether networks compute in bfloat16: "auto" where the hardware does. Raises DeviceError for other words."""
    if precision not in ("auto", "fp32", "bf16"):
        raise DeviceError(f"there is no precision {precision!r}; choose one of auto, fp32, bf16")
    return has_native_bf16(device) if precision == "auto" else precision == "bf16"


def has_native_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware; elsewhere they are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False
