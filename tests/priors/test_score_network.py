"""Preconditioned denoisers: exact for white Gaussian sources without their network, consistent with any."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.posterior import amortised_score
from audiofix.priors.base import Posterior, Prior
from audiofix.priors.score_network import (
    NOTHING_KNOWN,
    MixturePosterior,
    ScorePrior,
    denoise_alone,
    denoise_jointly,
)
from tests.hub.tiny import TINY_MIXER, tiny_mixer

DATA = TINY_MIXER.sigma_data
SIGMAS = (0.003, 0.1, 0.5, 4.0)
# Float64 round-off, 1e-16, in systems of a few equations with condition numbers up to some (0.1 / 0.003)^2.
EXACT = 1e-12


class Stub:
    """Answers zero, or `answer` of what it is given; remembers what that was."""

    config = TINY_MIXER

    def __init__(self, sources: int, answer: object = None) -> None:
        self.sources, self.answer = sources, answer

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x, self.sigma = x, sigma
        if self.answer is not None:
            return self.answer(x, sigma)  # type: ignore[operator,no-any-return]
        return x.new_zeros(len(x), self.sources, x.shape[2])


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def levels(*sigmas: float) -> Tensor:
    return torch.tensor(sigmas, dtype=torch.float64)


def conditioned(sources: int, sigma: float, shown: bool) -> Tensor:
    """Matrix from (noisy sources, their clean sum) to the mean of the clean ones, by Gaussian conditioning.

    One sample of time: sources white, independent, of variance DATA^2; what is not known is left out.
    """
    identity, ones = torch.eye(sources, dtype=torch.float64), torch.ones(1, sources, dtype=torch.float64)
    reads = torch.cat([identity, ones])
    spoilt = torch.diag(levels(*[sigma**2] * sources, 0)).nan_to_num(posinf=0)  # infinite ones are left out
    used = [i for i in range(sources) if math.isfinite(sigma)] + [sources] * shown
    gain = torch.zeros(sources, sources + 1, dtype=torch.float64)
    if used:
        covariance = DATA**2 * reads @ reads.T + spoilt
        gain[:, used] = torch.linalg.solve(covariance[used][:, used], DATA**2 * reads[used]).T
    return gain


def test_alone_without_network_is_the_mean_of_a_white_gaussian() -> None:
    x, sigma = noise(4, 1, 30), levels(*SIGMAS)
    denoised = denoise_alone(Stub(1), x, sigma)
    for item, level in enumerate(SIGMAS):
        gain = DATA**2 / (DATA**2 + level**2)
        assert (denoised[item] - gain * x[item]).abs().max() < EXACT
        # The first column conditions on the noisy source alone: of one source there is no sum to see.
        assert conditioned(1, level, shown=False)[0, 0].item() == pytest.approx(gain, rel=EXACT)


@pytest.mark.parametrize("sources", [2, 3])
def test_jointly_without_network_is_the_mean_given_noisy_sources_and_sum(sources: int) -> None:
    """All in one batch: every item has a level of its own, up to "nothing known", and sees the sum or not."""
    cases = [(sigma, shown) for sigma in (*SIGMAS, math.inf) for shown in (True, False)]
    sigma, shown = levels(*(s for s, _ in cases)), levels(*(float(seen) for _, seen in cases))
    x, y = noise(len(cases), sources, 20), noise(len(cases), 20, seed=1)
    denoised = denoise_jointly(Stub(sources), x, y, sigma, shown)
    for item, (level, seen) in enumerate(cases):
        given = torch.cat([x[item], y[item : item + 1]])
        expected = conditioned(sources, level, seen) @ given
        assert (denoised[item] - expected).abs().max() < EXACT, (level, seen)
    told = denoise_jointly(Stub(sources), x, y, sigma)
    for item, (level, _) in enumerate(cases):
        expected = conditioned(sources, level, True) @ torch.cat([x[item], y[item : item + 1]])
        assert (told[item] - expected).abs().max() < EXACT, level


def test_the_reference_is_not_blind() -> None:
    """The means of the cases above differ by far more than the tolerance."""
    for sigma in SIGMAS:
        seen, unseen = (conditioned(2, sigma, shown) for shown in (True, False))
        assert (seen - unseen).abs().max() > 1e-4
    assert conditioned(2, math.inf, True).tolist() == [[0, 0, 0.5], [0, 0, 0.5]]


@pytest.mark.parametrize("sources", [2, 3])
def test_sources_add_up_where_the_sum_is_shown_whatever_the_network_says(sources: int) -> None:
    stub = Stub(sources, lambda x, _: noise(len(x), sources, x.shape[2], seed=2, scale=5))
    sigma = levels(*SIGMAS, math.inf)
    x, y = noise(5, sources, 40), noise(5, 40, seed=1)
    assert (denoise_jointly(stub, x, y, sigma).sum(dim=1) - y).abs().max() < EXACT
    hidden = denoise_jointly(stub, x, y, sigma, torch.zeros(5).double())
    assert ((hidden.sum(dim=1) - y).abs().amax(dim=1) > 0.01).all()
    net = tiny_mixer(sources).double()
    with torch.no_grad():
        found = denoise_jointly(net, x, y, sigma)
        assert (found.sum(dim=1) - y).abs().max() < EXACT
        assert ((found - denoise_jointly(Stub(sources), x, y, sigma)).abs().amax(dim=(1, 2)) > 1e-4).all()


@pytest.mark.parametrize("shown", [1.0, 0.0])
def test_the_network_adds_its_answer_at_the_scale_of_what_is_not_known(shown: float) -> None:
    """Karras' c_out: sigma DATA / sqrt(sigma^2 + DATA^2), the standard deviation that the Gaussian mean leaves."""
    answer, sigma = noise(5, 2, 40, seed=2), levels(*SIGMAS, math.inf)
    x, y = noise(5, 2, 40), noise(5, 40, seed=1)
    given = (x, y, sigma, torch.full((5,), shown).double())
    added = denoise_jointly(Stub(2, lambda *_: answer), *given) - denoise_jointly(Stub(2), *given)
    left = answer - shown * answer.mean(dim=1, keepdim=True)
    alone = denoise_alone(Stub(1, lambda *_: answer[:, :1]), x[:, :1], sigma.nan_to_num(posinf=1))
    alone = alone - denoise_alone(Stub(1), x[:, :1], sigma.nan_to_num(posinf=1))
    for item, level in enumerate(SIGMAS):
        scale = level * DATA / (level**2 + DATA**2) ** 0.5
        assert (added[item] - scale * left[item]).abs().max() < EXACT
        assert (alone[item] - scale * answer[item, :1]).abs().max() < EXACT
    # Nothing known: the level is NOTHING_KNOWN in place of infinity.
    assert (added[4] - DATA * left[4]).abs().max() < 10 * DATA * (DATA / NOTHING_KNOWN) ** 2


