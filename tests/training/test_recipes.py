"""Every recipe can be read and built; those for large sets are what their comments say."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from audiofix.training.config import read_config
from audiofix.training.sets import is_set, parse_set
from audiofix.training.tasks import make_task
from audiofix.training.trainer import build_network

RECIPES = Path(__file__).parents[2] / "models" / "recipes"
CONFIGS = sorted(RECIPES.glob("*.toml"))
LARGE = [path for path in CONFIGS if path.stem.startswith(("pnf-full-", "musdb-"))]


@pytest.fixture(scope="module")
def cost() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipes_cost", RECIPES / "cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_is_read(path: Path) -> None:
    config = read_config(path)
    assert config.name == path.stem
    for text in (*config.train, *config.valid):
        if is_set(text):
            parse_set(text)


def test_there_is_one_for_each_stem_and_source() -> None:
    assert {path.stem for path in LARGE} == {
        "pnf-full-vctk", "pnf-full-piano", "musdb-vocals", "musdb-drums", "musdb-bass", "musdb-other",
    }  # fmt: skip
    for path in LARGE:
        config = read_config(path)
        assert config.source in path.stem or config.source == "speech"
        assert all(is_set(text) for text in (*config.train, *config.valid))


@pytest.mark.parametrize("name", ["vctk", "piano"])
def test_the_full_wavenet_has_the_sizes_of_the_paper(name: str) -> None:
    config = read_config(RECIPES / f"pnf-full-{name}.toml")
    net = build_network(config)
    assert config.sample_rate == 22050
    assert len(net.slow.layers) == 30
    assert {layer.now.weight.shape for layer in net.slow.layers} == {(256, 128)}  # gates of 128 channels
    # The paper's 30 layers of three taps and dilations 1 to 512 see 3 * 2 * 1,023 + 1 samples.
    assert 6139 <= net.receptive_field < 6139 * 1.01
    # Its weights: 30 layers of 3 * 128 * 256 into the gates and 128 * 256 out of them, about 3.9 million.
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(30 * 4 * 128 * 256, rel=0.05)


@pytest.mark.parametrize("stem", ["vocals", "drums", "bass", "other"])
def test_frames_of_musdb_priors_go_with_the_rate(stem: str) -> None:
    config = read_config(RECIPES / f"musdb-{stem}.toml")
    assert config.sample_rate == 44100
    net = build_network(config)
    # Of the powers of two the one below or above what the 16 kHz priors' 1,024 would be at this rate.
    assert net.config.window in (2048, 4096)
    assert 2048 < 1024 * 44100 / 16000 < 4096
    assert net.config.window == 4 * net.config.hop
    # A training window holds what the network can use on one side, all but a tenth.
    assert net.receptive_field < 1.2 * config.window


def test_a_large_network_answers_and_has_gradients() -> None:
    for stem in ("pnf-full-vctk", "musdb-drums"):
        config = read_config(RECIPES / f"{stem}.toml")
        net, task = build_network(config), make_task(config)
        generator = torch.Generator().manual_seed(0)
        batch = (
            0.1 * torch.randn(1, 512, generator=generator), torch.tensor([0.1]),
            torch.randn(1, 512, generator=generator),
        )  # fmt: skip
        loss = task.error(config, task.forward(net, False), batch)
        loss.backward()
        assert loss.isfinite()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_operations_are_counted(cost: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one gated layer after another: a product forward, two backward, two operations for each weight."""
    monkeypatch.setattr(cost, "SHORT", 512)
    monkeypatch.setattr(cost, "LONG", 1024)
    config = read_config(RECIPES / "pnf-full-vctk.toml")
    found = cost.cost_of(config)
    layers = 32 * (4 * 128 * 128 + 2 * 128 * 128)  # now and past into 256, out into 256
    head = 128 * 128 + 128 * 258
    enters = 2 * 32 * 128 * 3
    # The rest, tiers' joints and filters, is less than a tenth. Windows of the input need no gradient.
    assert 6 * (layers + head) < found.flop / 22050 < 1.1 * 6 * (layers + head + enters)
    assert found.parameters == sum(p.numel() for p in build_network(config).parameters())
    speed = argparse.Namespace(tflops=20.0, tbytes=1.0, gbytes=10.0)
    one, eight = (cost.row("n", config, found, gpus, speed).split(" | ") for gpus in (1, 8))
    assert float(one[6]) > 7 * float(eight[6])  # a little is lost to what the GPUs tell each other
    assert one[5] == "500,000"
    assert eight[5] == "62,500"
    assert np.isfinite(float(one[8].rstrip(" |")))
