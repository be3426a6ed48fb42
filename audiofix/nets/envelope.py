"""A network over frames: levels of the bands that are known in, levels of all bands out.

Residual blocks of a depthwise, dilated filter over frames and a dense part for each frame (as Liu et al. 2022,
ConvNeXt, in one dimension). It is small, since what it sees is: a few hundred numbers a frame, 31 frames a second.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

TAPS = 5  # of the filters over frames


@dataclass(frozen=True)
class EnvelopeConfig:
    """Sizes: numbers that a frame brings, bands that are wanted, width, and the dilation of each block."""

    inputs: int = 384
    bands: int = 128
    width: int = 256
    hidden: int = 512
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)

    def __post_init__(self) -> None:
        sizes = (self.inputs, self.bands, self.width, self.hidden, *self.dilations)
        if not self.dilations or not all(isinstance(size, int) and size >= 1 for size in sizes):
            raise ValueError(f"sizes must be whole numbers of 1 or more, got {sizes}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EnvelopeConfig:
        """Sizes of a card or recipe. Raises TypeError for keys that are none."""
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """As a card has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


class Block(nn.Module):
    """A filter over frames, then a dense part, added to what came in."""

    def __init__(self, width: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.over = nn.Conv1d(
            width, width, TAPS, padding=dilation * (TAPS // 2), dilation=dilation, groups=width
        )
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frame, width) to the same."""
        near = self.over(x.transpose(1, 2)).transpose(1, 2)
        return x + self.down(nn.functional.gelu(self.up(self.norm(near))))


class EnvelopeNet(nn.Module):
    """(batch, frame, inputs) to (batch, frame, bands)."""

    def __init__(self, config: EnvelopeConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.inputs, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.hidden, d) for d in config.dilations)
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, config.bands)

    @property
    def receptive_field(self) -> int:
        """Frames to each side that an output looks at."""
        return TAPS // 2 * sum(self.config.dilations)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.leave(self.norm(x))
        return out