def test_what_the_noisy_sources_say_about_a_known_sum_does_not_matter() -> None:
    net, sigma = tiny_mixer(2).double(), levels(0.1, 0.1)
    x, y, more = noise(2, 2, 50), noise(2, 50, seed=1), noise(2, 1, 50, seed=2)
    with torch.no_grad():
        for shown, changed in ((torch.ones(2).double(), False), (torch.zeros(2).double(), True)):
            move = denoise_jointly(net, x + more, y, sigma, shown) - denoise_jointly(net, x, y, sigma, shown)
            # Known: equal up to rounding before the network, whose float32 numbers may round over a tie: 1e-7 of
            # numbers below 10 times DATA.
            assert (move.abs().max() > 1e-3) == changed
            assert changed or move.abs().max() < 1e-6
        # Moving one source alone tells something in any case.
        one = x + torch.cat([more, 0 * more], dim=1)
        assert (denoise_jointly(net, one, y, sigma) - denoise_jointly(net, x, y, sigma)).abs().max() > 1e-3


def test_what_is_not_known_is_not_looked_at() -> None:
    net, x, y = tiny_mixer(2).double(), noise(1, 2, 50), noise(1, 50, seed=1)
    nothing = torch.full_like(x, math.nan)
    blind, hidden = levels(math.inf), torch.zeros(1).double()
    with torch.no_grad():
        assert torch.equal(denoise_jointly(net, nothing, y, blind), denoise_jointly(net, x, y, blind))
        unseen = denoise_jointly(net, x, 100 * y, levels(0.1), hidden)
        assert torch.equal(unseen, denoise_jointly(net, x, y, levels(0.1), hidden))


