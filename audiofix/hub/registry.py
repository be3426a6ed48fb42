"""Which models there are, where they lie, and how one is loaded. The only place that names families.

Models are searched in this order, and the first of a name wins: the folders in the environment variable
AUDIOFIX_MODELS, the folder given by the caller, the models that came with the package. Each of these holds
one folder per model, or is itself a model. Nothing here imports torch before a model is loaded.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.errors import ModelError
from audiofix.hub.card import CARD_FILE, ModelCard, bad_model, read_card
from audiofix.hub.export import export_network
from audiofix.hub.families import (
    build_envelope,
    build_inpainter,
    build_pnf_wavenet,
    build_score,
    build_separator,
    build_upsampler,
    build_wavenet,
)
from audiofix.hub.weights import check_hash

if TYPE_CHECKING:
    import torch

ENVIRONMENT = "AUDIOFIX_MODELS"

FAMILIES: dict[str, Callable[..., Any]] = {
    "wavenet": build_wavenet,
    "score": build_score,
    "separator": build_separator,
    "inpainter": build_inpainter,
    "upsampler": build_upsampler,
    "envelope": build_envelope,
    "pnf-wavenet": build_pnf_wavenet,
}
# Families that know what to do with levels on an axis other than linear amplitude.
OTHER_AXES = {"pnf-wavenet"}


@dataclass(frozen=True)
class Found:
    """What a search came across: usable models by name, and what was wrong with the others."""

    models: dict[str, tuple[ModelCard, Path]]
    problems: dict[Path, ModelError]


@dataclass
class Kept:
    """What was found and loaded while `keeping_models` was open, and the seconds that this took."""

    things: dict[Hashable, Any] = field(default_factory=dict)
    seconds: float = 0.0


_KEPT: ContextVar[Kept | None] = ContextVar("kept models", default=None)


def model_folders(folder: Path | str | None = None) -> list[Path]:
    """Folders that are searched, in order, whether they exist or not."""
    named = [Path(p) for p in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if p]
    given = [Path(folder)] if folder is not None else []
    return [*named, *given, *_packaged()]


def scan_models(folder: Path | str | None = None) -> Found:
    """All models that can be found; a folder or card that cannot be used is a problem, not an error."""
    roots = model_folders(folder)
    found: Found = _once(("found", *roots), lambda: _scan(roots))
    return found


def _scan(roots: Sequence[Path]) -> Found:
    models: dict[str, tuple[ModelCard, Path]] = {}
    problems: dict[Path, ModelError] = {}
    for root in roots:
        try:
            homes = _homes(root)
        except OSError as error:
            remedy = f"correct {ENVIRONMENT} or the folder given"
            problems[root] = bad_model(root, "folder", "a folder of models", error.strerror, remedy)
            continue
        for home in homes:
            try:
                card = read_card(home)
            except ModelError as error:
                problems[home] = error
            else:
                models.setdefault(card.name, (card, home))
    return Found(models, problems)


def list_models(folder: Path | str | None = None) -> list[ModelCard]:
    """Cards of all models that can be found, by name; broken ones are left out with a warning."""
    found = scan_models(folder)
    for problem in found.problems.values():
        warnings.warn(f"model left out: {problem}", stacklevel=2)
    return [card for _, (card, _) in sorted(found.models.items())]


def find_model(name: str, folder: Path | str | None = None) -> tuple[ModelCard, Path]:
    """Card and folder of a model. Raises ModelError that lists what there is, or says what is wrong with it."""
    found = scan_models(folder)
    if name in found.models:
        return found.models[name]
    for home, problem in found.problems.items():
        if home.name == name:
            raise problem
    close = difflib.get_close_matches(name, found.models, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    listed = ", ".join(sorted(found.models)) or "none"
    broken = f" (and {len(found.problems)} that cannot be used)" if found.problems else ""
    more = f"more can be added through {ENVIRONMENT}"
    raise ModelError(f"there is no model {name!r}; {hint}models found: {listed}{broken}; {more}")


def models_for_source(source: str, folder: Path | str | None = None) -> list[ModelCard]:
    """Cards of all priors of a source, in search order. Raises ModelError that lists the sources there are."""
    found = scan_models(folder)
    cards = [card for card, _ in found.models.values() if card.source == source]
    if not cards:
        # A separator of several sources, with commas between them, is nobody's prior.
        sources = sorted({card.source for card, _ in found.models.values() if "," not in card.source})
        close = difflib.get_close_matches(source, sources, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        listed = ", ".join(sources) or "nothing"
        raise ModelError(f"there is no prior of {source!r}; {hint}there are priors of {listed}")
    return cards


def load_prior(
    name_or_folder: str | Path,
    device: str | torch.device = "cpu",
    *,
    folder: Path | str | None = None,
    bf16: bool = False,
) -> Any:
    """A prior by its model's name, or by its folder: a Path, or a text with a separator such as `./mine`.

    `folder` adds a folder of models to the search. `bf16` computes the network's features in bfloat16.

    Raises ModelError when it is unknown or not what its card says, DeviceError when it does not fit the device.
    """
    card, home = resolve_model(name_or_folder, folder)
    key = str(home), model_hash(card), str(device), bf16
    return _once(key, lambda: _build(card, home, device, bf16))


@contextlib.contextmanager
def keeping_models(kept: Kept | None = None) -> Iterator[None]:
    """Search and load each model once while this is open, for many files in one process; priors hold no state.

    With `kept` once for all times that this is opened with it.
    """
    token = _KEPT.set(Kept() if kept is None else kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def _once(key: Hashable, make: Callable[[], Any]) -> Any:
    kept = _KEPT.get()
    if kept is None:
        return make()
    if key not in kept.things:
        began = time.perf_counter()
        kept.things[key] = make()
        kept.seconds += time.perf_counter() - began
    return kept.things[key]


def resolve_model(name_or_folder: str | Path, folder: Path | str | None = None) -> tuple[ModelCard, Path]:
    """Card and folder of a model given as `load_prior` takes it. Raises ModelError."""
    text = str(name_or_folder)
    if not (isinstance(name_or_folder, Path) or "/" in text or os.sep in text):
        return find_model(text, folder)
    home = Path(name_or_folder)
    card = read_card(home)
    return card, home if home.is_dir() else home.parent


def export_model(net: Any, card: ModelCard, folder: Path, *, overwrite: bool = False) -> ModelCard:
    """Write a model folder as `export_network` does, checked by its family's builder."""
    return export_network(net, card, folder, FAMILIES[card.family], overwrite=overwrite)


