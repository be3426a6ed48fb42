"""WaveNet priors on disk: a folder to a prior, and networks to a folder.

torch is imported inside the functions, so that listing models does not wait for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiofix.errors import DeviceError, OutputError
from audiofix.hub.card import CARD_FILE, ModelCard, bad_model, level_file, write_card
from audiofix.hub.weights import load_weights, save_weights

if TYPE_CHECKING:
    import torch

    from audiofix.nets.wavenet import TieredWaveNet
    from audiofix.priors.wavenet import WaveNetPrior


def build_wavenet(
    card: ModelCard, folder: Path, device: str | torch.device = "cpu", bf16: bool = False
) -> WaveNetPrior:
    """The prior of a card: one network conditioned on sigma, or one for each level.

    Raises ModelError when card and weights do not fit each other, DeviceError when the device cannot be used.
    """
    from audiofix.priors.wavenet import WaveNetPrior

    nets = {sigma: _load_net(card, folder, file) for sigma, file in card.weights.items()}
    try:
        for net in nets.values():
            net.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise DeviceError(f"{card.name} cannot be put on device {device} ({reason}); try cpu") from error
    return WaveNetPrior(nets, card.sample_rate, card.sigmas, bf16)


def export_wavenet(
    net: TieredWaveNet | Mapping[float, TieredWaveNet],
    card: ModelCard,
    folder: Path,
    *,
    overwrite: bool = False,
) -> ModelCard:
    """Write a model folder: weights and card in a new folder beside it, checked by loading, then moved there.

    `net`: one network conditioned on sigma, or one for each of the card's noise levels. The card's files,
    network and conditioning are filled in; the card as written is returned. `overwrite` replaces a model, never
    a folder that holds anything else. Raises OutputError when the folder is taken or cannot be written.
    """
    folder = Path(folder)
    _refuse_to_lose(folder, overwrite)
    card = _completed(net, card, folder)
    nets = dict(net) if isinstance(net, Mapping) else {card.sigmas[0]: net}
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        files = {}
        for name, one in zip(card.files, nets.values(), strict=True):
            files[name] = save_weights(part / name, one.state_dict())
        card = replace(card, files=files)
        write_card(card, part)
        build_wavenet(card, part)
        _swap_in(part, folder)
    except OSError as error:
        raise OutputError(f"cannot write model {folder} ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card


def _load_net(card: ModelCard, folder: Path, file: str) -> TieredWaveNet:
    import torch

    from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
    from audiofix.numerics.companding import mu_law_levels

    state = load_weights(folder / file, card.files[file])
    try:
        config = WaveNetConfig.from_dict(card.network)
        with torch.random.fork_rng(devices=[]):  # initial values are drawn only to be overwritten
            net = TieredWaveNet(config, mu_law_levels(config.levels))
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        remedy = "correct the card, or export the model again"
        raise bad_model(folder / CARD_FILE, "network", "sizes of a WaveNet", error, remedy) from error
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        remedy = "card and weights belong to different models: export the model again"
        raise bad_model(folder / file, "tensors", "those of the card's network", reason, remedy) from error
    return net


def _completed(
    net: TieredWaveNet | Mapping[float, TieredWaveNet], card: ModelCard, folder: Path
) -> ModelCard:
    """The card with network, conditioning and file names; hashes are still to come."""
    nets = dict(net) if isinstance(net, Mapping) else {card.sigmas[0]: net}
    configs = {one.config for one in nets.values()}
    if len(configs) != 1:
        got = f"{len(configs)} sizes"
        raise bad_model(folder, "network", "one size for all levels", got, "train them alike")
    conditioning = "per-level" if isinstance(net, Mapping) else "sigma"
    card = replace(card, network=configs.pop().to_dict(), conditioning=conditioning)
    if conditioning == "sigma":
        return replace(card, files={"weights.safetensors": ""})
    if tuple(nets) != card.sigmas:
        remedy = "give them in the card's order"
        raise bad_model(folder, "sigmas", f"networks for {card.sigmas}", f"for {tuple(nets)}", remedy)
    return replace(card, files={level_file(s): "" for s in card.to_dict()["sigmas"]})


def _refuse_to_lose(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file; choose another folder for the model")
    held = [p.name for p in folder.iterdir()]
    if held and not overwrite:
        raise OutputError(f"{folder} exists already; choose another folder, or allow overwriting it")
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