def test_the_network_sees_unit_scale_and_is_told_what_is_missing() -> None:
    """White Gaussian sources of standard deviation DATA, the noise as it is said to be."""
    count, sigma = 40_000, levels(0.02, 0.3, math.inf, 0.3)
    shown = levels(1, 1, 1, 0)
    clean = noise(4, 2, count, scale=DATA)
    finite = sigma.nan_to_num(posinf=1)
    x, y = clean + finite[:, None, None] * noise(4, 2, count, seed=1), clean.sum(dim=1)
    stub = Stub(2)
    denoise_jointly(stub, x, y, sigma, shown)
    assert stub.sigma.tolist() == [0.02, 0.3, NOTHING_KNOWN, 0.3]
    # Of two sources half the variance is in their sum, which is taken out where it is known; y holds both.
    expected = [[2, 0.5, 0.5], [2, 0.5, 0.5], [2, 0, 0], [0, 1, 1]]
    # A mean square over n samples is known to sqrt(2 / n) of itself; 5 of these.
    wide = 5 * math.sqrt(2 / count)
    for item in range(4):
        assert stub.x[item].square().mean(dim=1).tolist() == pytest.approx(expected[item], rel=wide)
    denoise_alone(stub, x[:, :1], finite)
    assert torch.equal(stub.sigma, finite)
    assert stub.x.square().mean(dim=2)[[0, 1, 3]].flatten().tolist() == pytest.approx([1] * 3, rel=wide)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_score_is_where_the_denoiser_points(sigma: float) -> None:
    net = tiny_mixer().double()
    prior, x = ScorePrior(net, 16000, SIGMAS[::-1]), noise(2, 100)
    denoised = denoise_alone(net, x[:, None], levels(sigma, sigma))[:, 0]
    assert torch.equal(prior.denoise(x, sigma), denoised)
    assert torch.allclose(prior.score(x, sigma), (denoised - x) / sigma**2, rtol=EXACT, atol=0)
    assert torch.allclose(amortised_score(prior.denoise)(x, sigma), prior.score(x, sigma), rtol=EXACT)
    # The network has its say: the score is not the Gaussian one.
    assert (prior.score(x, sigma) + x / (sigma**2 + DATA**2)).abs().max() > 1e-3


def test_posterior_denoises_jointly_and_without_a_state() -> None:
    net = tiny_mixer(2).double()
    posterior, x, y = MixturePosterior(net, 16000, (1.0, 0.01)), noise(2, 2, 100), noise(2, 100, seed=1)
    for sigma in (0.1, math.inf):
        with torch.no_grad():
            expected = denoise_jointly(net, x, y, levels(sigma, sigma))
        assert torch.equal(posterior.denoise(x, y, sigma), expected)
    assert posterior.sources == 2


@pytest.mark.parametrize("make", [ScorePrior, MixturePosterior])
def test_what_they_say_about_themselves(make: type) -> None:
    sources = {"inputs": 3, "outputs": 2, "recorded": 1} if make is MixturePosterior else {}
    net = TimeFrequencyMixer(replace(TINY_MIXER, patch=3, **sources)).train()
    assert net.receptive_field % net.grid != 0
    prior = make(net, 8000, (1.0, 0.01))
    assert isinstance(prior, Posterior if make is MixturePosterior else Prior)
    assert (prior.sample_rate, prior.sigmas, prior.grid) == (8000, (1.0, 0.01), net.grid)
    assert 0 <= prior.halo - net.receptive_field < prior.grid
    assert prior.halo % prior.grid == 0
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_bf16_is_near_and_not_the_same() -> None:
    x = noise(1, 200).float()
    exact, rough = (
        ScorePrior(tiny_mixer(), 16000, (1.0, 0.01), bf16).denoise(x, 0.1) for bf16 in (False, True)
    )
    assert rough.dtype == torch.float32
    # Eight bits in a network of a few layers: some percent of its share, which is of the order of DATA.
    assert 0 < (rough - exact).abs().max() < 0.5 * DATA
