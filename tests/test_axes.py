"""Priors with levels of their own and on another axis: their ladders, their chains, their first sample."""

from __future__ import annotations

import pytest
import torch

from audiofix.axes import along, curve_of, highest_along, ladder, sample_by_sample, walked
from audiofix.damages import Cut, LostBand, LostSamples, Noisy, Rounded
from audiofix.hub.import_pnf import import_pnf
from audiofix.hub.registry import load_prior
from audiofix.numerics.companding import LINEAR, MU_LAW
from audiofix.numerics.schedule import Schedule, geometric_sigmas, levels_within
from audiofix.operators.clip import Clip
from audiofix.operators.gap import Gap
from audiofix.priors.gaussian import GaussianPrior
from audiofix.restoration import Damage, draw_restoration
from audiofix.separation import QUALITIES, WITHOUT_SEPARATOR, lay_out
from tests.hub.published import write_published

OWN = (1.4, 0.9, 0.3, 0.1, 0.03, 0.001)


class Stepped:
    stepped = True
    sigmas = OWN


def test_levels_within():
    assert levels_within(OWN, 0.9, 0.03) == (0.9, 0.3, 0.1, 0.03)
    assert levels_within(OWN, 0.892, 0.0302) == (0.9, 0.3, 0.1, 0.03)  # a hundredth beside
    assert levels_within(OWN, 0.88, 0.031) == (0.3, 0.1)
    assert levels_within(OWN, 0.02, 0.01) == ()


def test_a_priors_own_levels_are_the_ladder():
    assert ladder(Stepped(), 0.9, 0.03, 12, 1.0) == Schedule((0.9, 0.3, 0.1, 0.03), 3, 1.0)
    assert ladder(Stepped(), 0.9, 0.03, 3, 0.5) == Schedule((0.9, 0.3, 0.1, 0.03), 1, 0.5)
    # Too few between the ends, or none of its own: geometric.
    assert ladder(Stepped(), 0.02, 0.01, 3, 1.0) == Schedule(geometric_sigmas(0.02, 0.01, 3), 1, 1.0)
    other = GaussianPrior(torch.zeros(4), torch.eye(4), 16000)
    assert ladder(other, 0.9, 0.03, 5, 1.0) == Schedule(geometric_sigmas(0.9, 0.03, 5), 1, 1.0)


@pytest.mark.parametrize("sampler", ["consistent", "langevin", "heun"])
def test_separation_goes_down_all_of_them(sampler):
    known = [OWN, OWN]
    assert lay_out(WITHOUT_SEPARATOR, sampler, known, None, None, None, OWN).sigmas == OWN
    assert len(lay_out(WITHOUT_SEPARATOR, sampler, known, 9, None, None, OWN).sigmas) == 9
    begun = lay_out(QUALITIES["balanced"], sampler, known, None, None, None, OWN).sigmas
    assert begun == (0.1, 0.03)  # of its 0.1 to 0.015
    assert lay_out(WITHOUT_SEPARATOR, sampler, known, None, None, None).sigmas != OWN


def test_which_faults_any_axis_will_do_for():
    pointwise = [LostSamples(((1, 2),)), Cut(-1, 0.5), Rounded(0.1)]
    assert sample_by_sample(pointwise)
    assert not sample_by_sample([*pointwise, LostBand(4000)])
    assert not sample_by_sample([Noisy(torch.tensor([0.1]))])
    assert highest_along(MU_LAW, pointwise) == 1.0
    assert highest_along(MU_LAW, [Cut(-1, 0.5)]) == 0.3
    fine = 2.0**-11
    assert highest_along(MU_LAW, [Rounded(fine)]) == pytest.approx(
        fine * 255 / torch.tensor(256.0).log().item()
    )


@pytest.mark.parametrize("sampler", ["consistent", "heun"])
def test_a_chain_along_the_axis_is_the_plain_chain_of_the_companded_signal(sampler):
    """A Gaussian in u, samples of it lost: what is recorded in amplitude leads to what u alone would."""
    place = torch.arange(12, dtype=torch.float64)
    covariance = 0.1 * torch.exp(-(place[:, None] - place).abs() / 3)
    prior = GaussianPrior(torch.zeros(12, dtype=torch.float64), covariance, 16000)
    u = 0.5 * (place / 2).sin()[None, None]
    known = (place < 4) | (place > 7)
    schedule = Schedule(geometric_sigmas(1.0, 0.01, 12), 1, 1.0 if sampler == "consistent" else 0.3)

    def score(x, sigma):
        return prior.score(x[:, 0], sigma)[:, None]

    gap = Gap(known)
    plain = Damage(gap, gap.forward(u))
    expected = draw_restoration(plain, score, plain.y, schedule, seed=3, sampler=sampler)
    recorded = Damage(gap, gap.forward(MU_LAW.expand(u)))
    damage, begin = along(MU_LAW, recorded, recorded.y)
    found = draw_restoration(damage, score, begin, schedule, seed=3, sampler=sampler)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(MU_LAW.expand(found)[..., known], recorded.y[..., known])
    # In amplitude, as if there were no other axis, it would be something else.
    wrong = draw_restoration(recorded, score, recorded.y, schedule, seed=3, sampler=sampler)
    assert not torch.allclose(MU_LAW.compress(wrong), expected, atol=0.01)


def test_linear_priors_go_along_amplitude():
    prior = GaussianPrior(torch.zeros(4), torch.eye(4), 16000)
    damage, begin = Damage(Clip(-0.5, 0.5), torch.zeros(1, 1, 4)), torch.ones(1, 1, 4)
    assert along(LINEAR, damage, begin) == (damage, begin)
    assert curve_of(prior) is LINEAR
    assert walked(prior) is prior


@pytest.fixture
def imported(tmp_path):
    write_published(tmp_path / "egs" / "vctk")
    write_published(tmp_path / "mu" / "vctk", "mu-law")
    import_pnf(tmp_path / "egs" / "vctk", "one", tmp_path / "one")
    import_pnf(tmp_path / "mu" / "vctk", "two", tmp_path / "two")
    return tmp_path


def test_the_axis_comes_with_the_prior(imported):
    linear, other = load_prior(imported / "one"), load_prior(imported / "two")
    assert (curve_of(linear), curve_of(other)) == (LINEAR, MU_LAW)
    assert walked(linear) is linear
    x = 0.2 * torch.randn(1, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(walked(other).score(x, 0.1), other.axis_score(x, 0.1))
