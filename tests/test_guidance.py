"""Pseudo-inverse guidance: its exact law under Gaussian priors, and where it is nearer the exact posterior."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix import restoration
from audiofix.numerics.schedule import Schedule
from audiofix.operators.band import Band
from audiofix.operators.base import Restorable
from audiofix.operators.chain import Chain
from audiofix.operators.clip import Clip
from audiofix.operators.gap import Gap
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
    Case,
    ladder,
    law,
    posterior,
    score_of,
)


def guided(case: Case, prior: GaussianPrior, x: Tensor, sigma: float) -> Tensor:
    """The guided estimates of (batch, time), from matrices alone.

    Given x the clean sound is N(D, V) with D = m + J (x - m), V = sigma^2 J, J = C (C + sigma^2)^-1; the recording
    is A of it and noise of covariance S. The gradient is V g, g = A^T (r^2 A A^T + S)^-1 (y - A D) for r^2 of a
    white source. How much of it: a g that minimises a^2 g (V + S) g / 2 - a g A^+ (y - A D).
    """
    matrix, y, noise = heard(case)
    jacobian = prior.covariance @ prior.precision(sigma)
    clean = prior.mean + (x - prior.mean) @ jacobian.T
    white = sigma**2 * SOURCE_STD**2 / (sigma**2 + SOURCE_STD**2)
    missing = y - clean @ matrix.T
    inner = torch.linalg.pinv(white * matrix @ matrix.T + noise, rtol=1e-9, hermitian=True)
    back = torch.linalg.pinv(matrix, rtol=1e-9)
    along = missing @ (matrix.T @ inner).T
    # Of g only what is recorded has noise.
    spoilt = back @ noise @ back.T
    size = ((missing @ back.T) * along).sum(dim=1, keepdim=True)
    curve = ((along @ (sigma**2 * jacobian + spoilt)) * along).sum(dim=1, keepdim=True)
    moved = clean + size / curve * along @ (sigma**2 * jacobian)
    return moved if case.profile is not None else moved + (y - moved @ matrix.T) @ back.T


def heard(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Matrix, recording and noise without the rows of lost samples: nothing is recorded there, noise neither."""
    rows = case.matrix.abs().sum(dim=1) > 0
    return case.matrix[rows], case.recording[rows], case.covariance[rows][:, rows]


def estimates(case: Case, prior: GaussianPrior, x: Tensor, sigma: float, guide: bool = True) -> Tensor:
    """What the code under test makes of (batch, time)."""
    pull = pulled(prior) if guide else None
    score = restoring_score(score_of(prior), case.damage(len(x)), pull)
    return x + sigma**2 * score(x[:, None], sigma)[:, 0]


def pulled(prior: GaussianPrior):  # type: ignore[no-untyped-def]
    return lambda x, sigma, residual: prior.pullback(x[:, 0], sigma, residual[:, 0])[:, None]


SIGMAS = (0.003, 0.03, 0.2, 0.6)
# Inverses of matrices whose condition is that of C + sigma^2, below 1 + 0.08 / 0.003^2, of numbers below 1; noise
# spectra go through FFTs. A step of the line search divides by r^2 of its own size: no loss.
EXACT = 50 * TIME * torch.finfo(torch.float64).eps * (1 + 0.08 / 0.003**2)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize("name", CASES)
def test_estimates_follow_their_exact_law(name: str, kind: str, sigma: float) -> None:
    case, prior, x = CASES[name], PRIORS[kind], 0.3 * random(50, TIME, seed=9)
    assert (estimates(case, prior, x, sigma) - guided(case, prior, x, sigma)).abs().max() <= EXACT


