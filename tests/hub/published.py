"""Checkpoints in the layout that the authors of PnF published, and what their score is, by the formulas alone.

Layout: a folder checkpoints<sigma> a noise level, the point written pt, with checkpoint_latest_ema.pth in it: a
dictionary with the network's state_dict, Adam's and counters. Each convolution has weight_g, weight_v and bias.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LEVELS, LAYERS, CYCLES, RESIDUAL, GATE, SKIP, KERNEL = 16, 4, 2, 6, 8, 5, 3
RECEPTIVE_FIELD = (KERNEL - 1) * (1 + 2 + 1 + 2) + 1
STEPS = (8.29, 1.0, 0.39)  # of the quantiser
INPUT_TYPES = {"linear": "linear-quantize", "mu-law": "mulaw-quantize"}


def published_state(seed: int = 0) -> dict[str, Tensor]:
    """A state_dict with random numbers in it, none of which is zero."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"first_conv": (RESIDUAL, 1, 1)}
    for layer in range(LAYERS):
        shapes[f"conv_layers.{layer}.conv"] = (GATE, RESIDUAL, KERNEL)
        shapes[f"conv_layers.{layer}.conv1x1_out"] = (RESIDUAL, GATE // 2, 1)
        shapes[f"conv_layers.{layer}.conv1x1_skip"] = (SKIP, GATE // 2, 1)
    shapes["last_conv_layers.1"] = (SKIP, SKIP, 1)
    shapes["last_conv_layers.3"] = (LEVELS, SKIP, 1)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator)
        state[f"{name}.weight_g"] = 0.5 + torch.rand(shape[0], 1, 1, generator=generator)
        state[f"{name}.weight_v"] = torch.randn(shape, generator=generator)
    state["first_conv.weight_g"] *= 2 / LEVELS  # of an input of up to LEVELS
    state["last_conv_layers.3.weight_g"] *= 3  # far from flat
    return state


def checkpoint(state: dict[str, Tensor]) -> dict[str, Any]:
    """What is saved: the state with an optimizer's, as training leaves them."""
    parameters = [torch.nn.Parameter(value.clone()) for value in state.values()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    torch.stack([p.square().sum() for p in parameters]).sum().backward()
    optimizer.step()
    counters = {"global_step": 30000, "global_epoch": 7, "global_test_step": 3}
    return {"state_dict": state, "optimizer": optimizer.state_dict(), **counters}


def level_folder(steps: float) -> str:
    """Name of a noise level's folder."""
    return "checkpoints" + f"{steps}".replace(".", "pt")


def write_published(
    folder: Path, axis: str | None = "linear", states: dict[float, dict[str, Tensor]] | None = None
) -> dict[float, dict[str, Tensor]]:
    """Write a prior's folder, with the settings of `axis` beside it; returns the states by noise level."""
    states = states or {steps: published_state(seed) for seed, steps in enumerate(STEPS)}
    for steps, state in states.items():
        home = folder / level_folder(steps)
        home.mkdir(parents=True)
        torch.save(checkpoint(state), home / "checkpoint_latest_ema.pth")
        torch.save({"state_dict": {}}, home / "checkpoint_step000030000.pth")  # not to be taken
    if axis is not None:
        settings = {"input_type": INPUT_TYPES[axis], "stacks": CYCLES, "sample_rate": 22050}
        (folder.parent / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return states


def plain_logits(state: dict[str, Tensor], index: Tensor) -> list[Tensor]:
    """For each sample the logits of the next, by WaveNet's formulas, sample by sample; index: (time,) float64."""

    def layer(name: str, taps: list[Tensor | None]) -> Tensor:
        """Weight-normalised convolution of the taps, oldest first; None is before the beginning."""
        v, g = state[f"{name}.weight_v"].double(), state[f"{name}.weight_g"].double()
        result = state[f"{name}.bias"].double()
        for row in range(len(v)):
            length = v[row].square().sum().sqrt()
            for tap, value in enumerate(taps):
                if value is not None:
                    one = torch.zeros(len(v), dtype=torch.float64)
                    one[row] = 1
                    result = result + one * (v[row, :, tap] @ value) * g[row, 0, 0] / length
        return result

    histories: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    found = []
    for value in index:
        x = layer("first_conv", [value[None]])
        total = torch.zeros(SKIP, dtype=torch.float64)
        for number, history in enumerate(histories):
            history.append(x)
            dilation = 2 ** (number % (LAYERS // CYCLES))
            places = [len(history) - 1 - back * dilation for back in reversed(range(KERNEL))]
            taps = [history[place] if place >= 0 else None for place in places]
            both = layer(f"conv_layers.{number}.conv", taps)
            gated = both[: GATE // 2].tanh() / (1 + (-both[GATE // 2 :]).exp())
            total = total + layer(f"conv_layers.{number}.conv1x1_skip", [gated])
            x = (x + layer(f"conv_layers.{number}.conv1x1_out", [gated])) / math.sqrt(2)
        hidden = layer("last_conv_layers.1", [(total / math.sqrt(LAYERS)).clamp(min=0)])
        found.append(layer("last_conv_layers.3", [hidden.clamp(min=0)]))
    return found


def plain_gradient(state: dict[str, Tensor], index: Tensor, sigma: float) -> Tensor:
    """Gradient by the index of sum_t log sum_k p(k | past) N(index_t; k, sigma^2), t from 1 (PnF eq. 5)."""
    leaf = index.detach().requires_grad_(True)
    total = torch.zeros((), dtype=torch.float64)
    for logits, following in zip(plain_logits(state, leaf[:-1]), leaf[1:], strict=True):
        p = logits.exp() / logits.exp().sum()
        kernel = [(-0.5 * ((following - k) / sigma) ** 2).exp() for k in range(LEVELS)]
        total = total + (p * torch.stack(kernel)).sum().log()
    (gradient,) = torch.autograd.grad(total, leaf)
    return gradient
