"""The classical method for a fault, to set beside what the prior makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded
from audiofix.guesses import sparse_guess

METHODS = {
    "lowpass": "spectral replication",
    "gap": "autoregression (Janssen)",
    "clip": "consistent sparsity (A-SPADE)",
    "quantise": "consistent sparsity (A-SPADE)",
    "noise": "Wiener filter, decision-directed",
}


def faults_at(faults: Sequence[Fault], rate: int, to_rate: int) -> list[Fault]:
    """Faults of a recording at the result's rate: a higher rate lacks its upper band."""
    return list(faults) if to_rate == rate else [LostBand(rate / 2)]


def methods_for(faults: Sequence[Fault]) -> str:
    """Names of the methods that these faults take."""
    return ", ".join(dict.fromkeys(METHODS[fault.kind] for fault in faults))


def classical(samples: Tensor, sample_rate: int, faults: Sequence[Fault]) -> Tensor:
    """(channel, time) restored fault by fault, the last one first, by the methods in METHODS."""
    from audiofix.baselines.denoising import wiener
    from audiofix.baselines.interpolation import interpolated
    from audiofix.baselines.upsampling import spectral_replication

    x = torch.nan_to_num(samples.double()).numpy()
    for fault in reversed(faults):
        if isinstance(fault, LostSamples):
            x = np.stack([interpolated(row, sample_rate, fault.spans) for row in x])
        elif isinstance(fault, Cut | Rounded):
            found = sparse_guess(torch.from_numpy(x), sample_rate, [fault])
            x = x if found is None else found.numpy()
        elif isinstance(fault, Noisy):
            profile = fault.profile.double().numpy()
            x = np.stack([wiener(row, profile if len(profile) > 1 else float(profile[0])) for row in x])
        elif isinstance(fault, LostBand):
            x = np.stack([spectral_replication(row, sample_rate, fault.hertz) for row in x])
    return torch.from_numpy(np.ascontiguousarray(x)).float()
