"""Networks on disk: a card's sizes and a weights file to a module on a device.

torch is imported inside the functions, so that listing models does not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.errors import DeviceError
from audiofix.hub.card import CARD_FILE, ModelCard, bad_model
from audiofix.hub.weights import load_weights

if TYPE_CHECKING:
    import torch


KEPT = 3  # networks of a model in memory: a chain asks for one, and for the next


class LoadedLater(Mapping[float, Any]):
    """Noise level to its network, loaded when it is asked for; the few that were asked for last are kept."""

    def __init__(self, sigmas: tuple[float, ...], load: Callable[[float], Any]) -> None:
        self.sigmas, self._load = sigmas, load
        self._kept: dict[float, Any] = {}
        self._lock = threading.Lock()  # chunks are worked on in threads

    def __getitem__(self, sigma: float) -> Any:
        with self._lock:
            if sigma not in self.sigmas:
                raise KeyError(sigma)
            net = self._kept.pop(sigma, None)
            if net is None:
                while len(self._kept) >= KEPT:
                    del self._kept[next(iter(self._kept))]
                net = self._load(sigma)
            self._kept[sigma] = net
            return net

    def __iter__(self) -> Iterator[float]:
        return iter(self.sigmas)

    def __len__(self) -> int:
        return len(self.sigmas)


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
