"""What a run has reached, on disk, so that one which was stopped goes on to the same end."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from audiofix.errors import OutputError
from audiofix.runtime.ranks import Ranks, pieces
from audiofix.runtime.stores import Store

INDEX = "reached.json"
SHARE = 20  # a run saves itself at most so many times more seldom than it takes to save


@dataclass(frozen=True)
class Reached:
    """Where a run stands: in which draw, and after how many steps of its chain."""

    draw: int
    done: int


@dataclass
class Trail:
    """The checkpoints of one run, in a folder of its own.

    `key` names input and settings: what another run left is not taken up. Every process writes its own stretch;
    the index, written last and in one move, names files that are whole. Raises OutputError where the disk says no.
    """

    folder: Path
    key: str
    ranks: Ranks = field(default_factory=Ranks)
    every: float = 30.0  # s
    share: float = SHARE
    _last: float = field(default_factory=time.monotonic)
    _took: float = 0.0

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._last > max(self.every, self.share * self._took)

    def save(self, reached: Reached, stores: Mapping[str, Store]) -> None:
        """Write the stores; all processes at the same place of the run."""
        began = time.monotonic()
        stamp = f"{reached.draw}-{reached.done}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, store in stores.items():
                _dump(store, self.folder / f"{name}.{stamp}.{store.start}-{store.stop}.f32")
            self.ranks.agree(False)  # every stretch is on the disk
            if self.ranks.first:
                index = {"key": self.key, "draw": reached.draw, "done": reached.done, "stores": list(stores)}
                part = self.folder / f".{secrets.token_hex(6)}.part"
                part.write_text(json.dumps(index), encoding="utf-8")
                os.replace(part, self.folder / INDEX)
                for file in self.folder.glob("*.f32"):
                    if f".{stamp}." not in file.name:
                        file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot save the state of the run in {self.folder} ({error.strerror}); free some space, or "
                "choose another -o"
            ) from error
        self._last = time.monotonic()
        self._took = self._last - began

    def found(self) -> Reached | None:
        """What an earlier run with this key has reached; None where there is none."""
        try:
            index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
            return Reached(index["draw"], index["done"]) if index["key"] == self.key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def holds(self, name: str) -> bool:
        """Whether what was reached has a store of that name."""
        reached = self.found()
        return reached is not None and any(self.folder.glob(f"{name}.{reached.draw}-{reached.done}.*.f32"))

    def fill(self, name: str, store: Store) -> None:
        """Read a saved store's part of `store`, whatever the stretches were that it was saved in."""
        reached = self.found()
        if reached is None:
            raise ValueError("nothing was saved")
        lead = store.read(store.start, store.start).shape[:2]
        width = lead[0] * lead[1]
        for file in self.folder.glob(f"{name}.{reached.draw}-{reached.done}.*.f32"):
            start, stop = (int(number) for number in file.suffixes[-2].lstrip(".").split("-"))
            for left, right in pieces(max(start, store.start), min(stop, store.stop)):
                held = np.fromfile(
                    file, np.float32, width * (right - left), offset=4 * width * (left - start)
                )
                store.write(left, torch.from_numpy(held).reshape(right - left, *lead).movedim(0, -1))

    def forget(self) -> None:
        """Remove everything that was saved."""
        if self.ranks.first:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.folder)


def _dump(store: Store, path: Path) -> None:
    with path.open("wb") as file:
        for start, stop in pieces(store.start, store.stop):
            store.read(start, stop).float().movedim(-1, 0).contiguous().numpy().tofile(file)
        file.flush()
        os.fsync(file.fileno())
