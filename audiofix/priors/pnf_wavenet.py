"""The published PnF priors: a causal network for each noise level, smoothed on the axis that they were made on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.nets.pnf_wavenet import PnfWaveNet
from audiofix.numerics.blockwise import blockwise
from audiofix.numerics.companding import LINEAR, Curve
from audiofix.numerics.smoothing import smoothed_log_density

# Samples: with the halo 44,000, and at the published size 20 to 50 kB for each in flight, as the allocator has it:
# 1 to 2 GB. Shorter chunks would work on little but their halo.
CHUNK = 32000


class PnfPrior:
    """Score of an autoregressive model smoothed at sigma (PnF, Jayaram & Thickstun 2021, section 3).

    `nets` maps each noise level to its network; another level is given to the network nearest in log sigma. The
    levels and sigma are amplitudes on the axis u of `curve`. Where that is not the linear one, `score` and
    `log_density` are those of amplitude x under the same distribution, by the change of variables, but sigma
    stays the smoothing of u: chains, whose noise fits sigma, have to walk along `on_its_axis`.

    The first sample has no past, hence no density of its own.
    """

    grid = 1
    stepped = True  # its own levels are the ladder
    chunk = CHUNK

    def __init__(self, nets: Mapping[float, PnfWaveNet], sample_rate: int, curve: Curve = LINEAR) -> None:
        """nets: by decreasing sigma; a mapping that loads them when they are asked for will do."""
        self.nets, self.sample_rate, self.curve = nets, sample_rate, curve
        self.sigmas = tuple(nets)
        net = nets[self.sigmas[0]]
        # Sample t enters the conditionals t + 1 ... t + R, and each of those looks R back.
        self.halo = net.receptive_field
        # Measured peak at the published size, 50 kB; 15 kB is what lies between layers, kept for the way back.
        self.bytes_in_flight = 13 * net.config.layers * net.config.residual
        self.centre, self.levels = net.config.centre, net.config.levels

    @property
    def on_its_axis(self) -> OnItsAxis:
        """The same prior of u, whose smoothing is Gaussian there."""
        return OnItsAxis(self)

    def index(self, u: Tensor) -> Tensor:
        """Where u lies on the quantiser's scale of levels, which reach from -1 to 1: a real number."""
        return u * ((self.levels - 1) / 2) + self.centre

    def axis_log_density(self, u: Tensor, sigma: float) -> Tensor:
        """(batch, time) to nats of each sample of u given its past (PnF eq. 5), same shape; the first has 0."""
        net, spacing = self._net(sigma), 2 / (self.levels - 1)
        # Rounded in u's precision only once: a step of a level is small beside the level.
        levels = ((torch.arange(self.levels, dtype=torch.float64) - self.centre) * spacing).to(u)

        def density(features: Tensor, amplitude: Tensor) -> Tensor:
            return smoothed_log_density(net.logits(features), levels, amplitude, sigma)

        features = net.features(self.index(u[:, :-1])).flatten(0, 1)
        rest = blockwise(density, features, u[:, 1:].flatten()).view(len(u), -1)
        return torch.cat([torch.zeros_like(u[:, :1]), rest], dim=1)

    def axis_score(self, u: Tensor, sigma: float) -> Tensor:
        """Gradient of the summed log-density of u by every sample, same shape."""
        if u.shape[1] < 2:
            return torch.zeros_like(u)
        with torch.enable_grad():
            leaf = u.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.axis_log_density(leaf, sigma).sum(), leaf)
        return gradient

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """(batch, time) noisy amplitude to nats of each sample given its past; the first has its Jacobian only."""
        return self.axis_log_density(self.curve.compress(x), sigma) + self.curve.slope(x).log()

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """Gradient of the summed `log_density`: slope(x) score_u + bend(x)."""
        # In these words and not by automatic differentiation, which takes sign(x) for flat at x = 0.
        return self.curve.slope(x) * self.axis_score(self.curve.compress(x), sigma) + self.curve.bend(x)

    def _net(self, sigma: float) -> PnfWaveNet:
        return self.nets[min(self.sigmas, key=lambda own: abs(math.log(own / sigma)))]


@dataclass(frozen=True)
class OnItsAxis:
    """A prior of u = compress(x) as a prior: what chains on that axis follow."""

    prior: PnfPrior

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.prior.sample_rate

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise levels of u, decreasing."""
        return self.prior.sigmas

    @property
    def halo(self) -> int:
        """As the prior's."""
        return self.prior.halo

    @property
    def grid(self) -> int:
        """As the prior's."""
        return self.prior.grid

    @property
    def chunk(self) -> int:
        """As the prior's."""
        return self.prior.chunk

    def score(self, u: Tensor, sigma: float) -> Tensor:
        """(batch, time) on the axis to the gradient of the log-density of u."""
        return self.prior.axis_score(u, sigma)
