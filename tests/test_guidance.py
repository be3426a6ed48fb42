"""Pseudo-inverse guidance: its exact law under Gaussian priors, and where it is nearer the exact posterior."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix import restoration
from audiofix.numerics.schedule import Schedule
from audiofix.operators.base import Restorable
from audiofix.operators.chain import Chain
from audiofix.operators.clip import Clip
from audiofix.operators.quantise import Quantise
from audiofix.priors.gaussian import GaussianPrior
from audiofix.priors.score_network import ScorePrior, denoise_alone
from audiofix.restoration import SOURCE_STD, Damage, draw_restoration, restoring_score
from tests.hub.tiny import tiny_mixer
from tests.operators.test_laws import random
from tests.samplers.laws import law_violations
from tests.test_restoration import (
    BEGIN,
    CASES,
    CHAINS,
    PRIORS,
    TIME,
    WALKS,
    Affine,
    Case,
    estimated,
    ladder,
    law,
    posterior,
    score_of,
)


def guided(case: Case, prior: GaussianPrior, sigma: float) -> Affine:
    """The guided estimate as a map of x, from matrices alone.

    D = J x + m with J = C (C + sigma^2)^-1. p(y given x) = N(A D, r^2 A A^T + S) for S the covariance of the
    noise, so its gradient is J A^T (r^2 A A^T + S)^-1 (y - A D); where there is no noise, D then is projected.
    """
    matrix, y, noise = case.matrix, case.recording, case.covariance
    heard = matrix.abs().sum(dim=1) > 0  # where a sample is lost nothing is recorded, noise neither
    matrix, y, noise = matrix[heard], y[heard], noise[heard][:, heard]
    jacobian = prior.covariance @ prior.precision(sigma)
    shift = prior.mean - jacobian @ prior.mean
    variance = sigma**2 * SOURCE_STD**2 / (sigma**2 + SOURCE_STD**2)
    inverse = torch.linalg.pinv(variance * matrix @ matrix.T + noise, rtol=1e-9, hermitian=True)
    gain = sigma**2 * jacobian @ matrix.T @ inverse
    mean, offset = jacobian - gain @ matrix @ jacobian, shift + gain @ (y - matrix @ shift)
    if case.profile is not None:
        return mean, offset
    back = torch.linalg.pinv(matrix, rtol=1e-9)
    return mean - back @ matrix @ mean, offset + back @ (y - matrix @ offset)


def pulled(prior: GaussianPrior):  # type: ignore[no-untyped-def]
    return lambda x, sigma, residual: prior.pullback(x[:, 0], sigma, residual[:, 0])[:, None]


def drawn(case: Case, prior: GaussianPrior, schedule: Schedule, sampler: str) -> Tensor:
    """(CHAINS, TIME) independent draws."""
    start, damage = BEGIN.expand(CHAINS, 1, TIME), case.damage(CHAINS)
    found = draw_restoration(
        damage, score_of(prior), start, schedule, seed=5, sampler=sampler, pullback=pulled(prior)
    )
    return found[:, 0]


@pytest.mark.parametrize(("sampler", "share"), WALKS)
@pytest.mark.parametrize("name", CASES)
def test_draws_follow_their_exact_law(name: str, sampler: str, share: float) -> None:
    case, prior, schedule = CASES[name], PRIORS["coloured"], ladder(8, share)
    found = drawn(case, prior, schedule, sampler)
    assert law_violations(found, *law(case, prior, BEGIN, schedule, sampler, guided)) == []


# Broken twins.

GUIDED = restoration.guided


def forgotten_square(clean: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return clean + (1 + sigma / SOURCE_STD) * pulled


def of_a_flat_source(clean: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    """r = sigma: nothing known of how loud sound is."""
    return clean + pulled


def of_the_wrong_sign(clean: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return 2 * clean - GUIDED(clean, pulled, sigma)


def twice(clean: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return GUIDED(GUIDED(clean, pulled, sigma), pulled, sigma)


# A band of a stationary source says nothing of the others: what is projected afterwards hides any fault.
COUPLED = [name for name in CASES if name not in ("band", "rate")]


@pytest.mark.parametrize("mutant", [forgotten_square, of_a_flat_source, of_the_wrong_sign, twice])
@pytest.mark.parametrize("name", COUPLED)
def test_broken_guidance_is_caught(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoration, "guided", mutant)
    case, prior, schedule = CASES[name], PRIORS["coloured"], ladder(8)
    found = drawn(case, prior, schedule, "heun")
    assert law_violations(found, *law(case, prior, BEGIN, schedule, "heun", guided)) != []


@pytest.mark.parametrize("name", COUPLED)
def test_a_pullback_that_is_the_identity_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GaussianPrior, "pullback", lambda self, x, sigma, residual: residual)
    case, prior, schedule = CASES[name], PRIORS["coloured"], ladder(8)
    found = drawn(case, prior, schedule, "heun")
    assert law_violations(found, *law(case, prior, BEGIN, schedule, "heun", guided)) != []


# Against the plain form, and against the posterior.


@pytest.mark.parametrize("sigma", [0.003, 0.05, 0.6])
@pytest.mark.parametrize("name", CASES)
def test_under_a_white_prior_both_forms_are_one(name: str, sigma: float) -> None:
    case, prior, x = CASES[name], PRIORS["white"], random(4, 1, TIME, seed=9)
    plain, with_pullback = (
        restoring_score(score_of(prior), case.damage(4), pull)(x, sigma) * sigma**2
        for pull in (None, pulled(prior))
    )
    # Estimates below 1, by an inverse whose condition is 1; noise goes through float32 densities of the profile.
    assert (plain - with_pullback).abs().max() <= 1e-12
    coloured = PRIORS["coloured"]
    if name in COUPLED:
        plain, with_pullback = (
            restoring_score(score_of(coloured), case.damage(4), pull)(x, sigma) * sigma**2
            for pull in (None, pulled(coloured))
        )
        assert (plain - with_pullback).abs().max() > 1e-6


def off_the_mean(name: str, levels: int, how) -> float:  # type: ignore[no-untyped-def]
    """How far off the mean of the chain for the mean ends, in standard deviations of the posterior."""
    case, prior = CASES[name], PRIORS["coloured"]
    exact, cov = posterior(case, prior)
    found, _ = law(case, prior, case.recording, ladder(levels, 1.0, 0.003), "consistent", how)
    return float((found - exact).norm() / cov.diagonal().max().sqrt())


@pytest.mark.parametrize(("name", "gain"), [("white noise", 4), ("coloured noise", 2.5), ("gap", 1.4)])
@pytest.mark.parametrize("levels", [30, 50])
def test_its_mean_is_nearer_the_exact_one(name: str, gain: float, levels: int) -> None:
    """Noise hides quiet frequencies more than loud ones, and only the Jacobian knows which are which."""
    assert gain * off_the_mean(name, levels, guided) < off_the_mean(name, levels, estimated)


def test_where_it_is_not_nearer() -> None:
    """A gap in noise: where r^2 is wrong both ways, the plain form's errors happen to cancel."""
    plain, with_pullback = (off_the_mean("gap and noise", 30, how) for how in (estimated, guided))
    assert plain < with_pullback < 2 * plain


