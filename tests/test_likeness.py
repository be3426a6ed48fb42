"""Is a sound like what a prior knows? Against processes whose entropy can be written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from audiofix import likeness as module
from audiofix.likeness import BLOCK, ORDER, likeness, linear_prediction_bits

POLE = 0.9
QUIET = 1e-5  # noise that is added, far below the sounds here: 0.1 and more
# Means over a block of n: that of squares is known to sqrt(2 / n) of itself. Five of these, in bits a sample.
SPREAD = 5 * math.sqrt(2 / BLOCK) / (2 * math.log(2))
# Fitting ORDER coefficients to n samples gains ORDER / n of the error's variance at most; a variance that is off
# by d costs d^2 / 4 nats. A prior and a fit that know the same differ by no more, as both see the same samples.
FITTED = (ORDER / BLOCK + (5 * math.sqrt(2 / BLOCK)) ** 2 / 2) / (2 * math.log(2))


def white(time: int, scale: float = 0.1, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(time)


def coloured(time: int, scale: float = 0.1, seed: int = 0) -> np.ndarray:
    """x_t = POLE x_(t-1) + e_t with e of standard deviation `scale`; the beginning is left out."""
    errors, found = white(time + 200, scale, seed), np.zeros(time + 200)
    for t in range(1, len(found)):
        found[t] = POLE * found[t - 1] + errors[t]
    return found[200:]


def entropy_bits(scale: float) -> float:
    """Of a Gaussian, with the sign of a log-density."""
    return -0.5 * math.log2(2 * math.pi * math.e * scale**2)


class Gaussian:
    """A prior that expects each sample to be `pole` times the one before, within `scale` (number, or for each)."""

    def __init__(self, scale: float | Tensor, pole: float = 0.0) -> None:
        self.scale, self.pole = torch.as_tensor(scale, dtype=torch.float64), pole

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        self.x, self.sigma = x, sigma
        error = x.clone()
        error[:, 1:] -= self.pole * x[:, :-1]
        return -0.5 * (error / self.scale) ** 2 - torch.log(self.scale * math.sqrt(2 * math.pi))


def judged(prior: Gaussian, x: np.ndarray, sigma: float = QUIET) -> float:
    return likeness(prior, torch.from_numpy(x), torch.Generator().manual_seed(0), sigma)


@pytest.mark.parametrize("scale", [0.1, 2.0])
@pytest.mark.parametrize("make", [white, coloured])
def test_linear_prediction_finds_the_entropy_of_a_gaussian_process(make, scale: float) -> None:
    found = linear_prediction_bits(make(BLOCK, scale))
    assert found == pytest.approx(entropy_bits(scale), abs=SPREAD + FITTED)
    assert SPREAD + FITTED < 0.1
    # One coefficient is enough for either; none sees no colour: variances are 1 / (1 - POLE^2) apart, 1.2 bits.
    assert linear_prediction_bits(make(BLOCK, scale), 1) == pytest.approx(found, abs=FITTED)
    variance = scale**2 / (1 - POLE**2) if make is coloured else scale**2
    wide = SPREAD * math.sqrt((1 + POLE**2) / (1 - POLE**2))  # neighbours say nearly the same
    assert linear_prediction_bits(make(BLOCK, scale), 0) == pytest.approx(
        entropy_bits(math.sqrt(variance)), abs=wide
    )


@pytest.mark.parametrize(
    ("x", "prior"), [(white(3 * BLOCK), Gaussian(0.1)), (coloured(3 * BLOCK), Gaussian(0.1, POLE))]
)
def test_a_prior_that_knows_the_process_is_as_good_as_linear_prediction(
    x: np.ndarray, prior: Gaussian
) -> None:
    assert judged(prior, x) == pytest.approx(0, abs=FITTED)


def test_a_stranger_is_below_zero_by_what_the_prior_misses() -> None:
    x = coloured(3 * BLOCK)
    found = judged(Gaussian(0.1 / math.sqrt(1 - POLE**2)), x)
    # The mean square of neighbours that say nearly the same is known less well.
    wide = SPREAD * math.sqrt((1 + POLE**2) / (1 - POLE**2))
    assert found == pytest.approx(0.5 * math.log2(1 - POLE**2), abs=wide + FITTED)
    assert found < -0.5
    # At another level it is stranger yet: by log2 of it, less what the wrong variance costs.
    assert judged(Gaussian(1.0), x) < found - 1


def test_what_no_linear_prediction_knows_counts() -> None:
    """Loud and quiet samples in turn: the prior knows which; the best a fit knows is their mean variance."""
    scales = torch.tensor([0.02, 0.1], dtype=torch.float64).repeat(3 * BLOCK // 2)
    found = judged(Gaussian(scales), white(3 * BLOCK, 1.0) * scales.numpy())
    mean, geometric = (0.02**2 + 0.1**2) / 2, 0.02 * 0.1
    # The prior counts relative squares, the fit absolute ones, mostly of every other sample: both err apart.
    assert found == pytest.approx(0.5 * math.log2(mean / geometric), abs=(1 + math.sqrt(2)) * SPREAD + FITTED)
    assert found > 0.4


def test_a_click_does_not_decide() -> None:
    x = white(5 * BLOCK)
    whole = judged(Gaussian(0.1), x)
    x[2 * BLOCK + 7] = 1000.0
    assert judged(Gaussian(0.1), x) == pytest.approx(whole, abs=FITTED)
    # Of three blocks in five it does.
    x[7], x[BLOCK + 7] = 1000.0, 1000.0
    assert judged(Gaussian(0.1), x) < -100


def test_it_is_judged_by_whole_blocks_from_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCERPT", 2 * BLOCK + 100)
    prior, x, sigma = Gaussian(0.1), white(4 * BLOCK + 300), 0.01
    judged(prior, x, sigma)
    assert prior.x.shape == (1, 2 * BLOCK)
    assert prior.sigma == sigma
    first = (2 * BLOCK + 200) // 2
    added = prior.x[0].numpy() - x[first : first + 2 * BLOCK]
    assert added.std() == pytest.approx(sigma, rel=5 * math.sqrt(0.5 / len(added)))
    assert abs(np.corrcoef(added, x[first : first + 2 * BLOCK])[0, 1]) < 5 / math.sqrt(len(added))


def test_the_generator_decides_about_the_noise() -> None:
    x = torch.from_numpy(white(BLOCK))
    first, again, other = (
        likeness(Gaussian(0.2), x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_less_than_a_block_is_too_few() -> None:
    with pytest.raises(ValueError, match=f"{BLOCK - 1} samples are too few to judge; give {BLOCK}"):
        judged(Gaussian(0.1), white(BLOCK - 1))
    assert math.isfinite(judged(Gaussian(0.1), white(BLOCK)))
