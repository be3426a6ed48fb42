"""Losses on a GPU that is not there: tensors without contents know their device, and refuse to be mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import stateless

from audiofix.training.config import TrainConfig
from audiofix.training.folders import folders_of
from audiofix.training.tasks import make_task
from audiofix.training.trainer import build_network
from tests.hub.tiny import TINY, TINY_ENVELOPE, TINY_MIXER

MIXER = {k: v for k, v in TINY_MIXER.to_dict().items() if k not in ("inputs", "outputs", "recorded")}
CASES: dict[str, dict[str, Any]] = {
    "wavenet": {"network": TINY.to_dict()},
    "score": {"network": MIXER},
    "local": {"family": "score", "network": {**MIXER, "local": True}},
    "separator": {"network": MIXER},
    "inpainter": {"network": MIXER},
    "upsampler": {"network": MIXER},
    "envelope": {"network": TINY_ENVELOPE.to_dict()},
}


def no_istft(
    frames: torch.Tensor, _size: int, _hop: int, *, window: torch.Tensor, **how: Any
) -> torch.Tensor:
    """A stand-in with the same inputs and output shape: the real one looks at contents."""
    assert window.device == frames.device
    return frames.abs().sum(dim=(1, 2))[:, None] + torch.zeros(how["length"], device=frames.device)


def config_of(name: str, folder: str) -> TrainConfig:
    sources = (folder,) * (2 if name == "separator" else 1)
    return TrainConfig(
        "x", ",".join("ab"[: len(sources)]), sources, sources, window=4096, batch=2,
        **{"family": name, **CASES[name]},
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_losses_stay_where_the_network_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "istft", no_istft)
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    config = config_of(name, str(tmp_path))
    net, task = build_network(config), make_task(config)
    forward = task.forward(net, False)
    batch = task.draw(config, folders_of(config, config.train), np.random.default_rng(0))
    assert {part.device.type for part in batch} == {"cpu"}
    with FakeTensorMode() as mode:
        held = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        there = {key: mode.from_tensor(value).detach().to("cuda") for key, value in held.items()}
        with stateless._reparametrize_module(net, there):
            loss = task.error(config, forward, tuple(mode.from_tensor(part).to("cuda") for part in batch))
            assert loss.device.type == "cuda"
            with pytest.raises(RuntimeError, match="device"):  # what a forgotten part would do
                task.error(config, forward, tuple(mode.from_tensor(part) for part in batch))


@pytest.mark.parametrize("name", CASES)
def test_every_weight_has_a_gradient_at_every_step(name: str, tmp_path: Path) -> None:
    """Processes that average gradients wait for each of them: one that does not come would stop them all."""
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    config = config_of(name, str(tmp_path))
    net, task = build_network(config), make_task(config)
    forward = task.forward(net, False)
    task.loss(config, forward, folders_of(config, config.train), np.random.default_rng(0)).backward()
    assert [key for key, weight in net.named_parameters() if weight.grad is None] == []
