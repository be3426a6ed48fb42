"""Two processes train as one would with both their batches, stop together, and survive each other's end."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from audiofix.training import optimizers
from audiofix.training.config import read_config
from audiofix.training.team import LostRank, Team, is_lost, join
from audiofix.training.trainer import Trainer
from tests.hub.tiny import TINY, TINY_MIXER
from tests.training.trees import make_musdb, make_vctk

HERE = Path(__file__).parent
CONFIG = """
name = "{name}"
family = "{family}"
source = "speech"
train = ["{data}"]
valid = ["{data}"]
licence = "CC0-1.0"
sample_rate = 22050
window = 1024
batch = 2
compile = false
bf16 = false
hours = 1.0
log_steps = 1
optimizer = "{optimizer}"
[network]
"""
SIZES = {
    "wavenet": TINY.to_dict(),
    "score": {k: v for k, v in TINY_MIXER.to_dict().items() if k not in ("inputs", "outputs", "recorded")},
}
CASES = (("one", "wavenet", "adamw"), ("two", "score", "muon"))


def config_file(folder: Path, name: str, family: str, optimizer: str, data: str) -> Path:
    path = folder / f"{name}.toml"
    sizes = "\n".join(f"{key} = {str(value).lower()}" for key, value in SIZES[family].items())
    path.write_text(CONFIG.format(name=name, family=family, optimizer=optimizer, data=data) + sizes + "\n")
    return path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def environment(**more: object) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    root = str(HERE.parents[1])
    return {**plain, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in more.items()}}


Saw = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Saw]:
    """The folder, and by case what each of two processes saw."""
    folder = tmp_path_factory.mktemp("team")
    data = f"vctk:{make_vctk(folder / 'vctk')}"
    files = [config_file(folder, *case, data) for case in CASES]
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "rank_worker.py"), str(folder), *map(str, files)],
            env=environment(RANK=rank, WORLD_SIZE=2, MASTER_ADDR="127.0.0.1", MASTER_PORT=port),
        )
        for rank in (0, 1)
    ]
    try:
        assert [one.wait(timeout=120) for one in started] == [0, 0]
    finally:
        for one in started:
            one.kill()
    return folder, {name: [torch.load(folder / f"{name}-{r}.pt") for r in (0, 1)] for name, *_ in CASES}


NAMES = pytest.mark.parametrize("name", [name for name, *_ in CASES])


@NAMES
def test_each_reads_windows_of_its_own(trained: tuple[Path, Saw], name: str) -> None:
    one, two = trained[1][name]
    for mine, other in zip(one["batch"], two["batch"], strict=True):
        assert mine.shape == other.shape
        assert not torch.equal(mine, other)


@NAMES
def test_the_gradient_is_that_of_both_batches(
    trained: tuple[Path, Saw], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "LEAST_SIDE", 8)
    folder, saw = trained
    one, two = saw[name]
    config = replace(read_config(folder / f"{name}.toml"), batch=4)
    alone = Trainer(config, folder / "alone")

    def flat(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([part.flatten() for part in parts])

    def gradient_of(batch: list[torch.Tensor]) -> torch.Tensor:
        alone.net.zero_grad()
        alone.task.error(config, alone.forward, tuple(batch)).backward()
        return flat([p.grad for p in alone.net.parameters()])

    both = gradient_of([torch.cat(pair) for pair in zip(one["batch"], two["batch"], strict=True)])
    assert torch.equal(flat(one["gradient"]), flat(two["gradient"]))
    # Each entry is a sum over 4 items of 1,024 samples, added up in another order: float32 rounds by 2^-24 of the
    # sum at each addition, and errors of either sign add up like their square root.
    tolerance = 2**-24 * math.sqrt(4 * 1024) * float(both.abs().max())
    assert float((flat(one["gradient"]) - both).abs().max()) < tolerance
    # What would be wrong: no average, or a sum.
    for wrong in (gradient_of(one["batch"]), gradient_of(two["batch"]), 2 * both):
        assert float((wrong - both).abs().max()) > 100 * tolerance


@NAMES
def test_a_step_is_that_of_one_process_with_this_gradient(
    trained: tuple[Path, Saw], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AdamW and with Muon, clipping and the moving average included: bit for bit, on both."""
    monkeypatch.setattr(optimizers, "LEAST_SIDE", 8)
    folder, saw = trained
    alone = Trainer(read_config(folder / f"{name}.toml"), folder / "alone")

    def gradient() -> torch.Tensor:
        for parameter, held in zip(alone.net.parameters(), saw[name][0]["gradient"], strict=True):
            parameter.grad = held.clone()
        return torch.zeros(())

    monkeypatch.setattr(alone, "gradient", gradient)
    alone.step()
    for rank in saw[name]:
        mine = [*alone.net.parameters(), *alone.average.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(mine, rank["first"], strict=True))


