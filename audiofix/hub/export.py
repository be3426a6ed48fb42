"""Write models: networks to a folder of card and weights, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiofix.errors import OutputError
from audiofix.hub.card import CARD_FILE, ModelCard, bad_model, level_file, write_card
from audiofix.hub.weights import save_weights


def export_network(
    net: Any,
    card: ModelCard,
    folder: Path,
    build: Callable[..., Any],
    *,
    overwrite: bool = False,
) -> ModelCard:
    """Write a model folder: weights and card in a new folder beside it, checked by loading, then moved there.

    `net`: one network conditioned on sigma, or one for each of the card's noise levels, or one that knows none,
    where the card has none. The card's files, network and conditioning are filled in; the card as written is
    returned. `build` is the family's, to check it by. `overwrite` replaces a model, never a folder that holds
    anything else. Raises OutputError when the folder is taken or cannot be written.
    """
    card = _completed(net, card, Path(folder))
    nets = dict(net) if isinstance(net, Mapping) else {0.0: net}

    def write(part: Path) -> dict[str, str]:
        each = zip(card.files, nets.values(), strict=True)
        return {name: save_weights(part / name, one.state_dict()) for name, one in each}

    return write_model(card, folder, write, build, overwrite=overwrite)


def write_model(
    card: ModelCard,
    folder: Path,
    write: Callable[[Path], dict[str, str]],
    build: Callable[..., Any],
    *,
    overwrite: bool = False,
) -> ModelCard:
    """As `export_network`: `write` puts the weights into the new folder and returns file names with their sha256.

    Returns the card with these files. Raises OutputError as there.
    """
    folder = Path(folder)
    refuse_to_lose(folder, overwrite)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        card = replace(card, files=write(part))
        write_card(card, part)
        build(card, part)
        _swap_in(part, folder)
    except OSError as error:
        raise OutputError(f"cannot write model {folder} ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card


def _completed(net: Any, card: ModelCard, folder: Path) -> ModelCard:
    """The card with network, conditioning and file names; hashes are still to come."""
    nets = dict(net) if isinstance(net, Mapping) else {0.0: net}
    configs = {one.config for one in nets.values()}
    if len(configs) != 1:
        got = f"{len(configs)} sizes"
        raise bad_model(folder, "network", "one size for all levels", got, "train them alike")
    conditioning = "per-level" if isinstance(net, Mapping) else "sigma" if card.sigmas else "none"
    card = replace(card, network=configs.pop().to_dict(), conditioning=conditioning)
    if conditioning != "per-level":
        return replace(card, files={"weights.safetensors": ""})
    if tuple(nets) != card.sigmas:
        remedy = "give them in the card's order"
        raise bad_model(folder, "sigmas", f"networks for {card.sigmas}", f"for {tuple(nets)}", remedy)
    return replace(card, files={level_file(s): "" for s in card.to_dict()["sigmas"]})


def refuse_to_lose(folder: Path, overwrite: bool) -> None:
    """Raise OutputError where a model cannot be put without losing something."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file; choose another folder for the model")
    held = [p.name for p in folder.iterdir()]
    if held and not overwrite:
        raise OutputError(f"{folder} exists already; choose another folder, or replace it with --overwrite")
    foreign = sorted(n for n in held if n != CARD_FILE and not n.endswith(".safetensors"))
    if foreign:
        raise OutputError(f"{folder} holds {foreign[0]}, which is no part of a model; choose another folder")


def _swap_in(part: Path, folder: Path) -> None:
    """Move `part` to `folder`; what was there stays whole until the new one is in its place."""
    if not folder.exists():
        os.replace(part, folder)
        return
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old.part")
    os.replace(folder, old)
    try:
        os.replace(part, folder)
    finally:
        if not folder.exists():
            os.replace(old, folder)
    shutil.rmtree(old, ignore_errors=True)
