"""Networks on disk: a card's sizes and a weights file to a module on a device.

torch is imported inside the functions, so that listing models does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.errors import DeviceError
from audiofix.hub.card import CARD_FILE, ModelCard, bad_model
from audiofix.hub.weights import load_weights

if TYPE_CHECKING:
    import torch


def load_network(
    card: ModelCard,
    folder: Path,
    file: str,
    make: Callable[[dict[str, Any]], torch.nn.Module],
    device: str | torch.device = "cpu",
) -> Any:
    """The module that `make` builds from the card's sizes, with the weights of `file`, on the device.

    Raises ModelError when card and weights do not fit each other, DeviceError when the device cannot be used.
    """
    import torch

    state = load_weights(folder / file, card.files[file])
    try:
        with torch.random.fork_rng(devices=[]):  # initial values are drawn only to be overwritten
            net = make(card.network)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        expected = f"sizes of a {card.family} network"
        remedy = "correct the card, or export the model again"
        raise bad_model(folder / CARD_FILE, "network", expected, error, remedy) from error
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        remedy = "card and weights belong to different models: export the model again"
        raise bad_model(folder / file, "tensors", "those of the card's network", reason, remedy) from error
    try:
        return net.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise DeviceError(f"{card.name} cannot be put on device {device} ({reason}); try cpu") from error
