from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from audiofix.errors import DeviceError, ModelError, OutputError
from audiofix.hub.card import read_card
from audiofix.hub.registry import export_model, load_prior
from audiofix.priors.base import Prior
from audiofix.priors.wavenet import WaveNetPrior
from tests.hub.tiny import tiny_net


def half(net):
    """The network as it comes back: matrices rounded to float16."""
    rounded = {k: v.half().float() if v.ndim > 1 else v for k, v in net.state_dict().items()}
    net.load_state_dict(rounded)
    return net


@pytest.fixture
def x(generator):
    return 0.1 * torch.randn(2, 53, generator=generator)


def test_a_conditioned_model_gives_the_score_of_its_network(conditioned, x):
    prior = load_prior(conditioned / "tiny")
    assert isinstance(prior, Prior)
    expected = WaveNetPrior({1.0: half(tiny_net())}, 16000, (1.0, 0.001))
    for sigma in (1.0, 0.03, 0.001):
        score = prior.score(x, sigma)
        assert score.isfinite().all()
        assert torch.equal(score, expected.score(x, sigma))


@pytest.mark.parametrize(("units", "levels"), [("amplitude", None), ("quantiser-steps", 100)])
def test_a_model_of_one_network_per_level_asks_the_right_one(card, tmp_path, x, units, levels):
    sigmas = (0.5, 0.05, 0.005)
    nets = {sigma: tiny_net(seed) for seed, sigma in enumerate(sigmas)}
    card = replace(card, sigmas=sigmas, sigma_units=units, levels=levels)
    written = export_model(nets, card, tmp_path / "ladder")
    assert written.conditioning == "per-level"
    assert len(written.files) == 3
    assert read_card(tmp_path / "ladder").files == written.files
    prior = load_prior(tmp_path / "ladder")
    assert isinstance(prior, Prior)
    assert prior.sigmas == pytest.approx(sigmas)
    for sigma, net in nets.items():
        expected = WaveNetPrior({sigma: half(net)}, 16000, sigmas)
        torch.testing.assert_close(prior.score(x, sigma), expected.score(x, sigma))


def test_loading_leaves_the_global_generator_alone(conditioned):
    before = torch.random.get_rng_state()
    load_prior(conditioned / "tiny")
    assert torch.equal(before, torch.random.get_rng_state())


def test_export_leaves_nothing_beside_the_model(conditioned):
    assert [p.name for p in conditioned.iterdir()] == ["tiny"]
    assert sorted(p.name for p in (conditioned / "tiny").iterdir()) == ["card.toml", "weights.safetensors"]


def test_export_replaces_a_model_only_when_told(conditioned, card):
    home = conditioned / "tiny"
    with pytest.raises(
        OutputError, match="exists already; choose another folder, or replace it with --overwrite"
    ):
        export_model(tiny_net(1), card, home)
    old = read_card(home)
    export_model(tiny_net(1), card, home, overwrite=True)
    assert read_card(home).files != old.files
    assert [p.name for p in conditioned.iterdir()] == ["tiny"]


def test_export_never_replaces_what_is_no_model(conditioned, card):
    (conditioned / "tiny" / "diary.txt").touch()
    with pytest.raises(OutputError, match=r"diary\.txt"):
        export_model(tiny_net(), card, conditioned / "tiny", overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        export_model(tiny_net(), card, conditioned / "tiny" / "diary.txt", overwrite=True)


def test_a_failed_export_leaves_the_old_model_whole(conditioned, card):
    home = conditioned / "tiny"
    before = {p.name: p.read_bytes() for p in home.iterdir()}
    net = tiny_net(1)
    with torch.no_grad():
        net.hidden.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"hidden\.weight"):
        export_model(net, card, home, overwrite=True)
    assert {p.name: p.read_bytes() for p in home.iterdir()} == before
    assert [p.name for p in conditioned.iterdir()] == ["tiny"]


def test_export_refuses_networks_for_other_levels(card, tmp_path):
    with pytest.raises(ModelError, match="sigmas: expected networks for"):
        export_model({0.5: tiny_net()}, card, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("new", ["levels = 16\nlayers = 3", 'levels = "many"', "levels = 0"])
def test_sizes_that_make_no_network(conditioned, edit_card, new):
    edit_card("levels = 16", new)
    with pytest.raises(ModelError, match=r"card\.toml: network: expected sizes of a wavenet network, got"):
        load_prior(conditioned / "tiny")


def test_a_device_that_is_not_there(conditioned):
    for device in ("cuda:77", "abacus"):
        with pytest.raises(DeviceError, match=f"tiny cannot be put on device {device}"):
            load_prior(conditioned / "tiny", device)