@NAMES
def test_both_hold_the_same_and_resume_to_the_same(trained: tuple[Path, Saw], name: str) -> None:
    one, two = trained[1][name]
    assert all(torch.equal(a, b) for a, b in zip(one["last"], two["last"], strict=True))
    for rank in (one, two):
        assert rank["resumed"]
        assert rank["same"]
        assert rank["losses"][-1] == rank["losses"][-2]
        assert rank["seconds"] == pytest.approx(3 * 2 * 2 * 1024 / 22050)
    assert not (trained[0] / "nothing here").exists()


def test_alone_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    team = join("cpu")
    assert (team.rank, team.world, team.first) == (0, 1, True)
    assert team.total([1.5, 2.0]) == [1.5, 2.0]
    assert team.any(True)
    assert not team.any(False)
    module = torch.nn.Linear(1, 1)
    assert team.share(module) is module
    assert team == Team()


def test_only_the_loss_of_a_process_is_taken_for_one() -> None:
    assert is_lost(torch.distributed.DistBackendError("NCCL error"))
    assert is_lost(RuntimeError("[../gloo/transport/tcp/pair.cc:1] Connection closed by peer"))
    assert not is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert LostRank.exit_status == 6


class Torchrun:
    """`torchrun --nproc-per-node 2 -m audiofix train ...`, its lines as they come."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
                *("--master-port", str(free_port())),
                *("-m", "audiofix", "train", *map(str, words)),
            ],
            cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def until(self, start: str) -> str:
        """The next line with this beginning."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(start):
                return line
        raise AssertionError("\n".join(self.lines))

    def end(self) -> int:
        assert self.process.stdout is not None
        self.lines += [line.rstrip() for line in self.process.stdout]
        return self.process.wait(timeout=60)

    def pid_of(self, rank: int) -> int:
        """The process of a rank, found by its environment."""
        for entry in Path("/proc").iterdir():
            try:
                mine = f"PPid:\t{self.process.pid}\n" in (entry / "status").read_text()
                if mine and f"\0RANK={rank}\0".encode() in (entry / "environ").read_bytes():
                    return int(entry.name)
            except OSError:
                continue
        raise AssertionError("no such process")


@pytest.fixture
def torchrun(tmp_path: Path) -> Iterator[Any]:
    started: list[Torchrun] = []

    def start(*words: object) -> Torchrun:
        started.append(Torchrun(tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes in /proc")
def test_by_torchrun_through_the_command(torchrun: Any, tmp_path: Path) -> None:
    """Ctrl-C saves, the same command goes on, a killed process ends the run with what was learnt saved."""
    data = f"musdb:{make_musdb(tmp_path / 'musdb18hq')}#vocals"
    config = config_file(tmp_path, "vocals", "score", "adamw", "unused")
    words = (config.name, "--data", data, "-o", "run")
    first = torchrun(*words)
    assert "by 2 processes, from the beginning" in first.until("training vocals")
    first.until("step       2")
    first.process.send_signal(signal.SIGINT)
    said = first.until("audiofix: stopped, saved at step")
    first.end()
    step = int(said.split("at step ")[1].split(";")[0])
    assert said.strip().endswith(
        f"torchrun --nproc-per-node 2 -m audiofix train vocals.toml -o run --data '{data}'"
    )
    # Said once, by the first process.
    assert sum("stopped, saved" in line for line in first.lines) == 1
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["progress"]["step"] == step

    second = torchrun(*words)
    assert f"from step {step}," in second.until("training vocals")
    second.until(f"step {step + 2:>7}")
    os.kill(second.pid_of(1), signal.SIGKILL)
    said = second.until("audiofix: another process of this run has gone")
    assert second.end() != 0
    saved = int(said.split("saved at step ")[1].split(";")[0])
    assert saved >= step + 2
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["progress"]["step"] == saved
    assert all(value.isfinite().all() for value in state["net"].values())
    assert os.listdir(tmp_path / "run") == ["checkpoint.pt"]  # noqa: PTH208 - nothing half-written
