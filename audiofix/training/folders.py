"""From the names in a config to windows of sound: plain folders, sets, and what a process of a team reads."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder
from audiofix.training.reading import Clips
from audiofix.training.sets import clips_of, is_set

AHEAD = 4  # batches of sets drawn in advance


def folders_of(config: TrainConfig, paths: Sequence[str], part: str = "train") -> list[Folder]:
    """One folder for each source of a separator; all folders together for a prior of one source.

    After the latter one folder for each source that it is mixed with, if it is. `part`: train or valid.
    """
    apart = [[path] for path in paths] if config.family == "separator" else [list(paths)]
    others = config.mixed_train if part == "train" else config.mixed_valid
    # What is named in both lists is split, and each list gets its own part.
    both = {*config.train, *config.mixed_train} & {*config.valid, *config.mixed_valid}
    return [_folder(names, config.sample_rate, part, both) for names in (*apart, *([p] for p in others))]


def _folder(names: Sequence[str], sample_rate: int, part: str, both: Collection[str]) -> Folder:
    if not any(is_set(name) for name in names):
        return Folder([Path(name) for name in names], sample_rate)
    clips = []
    for name in names:
        # A plain folder among sets is read as a set, whole.
        text, split = (name, name in both) if is_set(name) else (f"folder:{name}", False)
        clips += clips_of(text, part, split)
    return Clips(clips, sample_rate)


def read_ahead(config: TrainConfig) -> int:
    """Batches to draw in advance: as the config says, else none for plain folders."""
    if config.read_ahead >= 0:
        return config.read_ahead
    return AHEAD if any(is_set(name) for name in (*config.train, *config.mixed_train)) else 0


def shard(folder: Folder, step: int, rank: int, world: int, config: TrainConfig) -> Folder:
    """What a process reads at a step: its shard of a set for this epoch, all of a plain folder.

    An epoch is as many steps as a set has batches for all processes.
    """
    if world == 1 or not isinstance(folder, Clips):
        return folder
    a_step = world * config.batch * config.window / config.sample_rate
    return folder.shard(step // max(1, math.ceil(folder.seconds / a_step)), rank, world)