# Networks.

OPERATORS: dict[str, Restorable] = {
    "gap": CASES["gap"].operator,
    "clip": Clip(-0.1, 0.08),
    "quantise": Quantise(0.05),
    "clip and gap": Chain([Clip(-0.1, 0.08), CASES["gap"].operator]),
}


def loud(*shape: int) -> Tensor:
    return 0.2 * random(*shape, seed=3)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("name", OPERATORS)
def test_with_a_network_it_is_the_gradient_of_the_distance(name: str, sigma: float) -> None:
    """D + sigma^2 d/dx (-|P(D) - D|^2 / (2 r^2)), all of it by automatic differentiation; then explained."""
    operator, net, x = OPERATORS[name], tiny_mixer().double(), loud(2, 1, TIME)
    y = operator.forward(loud(2, 1, TIME) + 0.05)
    prior = ScorePrior(net, 16000, (1.0, 0.001))
    found = restoring_score(
        score_of(prior),  # type: ignore[arg-type]
        Damage(operator, y),
        pulled(prior),  # type: ignore[arg-type]
    )(x, sigma)
    leaf = x.clone().requires_grad_(True)
    clean = denoise_alone(net, leaf, torch.full((2,), sigma, dtype=torch.float64))
    apart = (operator.project(clean, y) - clean).square().sum() / 2
    (gradient,) = torch.autograd.grad(apart, leaf)
    moved = clean.detach() - sigma**2 * gradient * (1 / sigma**2 + 1 / SOURCE_STD**2)
    # The network is float32 once on its way (tests/priors/test_pullback.py); times (sigma / r)^2.
    slack = 1e-6 * (1 + (sigma / SOURCE_STD) ** 2)
    assert (x + sigma**2 * found - operator.project(moved, y)).abs().max() <= slack
    # Broken twin: the plain form.
    plain = operator.project(clean.detach(), y)
    assert (plain - operator.project(moved, y)).abs().max() > 100 * slack


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_result_explains_the_recording(name: str, dtype: torch.dtype) -> None:
    operator, net = OPERATORS[name], tiny_mixer().to(dtype)
    prior = ScorePrior(net, 16000, (1.0, 0.001))
    y = operator.forward(loud(3, 1, TIME)).to(dtype)
    begin, damage = operator.start(y, 1), Damage(operator, y)
    found, plain = (
        draw_restoration(
            damage,
            score_of(prior),
            begin,
            ladder(6, 1.0),
            seed=1,
            pullback=pull,  # type: ignore[arg-type]
        )
        for pull in (pulled(prior), None)  # type: ignore[arg-type]
    )
    slack = 8 * torch.finfo(dtype).eps  # a few roundings of numbers below 1
    if name == "quantise":
        assert ((found - y).abs() <= 0.025 + slack).all()
    else:
        assert (operator.forward(found) - y).abs().max() <= slack
    assert (found - plain).abs().max() > 1e-3
    assert found.dtype == dtype
