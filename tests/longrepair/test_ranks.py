"""Two processes that restore one file: the samples of one, and each does its part."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from audiofix.damages import LostSamples
from audiofix.drawing import Place
from audiofix.hub import registry
from audiofix.longrepair import restore as module
from audiofix.longrepair.restore import restore_file
from audiofix.marching import Ground
from audiofix.numerics.windows import Chunk
from audiofix.runtime.launch import company
from audiofix.runtime.ranks import Ranks
from audiofix.settings import Settings
from tests.longrepair.test_same import FILTERED, GAPS, RATE, SAME, same, small, written

__all__ = ["small"]
LIMIT, SECONDS = 300, 5.0
LEFT_OUT = {
    "clip without sparse",
    "clip, draws",
    "gaps, a draw",
    "another rate, noise",
}  # nothing new in them
CASES: dict[str, tuple[int, Any, Any, int, dict[str, Any]]] = {
    **{
        name: (RATE, faults, damage, channels, how)
        for name, (faults, damage, channels, how) in SAME.items()
        if name not in LEFT_OUT
    },
    **{
        name: (rate, faults, damage, 1, how)
        for name, (rate, faults, damage, how) in FILTERED.items()
        if name not in LEFT_OUT
    },
    "a long piece around gaps": (RATE, [LostSamples(GAPS)], same, 1, {"quality": "fast", "draws": 1}),
}
LONG = {"a long piece around gaps": 0.5}  # s of a piece that is worked on in memory


def restored(name: str, folder: Path, place: Place) -> torch.Tensor | None:
    """(channel, time) in the first process, with the baseline's after it; None in the others."""
    _, faults, _, _, how = CASES[name]
    scratch = folder / f"{place.ranks.size}-{place.ranks.rank}-{name}"
    scratch.mkdir()
    module.WHOLE = LONG.get(name, 60.0)
    found = restore_file(
        folder / f"{name}.wav",
        faults,
        scratch,
        place=place,
        settings=Settings(prior="speech", device="cpu", **how),
        compare=True,
    )
    module.WHOLE = 60.0
    if found.result is None:
        return None
    assert found.baseline is not None
    signals = (found.result, *found.draws, found.baseline)
    return torch.cat([one.read(0, found.audio.length)[:, 0] for one in signals])


def main(folder: Path) -> None:
    """What one of the processes does: writes its results, and how many samples of each case it worked on."""
    with company(
        "cpu", lambda: 2
    ) as joined:  # left before the interpreter ends: its threads abort it otherwise
        work(folder, joined.ranks)


def work(folder: Path, ranks: Ranks) -> None:
    did: dict[str, int] = {}
    sections, patch = Ground.sections, pytest.MonkeyPatch()
    small.__wrapped__(patch)
    patch.setattr(registry, "_packaged", list)

    def counted(self: Ground, pad: int) -> list[Chunk]:
        found = sections(self, pad)
        if self.ranks.size > 1:
            did[name] = did.get(name, 0) + sum(part.stop - part.start for part in found)
        return found

    patch.setattr(Ground, "sections", counted)
    for name in CASES:
        found = restored(name, folder, Place(ranks, checkpoints=folder / "saved" / name, every=0.0))
        if found is not None:
            torch.save(found, folder / f"{name}.pt")
    (folder / f"did{ranks.rank}.json").write_text(json.dumps(did))


def test_each_does_its_part_and_the_samples_are_those_of_one(tmp_path: Path) -> None:
    for name, (rate, _, damage, channels, _) in CASES.items():
        written(tmp_path / f"{name}.wav", rate, SECONDS, channels, damage)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
        group |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    code = f"from pathlib import Path; from tests.longrepair.test_ranks import main; main(Path({str(tmp_path)!r}))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, **group, "RANK": str(rank)}, stderr=subprocess.PIPE,
            text=True, cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        torch.set_num_threads(1)
        expected = {name: restored(name, tmp_path, Place()) for name in CASES}
        for process in processes:
            _, errors = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for name, samples in expected.items():
        assert samples is not None
        assert torch.equal(torch.load(tmp_path / f"{name}.pt"), samples), name
    first, second = (json.loads((tmp_path / f"did{rank}.json").read_text()) for rank in range(2))
    assert set(CASES) - set(second) == {"gaps"}  # each takes every second piece, not a stretch
    # Projections through the bands of two rates look so far that 5 s are too short for two.
    undivided = {name for name in second if not second[name]}
    assert undivided == {"another rate"}
    for name in set(second) - undivided:
        assert 0.5 * first[name] <= second[name] <= 2 * first[name], name