ONE = torch.arange(TIME) == 2
ONE_NUMBER = {
    "one sample": Case(Gap(ONE), torch.diag(ONE.double())),
    "one in noise": Case(Gap(ONE), torch.diag(ONE.double()), torch.tensor([0.05], dtype=torch.float64)),
    # Only the mean of all.
    "one frequency": Case(Band(8, 8, 0.5), torch.full((TIME, TIME), 1 / TIME, dtype=torch.float64)),
}


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("name", ONE_NUMBER)
def test_given_one_number_it_is_the_mean_given_x_and_the_recording(name: str, sigma: float) -> None:
    """Which the plain form is not: it lets the neighbours of a known sample be."""
    case, prior, x = ONE_NUMBER[name], PRIORS["coloured"], 0.3 * random(50, TIME, seed=9)
    # x is a recording of all samples in white noise (Rasmussen & Williams 2006, eq. A.6).
    cov = prior.covariance - prior.covariance @ prior.precision(sigma) @ prior.covariance
    clean = prior.mean + (x - prior.mean) @ prior.precision(sigma) @ prior.covariance
    matrix, y, noise = heard(case)
    gain = cov @ matrix.T @ torch.linalg.pinv(matrix @ cov @ matrix.T + noise, rtol=1e-6, hermitian=True)
    exact = clean + (y - clean @ matrix.T) @ gain.T
    assert (estimates(case, prior, x, sigma) - exact).abs().max() <= EXACT
    apart = (estimates(case, prior, x, sigma, guide=False) - exact).abs().max()
    # A frequency of a stationary source says nothing of the others.
    assert apart <= EXACT if name == "one frequency" else apart > 1e3 * EXACT


@pytest.mark.parametrize(("sampler", "share"), WALKS)
@pytest.mark.parametrize("name", CASES)
def test_under_a_white_prior_draws_follow_the_law_of_the_plain_form(
    name: str, sampler: str, share: float
) -> None:
    """There r^2 is the same everywhere and the pullback a factor: the law of tests/test_restoration.py holds."""
    case, prior, schedule = CASES[name], PRIORS["white"], ladder(8, share)
    found = drawn(case, prior, schedule, sampler)
    assert law_violations(found, *law(case, prior, BEGIN, schedule, sampler)) == []


def drawn(case: Case, prior: GaussianPrior, schedule: Schedule, sampler: str, guide: bool = True) -> Tensor:
    """(CHAINS, TIME) independent draws."""
    start, damage = BEGIN.expand(CHAINS, 1, TIME), case.damage(CHAINS)
    pull = pulled(prior) if guide else None
    found = draw_restoration(damage, score_of(prior), start, schedule, seed=5, sampler=sampler, pullback=pull)
    return found[:, 0]


# Broken twins.

GUIDED = restoration.guided


