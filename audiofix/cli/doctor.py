"""`audiofix doctor`: what a report of a fault should say about the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from audiofix.cli import options, show

_PACKAGES = ("numpy", "scipy", "soxr", "safetensors")


def doctor(bench: options.Bench = False, _debug: options.Debug = False) -> None:
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
    if bench:
        for facts in _measured():
            show.facts(facts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, object]:
    import torch

    from audiofix.runtime.devices import available_devices, has_native_bf16

    facts: dict[str, object] = {
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cuda": f"torch is built for {torch.version.cuda}"
        if torch.version.cuda
        else "torch is built without",
    }
    for index, name in enumerate(available_devices()):
        device = torch.device(name)
        what = ["bf16 in hardware" if has_native_bf16(device) else "no bf16"]
        if device.type == "cuda":
            properties = torch.cuda.get_device_properties(device)
            what = [properties.name, f"{properties.total_memory / 1e9:.0f} GB", *what]
        facts[f"device {name}"] = ", ".join([*what, *(["chosen by auto"] if index == 0 else [])])
    return facts


def _measured() -> Iterator[dict[str, object]]:
    """What each device takes for each quality, from two short calls of each network on it."""
    import torch

    from audiofix.errors import AudiofixError
    from audiofix.loading import prepare
    from audiofix.runtime.devices import available_devices, has_native_bf16
    from audiofix.runtime.memory import keep_freed_memory

    keep_freed_memory()
    for device in available_devices():
        native = has_native_bf16(torch.device(device))
        for precision in ("bf16", "fp32") if native else ("fp32",):
            for quality in ("fast", "balanced", "best"):
                try:
                    setup = prepare(
                        ("speech", "piano"),
                        None,
                        None,
                        None,
                        None,
                        device,
                        None,
                        quality,
                        precision=precision,
                    )
                    draws = setup.choice.draws
                    seconds, size = setup.cost(2, 1, 60 * setup.sample_rate)
                    each = seconds * draws / 60
                    yield {
                        f"{device} {precision} {quality}": f"about {each:.2g} s per s of a channel with "
                        f"{setup.calls_per_source(draws)} calls and {size / 1e9:.1f} GB; an hour in stereo "
                        f"in {show.duration(7200 * each)}, on N such devices in an N-th of it"
                    }
                except AudiofixError as error:
                    yield {f"{device} {precision} {quality}": str(error)}


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
