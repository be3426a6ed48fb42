"""Optimisers by name: AdamW, or Muon for the blocks' matrices and AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from audiofix.errors import SettingError

BETAS = (0.9, 0.98)
LEAST_SIDE = 64  # of a matrix that Muon takes: narrower ones have too few directions to level out


class MuonAndAdamW:
    """Two optimisers that look like one. Muon (Jordan et al. 2024) orthogonalises the update of a dense layer.

    Muon's rate is matched to AdamW's root-mean-square update (Liu et al. 2025): one learning rate serves both.
    """

    def __init__(self, net: nn.Module, learning_rate: float, weight_decay: float) -> None:
        inner = [
            parameter
            for name, parameter in net.named_parameters()
            if name.startswith("blocks.")
            and "modulate" not in name
            and parameter.ndim == 2
            and min(parameter.shape) >= LEAST_SIDE
        ]
        if not inner or not hasattr(torch.optim, "Muon"):
            raise SettingError(
                f"optimizer muon needs dense layers of {LEAST_SIDE} features or more in blocks, and torch 2.9 or "
                "newer; take adamw"
            )
        taken = {id(parameter) for parameter in inner}
        rest = [parameter for parameter in net.parameters() if id(parameter) not in taken]
        muon = torch.optim.Muon(
            inner, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self.parts = (muon, torch.optim.AdamW(rest, learning_rate, BETAS, weight_decay=weight_decay))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of both."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """One step of both."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Both states, for a checkpoint."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for part, held in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(held)


def make_optimizer(
    name: str, net: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer | MuonAndAdamW:
    """`name`: adamw or muon."""
    if name == "muon":
        return MuonAndAdamW(net, learning_rate, weight_decay)
    return torch.optim.AdamW(net.parameters(), learning_rate, BETAS, weight_decay=weight_decay)
