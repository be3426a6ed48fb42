"""`audiofix doctor`: what a report of a fault should say about the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from audiofix.cli import options, show

_PACKAGES = ("numpy", "scipy", "soxr", "safetensors")


def doctor(_debug: options.Debug = False) -> None:
    """Versions, devices, threads, and the models that are found and usable."""
    import soundfile
    import torch

    from audiofix import __version__

    versions: dict[str, object] = {
        "audiofix": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "torch": torch.__version__,
        "torchaudio": _version("torchaudio"),
        "soundfile": f"{soundfile.__version__} with libsndfile {soundfile.__libsndfile_version__}",
        **{name: _version(name) for name in _PACKAGES},
    }
    show.facts({**versions, **_devices(), **_models()})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, object]:
    import torch

    facts: dict[str, object] = {
        "processor": f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads, "
        f"vectors {torch.backends.cpu.get_cpu_capability()}",
        "bf16 on processor": "in hardware" if _bf16_in_hardware() else "emulated, slow",
    }
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        facts[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB, {bf16}"
    if not torch.cuda.device_count():
        facts["cuda"] = f"none (torch built for CUDA {torch.version.cuda})" if torch.version.cuda else "none"
    facts["mps"] = "yes" if torch.backends.mps.is_available() else "none"
    return facts


def _bf16_in_hardware() -> bool:
    import torch

    # Private in torch, which has no public question for it: absent means that we do not know of any.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return any(getattr(torch.cpu, question, bool)() for question in questions)


def _models() -> dict[str, object]:
    from audiofix.hub.registry import ENVIRONMENT, model_folders, scan_models, verify

    facts: dict[str, object] = {ENVIRONMENT: os.environ.get(ENVIRONMENT) or "not set"}
    folders = [f"{folder}{'' if folder.is_dir() else ' (missing)'}" for folder in model_folders()]
    facts["model folders"] = ", ".join(folders) or "none"
    found = scan_models()
    for name, (card, folder) in sorted(found.models.items()):
        problems = verify(card, folder)
        facts[f"model {name}"] = (
            f"not usable: {problems[0]}" if problems else f"whole, prior of {card.source}"
        )
    for folder, problem in found.problems.items():
        facts[f"model {folder.name}"] = f"not usable: {problem}"
    return facts
