"""The benchmark of training speed: the plain WaveNet is what it says, and turns are counted fairly."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from audiofix.training.config import TrainConfig
from tests.benchmarks import throughput
from tests.benchmarks.throughput import PlainWaveNet, Trained, compared, interleaved, made_up, plain, shipped
from tests.hub.tiny import TINY


@pytest.mark.parametrize("kernel", [2, 3])
def test_the_plain_wavenet_sees_its_receptive_field_and_no_future(kernel: int) -> None:
    torch.manual_seed(1)
    net = PlainWaveNet(kernel, layers=5, channels=4, levels=8).double()
    assert net.receptive_field == (kernel - 1) * (1 + 2 + 4 + 8 + 16) + 1
    generator = torch.Generator().manual_seed(0)
    time, at, sigma = 160, 60, torch.tensor([0.1]).double()
    x = 0.1 * torch.randn(1, time, generator=generator, dtype=torch.float64)
    logits = net(x, sigma)
    assert logits.shape == (1, time, 8)
    other = x.clone()
    other[:, at] += 0.1
    moved = (net(other, sigma) - logits)[0].abs().amax(dim=1)
    assert (moved[: at + 1] == 0).all()
    assert (moved[at + 1 + net.receptive_field :] == 0).all()
    assert moved[at + 1] > 0
    assert moved[at + net.receptive_field] > 0
    assert (net(x, 2 * sigma) - logits).abs().max() > 0


def test_by_default_it_has_18_layers_of_48_channels() -> None:
    net = PlainWaveNet()
    assert len(net.layers) == 18
    assert {layer.dilated.weight.shape for layer in net.layers} == {torch.Size([96, 48, 2])}
    assert [layer.past for layer in net.layers] == 2 * [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert net.receptive_field == 2 * 511 + 1
    assert net.head[-1].weight.shape[0] == 256


class Clock:
    """Time that passes only while somebody works."""

    def __init__(self) -> None:
        self.now, self.worked = 0.0, list[str]()

    def job(self, name: str, takes: Iterator[float]) -> Trained:
        def step() -> None:
            self.now += next(takes)
            self.worked.append(name)

        return Trained(step, seconds=6.0)

    def __call__(self) -> float:
        return self.now


def test_turns_are_taken_and_the_first_steps_do_not_count() -> None:
    clock = Clock()
    # Compiling takes 100 s; then A takes 2 s a step and B 3, twice as long in the third round.
    jobs = {
        "A": clock.job("A", iter([100, 2] + 4 * [2] + 2 * [4])),
        "B": clock.job("B", iter([100, 3] + 4 * [3] + 2 * [6])),
    }
    found = interleaved(jobs, rounds=3, seconds=4, warm_up=2, clock=clock)
    assert "".join(clock.worked) == "AABB" + "AABB" * 2 + "A" + "B"
    assert found == {"A": [3, 3, 1.5], "B": [2, 2, 1]}
    rows = compared(found, "B")
    assert rows["A"] == {"audio_per_s": 3, "times": 1.5, "least": 1.5, "most": 1.5}
    assert compared({"A": [1, 4, 6], "B": [1, 2, 2]}, "B")["A"] == {
        "audio_per_s": 4, "times": 2, "least": 1, "most": 3,
    }  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    sound = str(made_up(tmp_path / "sound", 16000))
    return TrainConfig(
        "tiny", "speech", (sound,), (sound,), window=512, batch=2, compile=False, bf16=False,
        network=TINY.to_dict(),
    )  # fmt: skip


def test_both_learn(config: TrainConfig, tmp_path: Path) -> None:
    one, other = plain(config, 2), shipped(config, tmp_path / "run")
    assert one.seconds == other.seconds == 2 * 512 / 16000
    losses = [one.step() for _ in range(6)]
    # Nothing known of 256 levels: 8 bits.
    assert losses[0] == pytest.approx(8, abs=0.5)
    assert losses[-1] < losses[0] - 0.05
    trainer = other.step.__self__  # type: ignore[attr-defined]
    before = [weight.clone() for weight in trainer.net.parameters()]
    other.step()
    assert trainer.progress.step == 1
    assert any((old != new).any() for old, new in zip(before, trainer.net.parameters(), strict=True))


def test_the_command_writes_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: TrainConfig
) -> None:
    recipe = tmp_path / "recipes" / "tiny.toml"
    recipe.parent.mkdir()
    sizes = "\n".join(f"{key} = {value}" for key, value in TINY.to_dict().items())
    recipe.write_text(
        'name = "tiny"\nsource = "speech"\ntrain = ["x"]\nvalid = ["x"]\nwindow = 512\nbatch = 2\n'
        f"[network]\n{sizes}\n"
    )
    monkeypatch.setattr(throughput, "RECIPES", recipe.parent)
    threads = torch.get_num_threads()
    arguments = ["--recipes", "tiny", "--rounds", "2", "--seconds", "0.01", "--eager", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["throughput", *arguments])
    try:
        throughput.main()
    finally:
        torch.set_num_threads(threads)
    record = json.loads((tmp_path / "throughput.json").read_text())
    assert record["rows"]["plain WaveNet"]["times"] == 1
    # Some thousand weights against a hundred times as many multiplications a sample.
    assert record["rows"]["tiny"]["times"] > 1
    assert [len(speeds) for speeds in record["rounds"].values()] == [2, 2]
    assert "| tiny |" in (tmp_path / "throughput.md").read_text()
