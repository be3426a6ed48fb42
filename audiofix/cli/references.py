"""Clean recordings that results from the disk are held against, laid out there too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiofix.runtime.stores import Store
    from audiofix.scoring import Read


def laid_out(file: Path, scratch: Path) -> Store:
    """A file's samples, (channel, 1, time), in a new folder of `scratch`. Raises InputError for silence."""
    import tempfile

    import torch

    from audiofix.audio.streaming import blocks, outline
    from audiofix.runtime.stores import on_disk
    from audiofix.scoring import check_sound

    came, at = outline(file), 0
    store = on_disk(Path(tempfile.mkdtemp(dir=scratch)))((came.channels, 1), 0, came.length)
    moves = torch.zeros(came.channels).bool()
    for block in blocks(file):
        store.write(at, block[:, None])
        moves |= (block != store.read(0, 1)[:, 0]).any(dim=1)
        at += block.shape[1]
    check_sound(moves)
    return store


def reader(store: Store, source: int = 0) -> Read:
    """Reads one source of a store, (channel, time)."""
    return lambda start, stop: store.read(start, stop)[:, source]