def of_the_wrong_sign(clean: Tensor, wanted: Tensor, move: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return 2 * clean - GUIDED(clean, wanted, move, pulled, sigma)


def as_published(clean: Tensor, wanted: Tensor, move: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return clean + sigma**2 * pulled / restoration.variance_at(sigma)


def without_noise(clean: Tensor, wanted: Tensor, move: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return GUIDED(clean, move, move, pulled, sigma)


def over_the_batch(clean: Tensor, wanted: Tensor, move: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    whole = [v.flatten()[None, None] for v in (clean, wanted, move, pulled)]
    return GUIDED(*whole, sigma).view_as(clean)


def twice(clean: Tensor, wanted: Tensor, move: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    return 2 * GUIDED(clean, wanted, move, pulled, sigma) - clean


# A band of a stationary source says nothing of the others: what is projected afterwards hides any fault.
COUPLED = [name for name in CASES if name not in ("band", "rate")]
NOISY = [name for name in CASES if "noise" in name]
MUTANTS = [
    *(
        (name, mutant)
        for mutant in (of_the_wrong_sign, as_published, over_the_batch, twice)
        for name in COUPLED
    ),
    *((name, without_noise) for name in NOISY),
]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS)
def test_broken_guidance_is_caught(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoration, "guided", mutant)
    case, prior, x = CASES[name], PRIORS["coloured"], 0.3 * random(50, TIME, seed=9)
    assert (estimates(case, prior, x, 0.1) - guided(case, prior, x, 0.1)).abs().max() > 1e3 * EXACT


@pytest.mark.parametrize("name", COUPLED)
def test_a_pullback_that_is_the_identity_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GaussianPrior, "pullback", lambda self, x, sigma, residual: residual)
    case, prior, x = CASES[name], PRIORS["coloured"], 0.3 * random(50, TIME, seed=9)
    assert (estimates(case, prior, x, 0.1) - guided(case, prior, x, 0.1)).abs().max() > 1e3 * EXACT


# Against the plain form, and against the posterior.

NEARER = ("gap", "white noise")


@pytest.mark.parametrize("name", COUPLED)
def test_where_its_mean_is_nearer_the_exact_one(name: str) -> None:
    """Where it is: a tiny problem, in which one r^2 for all frequencies is still not the right one."""
    case, prior = CASES[name], PRIORS["coloured"]
    exact, cov = posterior(case, prior)
    schedule = ladder(30, 1.0, 0.003)
    found = drawn(case, prior, schedule, "consistent").mean(dim=0)
    plain, _ = law(case, prior, BEGIN, schedule, "consistent")
    unsure = 5 * found.std(dim=0).norm() / CHAINS**0.5
    assert ((found - exact).norm() + unsure < (plain - exact).norm()) == (name in NEARER)
    # Where it is not nearer it is not far either.
    assert (found - exact).norm() < 0.3 * cov.diagonal().max().sqrt()


def test_where_nothing_is_to_be_moved_nothing_moves() -> None:
    clean, nothing = random(2, 1, TIME), torch.zeros(2, 1, TIME).double()
    assert torch.equal(restoration.guided(clean, nothing, nothing, nothing, 0.1), clean)


def test_a_jacobian_that_is_not_positive_moves_no_further_than_is_allowed() -> None:
    clean, move = random(1, 1, TIME), random(1, 1, TIME, seed=1)
    for pulled in (-move, 1e-9 * move):
        found = restoration.guided(clean, move, move, pulled, 0.1) - clean
        most = 0.1**2 / (restoration.LEAST_VARIANCE * restoration.variance_at(0.1)) * pulled.abs()
        assert (found.abs() <= most + 1e-15).all()


# Networks.

OPERATORS: dict[str, Restorable] = {
    "gap": CASES["gap"].operator,
    "clip": Clip(-0.1, 0.08),
    "quantise": Quantise(0.05),
    "clip and gap": Chain([Clip(-0.1, 0.08), CASES["gap"].operator]),
}


def loud(*shape: int) -> Tensor:
    return 0.2 * random(*shape, seed=3)


@pytest.mark.parametrize("sigma", [0.01, 0.1])
@pytest.mark.parametrize("name", OPERATORS)
def test_with_a_network_it_goes_along_the_gradient_of_the_distance(name: str, sigma: float) -> None:
    """g, that of -|P(D) - D|^2 / 2, by automatic differentiation, times |P(D) - D|^2 / ((P(D) - D) g)."""
    operator, net, x = OPERATORS[name], tiny_mixer().double(), loud(2, 1, TIME)
    y = operator.forward(loud(2, 1, TIME) + 0.05)
    prior = ScorePrior(net, 16000, (1.0, 0.001))
    found = restoring_score(score_of(prior), Damage(operator, y), pulled(prior))(x, sigma)  # type: ignore[arg-type]
    leaf = x.clone().requires_grad_(True)
    clean = denoise_alone(net, leaf, torch.full((2,), sigma, dtype=torch.float64))
    lacks = operator.project(clean, y) - clean
    (downhill,) = torch.autograd.grad(lacks.square().sum() / 2, leaf)
    clean, lacks = clean.detach(), lacks.detach()
    variance = -(sigma**2) * (lacks * downhill).sum(dim=2, keepdim=True)
    size = lacks.square().sum(dim=2, keepdim=True)
    # LEAST_VARIANCE has no say here.
    assert (variance > restoration.LEAST_VARIANCE * restoration.variance_at(sigma) * size).all()
    moved = clean - size / variance * sigma**2 * downhill
    # The network is float32 once on its way (tests/priors/test_pullback.py); times sigma^2 over the variance.
    slack = 1e-6 * max(1.0, float((sigma**2 * size / variance).max()))
    assert (x + sigma**2 * found - operator.project(moved, y)).abs().max() <= 2 * slack
    # Broken twin: the plain form.
    assert (operator.project(clean, y) - operator.project(moved, y)).abs().max() > 100 * slack


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
