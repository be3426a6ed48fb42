"""Restoring under Gaussian priors: every draw's exact law, and how far that is from the exact posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from audiofix import restoration
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.operators.band import Band
from audiofix.operators.base import Restorable
from audiofix.operators.chain import Chain
from audiofix.operators.clip import Clip
from audiofix.operators.gap import Gap
from audiofix.operators.noise import Noise
from audiofix.operators.quantise import Quantise
from audiofix.posterior import ScoreFn, prior_score
from audiofix.priors.gaussian import GaussianPrior
from audiofix.restoration import SOURCE_STD, Damage, draw_restoration
from audiofix.samplers.base import Info, State
from tests.operators.test_laws import random
from tests.samplers.laws import law_violations

CHAINS, TIME = 10_000, 8
# Schedule wants a step scale above 0; in float64 1 + 1e-20 is 1, and the path is that without noise.
NOISELESS = 1e-20
HIGH, LOW = 0.6, 0.03  # of the samplers' own ladders
EYE = torch.eye(TIME, dtype=torch.float64)
EPS = torch.finfo(torch.float64).eps


def circulant(spectrum: Tensor, time: int = TIME) -> Tensor:
    row = torch.fft.irfft(spectrum.to(torch.complex128), n=time)
    places = torch.arange(time)
    return row[(places[:, None] - places) % time]


def around(time: int) -> Tensor:
    """Distances round a circle: of stationary sound, whose bands are independent."""
    apart = (torch.arange(time)[:, None] - torch.arange(time)).abs()
    return torch.minimum(apart, time - apart).double()


PRIORS = {
    # SOURCE_STD is what `explain` takes the sound for.
    "white": GaussianPrior(torch.zeros(TIME).double(), SOURCE_STD**2 * EYE, 16000),
    "coloured": GaussianPrior(
        torch.linspace(-0.05, 0.05, TIME).double(), SOURCE_STD**2 * 0.8 ** around(TIME), 16000
    ),
}


@dataclass(frozen=True)
class Case:
    """A fault as the operator under test, and as matrices written down on their own: y = matrix x + noise."""

    operator: Restorable | None
    matrix: Tensor
    profile: Tensor | None = None

    @property
    def recording(self) -> Tensor:
        """(time',) of a typical sound; noise is not needed, as the law holds for any recording."""
        return self.matrix @ (0.1 * random(TIME, seed=7))

    @property
    def covariance(self) -> Tensor:
        """Of the noise; what is not recorded has none. Its weights are the noise's at half as many bins."""
        if self.profile is None:
            return torch.zeros(len(self.matrix), len(self.matrix)).double()
        bins = torch.nn.functional.interpolate(
            self.profile.square()[None, None], TIME // 2 + 1, mode="linear", align_corners=True
        )
        return circulant(bins[0, 0])

    def damage(self, batch: int) -> Damage:
        """As code under test takes it."""
        y = self.recording.expand(batch, 1, -1)
        return Damage(self.operator, y, None if self.profile is None else Noise(self.profile))


def tones(bins: int, time: int) -> Tensor:
    """(2 bins - 1, time) the sinusoids of the lowest bins, orthonormal."""
    angle = 2 * math.pi * torch.arange(time).double() / time
    rows = [torch.full((time,), 0.5**0.5, dtype=torch.float64)]
    for k in range(1, bins):
        rows += [torch.cos(k * angle), torch.sin(k * angle)]
    return torch.stack(rows) * (2 / time) ** 0.5


KNOWN = (torch.arange(TIME) < 3) | (torch.arange(TIME) > 5)
CASES = {
    "gap": Case(Gap(KNOWN), torch.diag(KNOWN.double())),
    "band": Case(Band(8, 8, 2), tones(2, TIME).T @ tones(2, TIME)),
    # Half the samples, so that a sinusoid has half the energy.
    "rate": Case(Band(8, 4), (4 / 8) ** 0.5 * tones(2, 4).T @ tones(2, TIME)),
    "white noise": Case(None, EYE, torch.tensor([0.05], dtype=torch.float64)),
    "coloured noise": Case(None, EYE, torch.linspace(0.1, 0.02, 9, dtype=torch.float64)),
    "gap and noise": Case(Gap(KNOWN), torch.diag(KNOWN.double()), torch.tensor([0.05], dtype=torch.float64)),
}
EXACT = ("gap", "band", "rate")  # what is known is known exactly

Affine = tuple[Tensor, Tensor]  # x to G x + h


def estimated(case: Case, prior: GaussianPrior, sigma: float) -> Affine:
    """The prior's clean estimate made to explain the recording, as a map of x."""
    matrix, y = case.matrix, case.recording
    turn = sigma**2 * prior.precision(sigma)
    clean, shift = EYE - turn, turn @ prior.mean
    back = torch.linalg.pinv(matrix, rtol=1e-9)
    weight = EYE
    if case.profile is not None:
        variance = 1 / (1 / sigma**2 + 1 / SOURCE_STD**2)
        weight = variance * torch.linalg.inv(variance * EYE + case.covariance)
    # D + K A+ (y - A D).
    return clean - weight @ back @ matrix @ clean, shift + weight @ back @ (y - matrix @ shift)


def law(
    case: Case, prior: GaussianPrior, begin: Tensor, schedule: Schedule, sampler: str
) -> tuple[Tensor, Tensor]:
    """Mean and covariance of `draw_restoration`: of its chain, whose steps are affine, and of its last step."""
    estimate = partial(estimated, case, prior)
    mean, cov = begin, schedule.sigmas[0] ** 2 * EYE
    sigmas, share = schedule.sigmas, schedule.step_scale
    if sampler == "heun":
        for sigma, following in pairwise(sigmas):
            raised = min(sigma * (1 + share), sigmas[0])
            (near, at_near), (far, at_far) = estimate(raised), estimate(following)
            way = following - raised
            here, there = (EYE - near) / raised, (EYE - far) / following
            whole = EYE + way / 2 * (here + there @ (EYE + way * here))
            shift = -way / 2 * (at_near / raised + way * there @ at_near / raised + at_far / following)
            mean = whole @ mean + shift
            cov = whole @ (cov + (raised**2 - sigma**2) * EYE) @ whole.T
    else:
        for sigma, following in zip(sigmas, [*sigmas[1:], sigmas[-1]], strict=True):
            turn, shift = estimate(sigma)
            step = share * turn + (1 - share) * EYE
            mean = step @ mean + share * shift
            cov = step @ cov @ step.T + (following**2 - ((1 - share) * sigma) ** 2) * EYE
    turn, shift = estimate(sigmas[-1])
    return turn @ mean + shift, turn @ cov @ turn.T


def posterior(case: Case, prior: GaussianPrior) -> tuple[Tensor, Tensor]:
    """Exact mean and covariance of x given the recording (Rasmussen & Williams 2006, eq. A.6)."""
    matrix, cov = case.matrix, prior.covariance
    # Where a sample is lost there is nothing recorded, noise neither: rows without a signal drop out.
    heard = matrix.abs().sum(dim=1) > 0
    matrix, noise, y = matrix[heard], case.covariance[heard][:, heard], case.recording[heard]
    gain = cov @ matrix.T @ torch.linalg.pinv(matrix @ cov @ matrix.T + noise, rtol=1e-9, hermitian=True)
    return prior.mean + gain @ (y - matrix @ prior.mean), cov - gain @ matrix @ cov


def ladder(levels: int = 24, step_scale: float = 0.2, low: float = LOW) -> Schedule:
    return Schedule(geometric_sigmas(HIGH, low, levels), 1, step_scale)


def score_of(prior: GaussianPrior) -> ScoreFn:
    return prior_score([prior.score])


def drawn(
    case: Case, prior: GaussianPrior, begin: Tensor, schedule: Schedule, sampler: str, seed: int = 5
) -> Tensor:
    """(CHAINS, TIME) independent draws."""
    start = begin.expand(CHAINS, 1, TIME)
    damage = case.damage(CHAINS)
    return draw_restoration(damage, score_of(prior), start, schedule, seed=seed, sampler=sampler)[:, 0]


BEGIN = 0.2 * random(TIME, seed=8)
WALKS = [("heun", NOISELESS), ("heun", 0.2), ("consistent", 1.0), ("consistent", 0.6)]


@pytest.mark.parametrize(("sampler", "share"), WALKS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", PRIORS)
def test_draws_follow_their_exact_law(kind: str, name: str, sampler: str, share: float) -> None:
    case, prior, schedule = CASES[name], PRIORS[kind], ladder(8, share)
    found = drawn(case, prior, BEGIN, schedule, sampler)
    assert law_violations(found, *law(case, prior, BEGIN, schedule, sampler)) == []


# Broken twins.

EXPLAIN = Damage.explain


def nothing_measured(self: Damage, clean: Tensor, sigma: float) -> Tensor:
    return clean


def noise_forgotten(self: Damage, clean: Tensor, sigma: float) -> Tensor:
    return self.y if self.operator is None else self.operator.project(clean, self.y)


def of_a_loud_source(self: Damage, clean: Tensor, sigma: float) -> Tensor:
    explained = noise_forgotten(self, clean, sigma)
    return explained if self.noise is None else self.noise.combine(clean, explained, sigma**2)


def twice(self: Damage, clean: Tensor, sigma: float) -> Tensor:
    return EXPLAIN(self, EXPLAIN(self, clean, sigma), sigma)


def of_the_wrong_sign(self: Damage, clean: Tensor, sigma: float) -> Tensor:
    return 2 * clean - EXPLAIN(self, clean, sigma)


MUTANTS: list[tuple[str, object, str]] = [
    *((name, nothing_measured, "explain") for name in CASES),
    *((name, of_the_wrong_sign, "explain") for name in CASES),
    *((name, broken, "explain") for name in ("white noise", "gap and noise") for broken in (
        noise_forgotten, of_a_loud_source, twice,
    )),
    *((name, lambda x, score, sigma: x, "denoised_from_score") for name in CASES),
    *((name, lambda x, clean, sigma: (clean - x) / sigma, "score_from_denoised") for name in CASES),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mutant", "place"), MUTANTS)
def test_broken_scores_are_caught(
    name: str, mutant: object, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Damage if place == "explain" else restoration, place, mutant)
    case, prior, schedule = CASES[name], PRIORS["coloured"], ladder(8)
    found = drawn(case, prior, BEGIN, schedule, "heun")
    assert law_violations(found, *law(case, prior, BEGIN, schedule, "heun")) != []


# From the law to the posterior.


@pytest.mark.parametrize("sampler", ["heun", "consistent"])
@pytest.mark.parametrize(
    ("kind", "name"), [*(("white", name) for name in CASES), ("coloured", "band"), ("coloured", "rate")]
)
def test_the_mean_is_the_exact_one(kind: str, name: str, sampler: str) -> None:
    """Where what is lost does not depend on what is known, and sound is as loud as `explain` takes it for.

    The exact mean is then a fixed point of every step, so a chain that begins there stays around it.
    """
    case, prior = CASES[name], PRIORS[kind]
    exact, _ = posterior(case, prior)
    found = drawn(case, prior, exact, ladder(24, {"heun": 0.2, "consistent": 1.0}[sampler]), sampler)
    # 5 standard errors: a false alarm of 7e-5 in all, for 8 samples in each of 16 runs.
    error = (found.mean(dim=0) - exact).abs()
    # Float32 in the FFT of coloured noise, and a chain that remembers it.
    assert (error <= 5 * found.std(dim=0) / CHAINS**0.5 + 1e-6).all()
    # From elsewhere, what is left of a wrong beginning is small.
    away, _ = law(case, prior, BEGIN, ladder(24, {"heun": 0.2, "consistent": 1.0}[sampler]), sampler)
    remembered = {"heun": 0.015, "consistent": 1e-4}[sampler]
    assert (away - exact).norm() <= remembered * (BEGIN - exact).norm()


def test_without_fresh_noise_what_the_start_gets_wrong_stays_wrong() -> None:
    """The flow of N(m, v) takes x - m times sqrt((v + low^2) / (v + high^2)), the last step v / (v + low^2)."""
    case, prior = CASES["white noise"], PRIORS["white"]
    exact, cov = posterior(case, prior)
    v = float(cov[0, 0])
    share = v / (v + LOW**2) * ((v + LOW**2) / (v + HIGH**2)) ** 0.5
    found, _ = law(case, prior, BEGIN, ladder(400, NOISELESS), "heun")
    assert (found - exact).norm() / (BEGIN - exact).norm() == pytest.approx(share, rel=1e-3)
    assert 0.03 < share < 0.1


@pytest.mark.parametrize("name", ["gap", "band", "rate", "white noise"])
def test_the_variance_of_heun_is_the_posteriors_less_what_the_last_step_takes(name: str) -> None:
    """v becomes v^2 / (v + low^2), as the last step takes the mean; and the start has high^2, not v + high^2.

    The rest is the error of the steps, which falls with their square.
    """
    case, prior = CASES[name], PRIORS["white"]
    exact, cov = posterior(case, prior)
    v = float(cov.diagonal().max()) if name == "white noise" else SOURCE_STD**2
    expected = cov / v * v**2 / (v + LOW**2) * HIGH**2 / (v + HIGH**2)
    errors = []
    for levels in (25, 49, 97, 193):
        _, found = law(case, prior, exact, ladder(levels, NOISELESS), "heun")
        errors.append(float((found - expected).norm() / expected.norm()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(3.4 < ratio < 4.6 for ratio in ratios), ratios
    # 24 levels are good to a few per cent, and with fresh noise too. So a default draw has 90 % of the variance
    # of white sound in a gap, and 70 % where noise a quarter as loud as the sound leaves a fifth of it.
    assert errors[0] < 0.04
    _, fresh = law(case, prior, exact, ladder(24, 0.2), "heun")
    assert fresh.trace() / cov.trace() == pytest.approx(float(expected.trace() / cov.trace()), abs=0.06)
    found = drawn(case, prior, exact, ladder(24, 0.2), "heun")
    # Of a chi-square law: 5 standard deviations of TIME x CHAINS squares, of which a band has half.
    share = found.var(dim=0).sum() / fresh.trace()
    assert share == pytest.approx(1, abs=5 * (2 / (CHAINS * 3)) ** 0.5)


@pytest.mark.parametrize("name", CASES)
def test_consistent_draws_spread_half_as_much(name: str) -> None:
    """A known bias, as in separation: with step scale 1 the mean is right and the variance about half."""
    case, prior = CASES[name], PRIORS["white"]
    _, cov = posterior(case, prior)
    _, found = law(case, prior, BEGIN, ladder(400, 1.0, 0.002), "consistent")
    assert 0.45 < found.trace() / cov.trace() < 0.52


@pytest.mark.parametrize("name", ["gap", "white noise", "coloured noise", "gap and noise"])
def test_under_a_coloured_prior_consistent_tends_to_the_mean(name: str) -> None:
    """The estimate in a gap sees what is known through the noise of x, which goes away; and noise likewise."""
    case, prior = CASES[name], PRIORS["coloured"]
    exact, cov = posterior(case, prior)
    size = cov.diagonal().max().sqrt()
    bias = []
    for levels, low in ((48, 0.03), (200, 0.003), (800, 0.0006)):
        found, _ = law(case, prior, BEGIN, ladder(levels, 1.0, low), "consistent")
        bias.append(float((found - exact).abs().max() / size))
    assert bias[0] > 2 * bias[1] > 4 * bias[2], bias
    assert bias[0] < 1
    assert bias[2] < 0.1


@pytest.mark.parametrize(
    ("name", "most", "least", "widest"),
    [("gap", 2.0, 0.3, 2.0), ("white noise", 1.0, 0.2, 1.1), ("coloured noise", 0.7, 0.1, 1.3)],
)
def test_under_a_coloured_prior_heun_has_a_bias(name: str, most: float, least: float, widest: float) -> None:
    """A known one: at high noise the estimate does not see through x what is known, and the flow remembers.

    In standard deviations of the posterior, which gets small where neighbours tell much.
    """
    case, prior = CASES[name], PRIORS["coloured"]
    exact, cov = posterior(case, prior)
    size = cov.diagonal().max().sqrt()
    for share, levels, low in ((NOISELESS, 24, LOW), (0.2, 24, LOW), (0.2, 48, 0.003)):
        mean, spread = law(case, prior, case.recording, ladder(levels, share, low), "heun")
        assert least < (mean - exact).abs().max() / size < most
        assert 0.5 < spread.trace() / cov.trace() < widest


# One call.


@pytest.mark.parametrize("kind", PRIORS)
def test_one_call_is_the_exact_wiener_answer_for_white_noise(kind: str) -> None:
    case, prior = CASES["white noise"], PRIORS[kind]
    y = case.recording.expand(3, 1, TIME)
    found = case.damage(3).denoised(score_of(prior), y, 0.05)
    exact, _ = posterior(case, prior)
    # Two inverses of matrices whose condition is below 1 + 0.08 / 0.05^2.
    assert (found - exact).abs().max() <= 50 * TIME * EPS * (1 + 0.08 / 0.05**2)
    # Broken twin: another level.
    assert (case.damage(3).denoised(score_of(prior), y, 0.06) - exact).abs().max() > 1e-3


def test_one_call_explains_what_was_recorded() -> None:
    quantise = Quantise(0.05)
    y = quantise.forward(0.1 * random(3, 1, TIME))
    found = Damage(quantise, y).denoised(score_of(PRIORS["coloured"]), y, 0.02)
    assert torch.equal(quantise.forward(found), y)
    assert not torch.equal(found, y)


# Draws.

OPERATORS: dict[str, Restorable] = {
    "gap": CASES["gap"].operator,
    "band": CASES["band"].operator,
    "rate": CASES["rate"].operator,
    "clip": Clip(-0.1, 0.08),
    "quantise": Quantise(0.05),
    "clip and gap": Chain([Clip(-0.1, 0.08), Gap(KNOWN)]),
}


@pytest.mark.parametrize(("sampler", "share"), [("heun", 0.2), ("consistent", 1.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_result_explains_the_recording(name: str, dtype: torch.dtype, sampler: str, share: float) -> None:
    operator, prior = OPERATORS[name], PRIORS["coloured"]

    def score(x: Tensor, sigma: float) -> Tensor:
        return prior.score(x[:, 0].double(), sigma)[:, None].to(x)

    y = operator.forward(0.15 * random(50, 1, TIME, seed=3)).to(dtype)
    begin = operator.start(y, 1)
    found = draw_restoration(Damage(operator, y), score, begin, ladder(8, share), seed=1, sampler=sampler)
    assert (found.dtype, found.shape) == (dtype, (50, 1, TIME))
    # The last estimate E comes as x + sigma^2 ((E - x) / sigma^2), each below 1: a few roundings.
    slack = 8 * torch.finfo(dtype).eps
    again = operator.forward(found)
    if name == "quantise":
        assert ((found - y).abs() <= 0.025 + slack).all()
    else:
        assert (again - y).abs().max() <= slack
    assert (found - begin).abs().max() > 0.01


def test_the_same_seed_is_the_same_draw_and_another_is_another() -> None:
    case, score = CASES["gap and noise"], score_of(PRIORS["coloured"])
    begin = BEGIN.expand(2, 1, TIME)

    def once(**which: int) -> Tensor:
        return draw_restoration(case.damage(2), score, begin, ladder(6), sampler="heun", **which)

    first = once(seed=1)
    assert torch.equal(first, once(seed=1))
    assert torch.equal(first, once(seed=1, draw=0))
    for other in (once(seed=2), once(seed=1, draw=1), once(seed=2, draw=1)):
        assert (other - first).abs().max() > 0.01
    # Items of a batch have noise of their own.
    assert (first[0] - first[1]).abs().max() > 0.01


def test_nothing_outside_is_changed_and_progress_is_told() -> None:
    case, told = CASES["gap"], list[tuple[int, int]]()
    begin = BEGIN.expand(2, 1, TIME).clone()
    damage = case.damage(2)
    state, before = torch.get_rng_state(), (begin.clone(), damage.y.clone())

    def tell(_: State, info: Info) -> None:
        told.append((info.done, info.total))

    draw_restoration(damage, score_of(PRIORS["white"]), begin, ladder(6, 1.0), seed=1, callback=tell)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(begin, before[0])
    assert torch.equal(damage.y, before[1])
    assert told == [(k, 6) for k in range(1, 7)]
