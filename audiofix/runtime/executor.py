"""Run a prior's score in chunks and give the same numbers as on the whole file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.numerics.windows import plan_chunks
from audiofix.priors.base import Prior


@dataclass(frozen=True)
class Executor:
    """Where and in what pieces: one device, chunks of so many samples."""

    device: torch.device
    chunk: int

    def spread(self, prior: Prior) -> Callable[[Tensor, float], Tensor]:
        """A score function equal to `prior.score` whose memory does not grow with the file.

        Each chunk is worked out with the prior's halo on both sides. A prior without halo runs whole.
        """

        def score(x: Tensor, sigma: float) -> Tensor:
            if prior.halo is None:
                return prior.score(x.to(self.device), sigma).to(x.device)
            result = torch.empty_like(x)
            for part in plan_chunks(x.shape[1], self.chunk, prior.halo, prior.grid):
                piece = prior.score(x[:, part.left : part.right].to(self.device), sigma)
                result[:, part.start : part.stop] = piece[:, part.inner].to(x.device)
            return result

        return score