def verify(card: ModelCard, folder: Path) -> list[str]:
    """Everything wrong with a model on disk: missing, foreign or damaged files, weights that do not load."""
    problems = []
    for name, expected in card.files.items():
        path = folder / name
        try:
            check_hash(path, expected)
        except ModelError as error:
            problems.append(str(error))
    stray = sorted(p.name for p in folder.glob("*.safetensors") if p.name not in card.files)
    problems += [f"{folder / name}: not in the card; remove it, or export the model again" for name in stray]
    if not problems:
        try:
            built = _build(card, folder, "cpu", False)
            for _ in getattr(built, "nets", {}).values():  # those that are loaded when they are asked for
                pass
        except ModelError as error:
            problems.append(str(error))
    return problems


def model_hash(card: ModelCard) -> str:
    """Twelve hex digits that change with anything that changes a model's numbers: weights, sizes, levels."""
    keys = ("family", "sample_rate", "sigmas", "conditioning", "smoothing_axis", "network", "files")
    text = json.dumps({key: getattr(card, key) for key in keys}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _homes(root: Path) -> list[Path]:
    """Model folders in a folder, by name; hidden ones are unfinished exports."""
    if (root / CARD_FILE).is_file():
        return [root]
    return sorted(p for p in root.iterdir() if not p.name.startswith(".") and (p / CARD_FILE).is_file())


def _build(card: ModelCard, home: Path, device: str | torch.device, bf16: bool) -> Any:
    if card.family not in FAMILIES:
        expected = " or ".join(FAMILIES)
        remedy = "a newer audiofix may know it"
        raise bad_model(home / CARD_FILE, "family", expected, repr(card.family), remedy)
    if card.smoothing_axis != "linear" and card.family not in OTHER_AXES:
        expected = f"linear for the family {card.family}"
        remedy = "correct the card, or export the model again"
        raise bad_model(home / CARD_FILE, "smoothing_axis", expected, card.smoothing_axis, remedy)
    return FAMILIES[card.family](card, home, device, bf16)


def _packaged() -> list[Path]:
    """Models inside the installed package, or in the checkout that the package is imported from."""
    package = Path(__file__).resolve().parent.parent
    inside, beside = package / "_models", package.parent / "models"
    if inside.is_dir():
        return [inside]
    # Any other package may be called "models": only a checkout has pyproject.toml beside it.
    return [beside] if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else []


__all__ = [
    "ENVIRONMENT",
    "FAMILIES",
    "Found",
    "Kept",
    "export_model",
    "find_model",
    "keeping_models",
    "list_models",
    "load_prior",
    "model_folders",
    "model_hash",
    "models_for_source",
    "resolve_model",
    "scan_models",
    "verify",
]
