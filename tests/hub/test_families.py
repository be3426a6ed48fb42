"""Every family goes to disk and comes back: exported, found, verified, loaded with the weights written."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from audiofix.errors import ModelError
from audiofix.hub import registry
from audiofix.hub.card import read_card
from audiofix.hub.registry import (
    FAMILIES,
    export_model,
    find_model,
    list_models,
    load_prior,
    models_for_source,
    verify,
)
from audiofix.hub.weights import SHORT
from audiofix.nets.envelope import EnvelopeNet
from audiofix.numerics.fills import USUAL, Fills
from audiofix.priors.base import Posterior, Prior
from audiofix.priors.envelope import Envelope
from audiofix.priors.inpainting import Inpainter
from audiofix.priors.score_network import MixturePosterior, ScorePrior
from audiofix.priors.upsampling import Upsampler
from audiofix.priors.wavenet import WaveNetPrior
from tests.hub.tiny import TINY_ENVELOPE, tiny_envelope, tiny_mixer, tiny_net, tiny_restorer

PER_LEVEL = {"pnf-wavenet"}  # tests/hub/test_import_pnf.py
NO_LEVELS = {"envelope"}

SOURCES = {
    "wavenet": "speech", "score": "speech", "separator": "speech,piano", "inpainter": "speech",
    "upsampler": "speech", "envelope": "speech",
}  # fmt: skip
NETS = {
    "wavenet": tiny_net, "score": tiny_mixer, "separator": lambda: tiny_mixer(2),
    "inpainter": lambda: tiny_restorer(2), "upsampler": lambda: tiny_restorer(1),
    "envelope": tiny_envelope,
}  # fmt: skip
KINDS = {
    "wavenet": WaveNetPrior, "score": ScorePrior, "separator": MixturePosterior, "inpainter": Inpainter,
    "upsampler": Upsampler, "envelope": Envelope,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_packaged(monkeypatch):
    monkeypatch.setattr(registry, "_packaged", list)


@pytest.fixture
def export(card, tmp_path):
    """Write a model of a family, named as the family, to a folder of models; returns that folder."""

    def write(family, net=None, **changes):
        sigmas = () if family in NO_LEVELS else card.sigmas
        stated = {"name": family, "family": family, "source": SOURCES[family], "sigmas": sigmas, **changes}
        written = replace(card, **stated)
        export_model(NETS[family]() if net is None else net, written, tmp_path / "models" / family)
        return tmp_path / "models"

    return write


def stored(net):
    """The network as it is on disk: matrices and long vectors in float16, short vectors in float32."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1 or len(parameter) > SHORT:
                parameter.copy_(parameter.half())
    return net


def test_every_family_is_tested_here():
    assert set(SOURCES) == set(NETS) == set(KINDS) == set(FAMILIES) - PER_LEVEL


@pytest.mark.parametrize("family", SOURCES)
def test_what_is_written_is_what_comes_back(export, family):
    folder = export(family)
    card, home = find_model(family, folder)
    assert verify(card, home) == []
    conditioning = "none" if family in NO_LEVELS else "sigma"
    assert (card.family, card.source, card.conditioning) == (family, SOURCES[family], conditioning)
    prior = load_prior(family, folder=folder)
    assert type(prior) is KINDS[family]
    assert prior.sample_rate == 16000
    if family in NO_LEVELS:
        assert card.sigmas == ()
    else:
        assert isinstance(prior, Prior if family in ("wavenet", "score") else Posterior)
        assert prior.sigmas == (1.0, 0.001)
    loaded = prior.nets[1.0] if family == "wavenet" else prior.net
    expected = stored(NETS[family]())
    assert loaded.config == expected.config
    assert loaded.config.to_dict() == card.network
    for name, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize("family", ["score", "separator", "inpainter", "upsampler"])
def test_a_loaded_mixer_gives_the_numbers_of_the_one_written(export, family):
    prior, net = load_prior(family, folder=export(family)), stored(NETS[family]())
    same = type(prior)(net, 16000, (1.0, 0.001))
    x = 0.1 * torch.randn(1, 2, 300, generator=torch.Generator().manual_seed(0))
    if family == "score":
        assert torch.equal(prior.score(x[0], 0.1), same.score(x[0], 0.1))
        return
    y = x[:, 0]
    if family == "inpainter":
        y = torch.stack([x[0, 0], x[0, 1], (torch.arange(300) % 50 < 20).float()])[None]
    if family != "separator":
        x = x[:, 1:]
    for sigma in (0.1, math.inf):
        found = prior.denoise(x, y, sigma)
        assert found.shape == x.shape
        assert torch.equal(found, same.denoise(x, y, sigma))
        # Other weights say something else.
        with torch.no_grad():
            other = type(prior)(NETS[family]().requires_grad_(False), 16000, (1.0, 0.001))
            other.net.leave[0].mul_(2)
        assert not torch.equal(found, other.denoise(x, y, sigma))


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, USUAL),
        ({"fill_orders": (60, 24)}, Fills((60, 24))),
        ({"fill_orders": (60, 24), "fill_kind": "uneven"}, Fills((60, 24), "uneven")),
        ({"fill_kind": "even"}, USUAL),
    ],
)
def test_a_loaded_inpainter_is_shown_the_fills_of_its_card(export, stated, expected):
    assert load_prior("inpainter", folder=export("inpainter", **stated)).fills == expected


def test_a_loaded_envelope_gives_the_numbers_of_the_one_written(export):
    found, net = load_prior("envelope", folder=export("envelope")), stored(tiny_envelope())
    x = 0.1 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    expected = Envelope(net, 16000)
    assert torch.equal(found.levels(x, 3000.0), expected.levels(x, 3000.0))
    assert torch.equal(found.shape(x, 3000.0), expected.shape(x, 3000.0))
    other = Envelope(tiny_envelope(1), 16000)
    assert not torch.equal(found.shape(x, 3000.0), other.shape(x, 3000.0))


@pytest.mark.parametrize("trusted", [None, 0.0, 7.0])
def test_a_loaded_envelope_trusts_what_its_card_says(export, trusted):
    folder = export("envelope", trusted_rise_db=trusted)
    assert load_prior("envelope", folder=folder).trusted_rise_db == trusted


@pytest.mark.parametrize("eased", [None, 0.0, 4.5])
def test_a_loaded_envelope_eases_as_its_card_says(export, eased):
    folder = export("envelope", eased_db=eased)
    assert load_prior("envelope", folder=folder).eased_db == (eased or 0.0)


def test_an_envelope_has_no_noise_levels_and_others_have(export, card, tmp_path):
    wrong = tmp_path / "wrong"
    envelope = replace(card, family="envelope")
    for net, sigmas, conditioning in (
        (tiny_envelope(), (1.0, 0.001), "sigma"),
        ({1.0: tiny_envelope(), 0.001: tiny_envelope()}, (1.0, 0.001), "per-level"),
    ):
        words = f"conditioning: expected none for the family envelope, got {conditioning}"
        with pytest.raises(ModelError, match=words):
            export_model(net, replace(envelope, sigmas=sigmas), wrong)
    for family, expected in (
        *((family, "sigma") for family in ("score", "separator", "inpainter", "upsampler")),
        ("wavenet", "sigma or per-level"),
    ):
        words = f"conditioning: expected {expected} for the family {family}, got none"
        with pytest.raises(ModelError, match=words):
            export_model(
                NETS[family](), replace(card, family=family, source=SOURCES[family], sigmas=()), wrong
            )
    assert not wrong.exists()
    # A card that was edited is refused in the same words.
    file = export("envelope") / "envelope" / "card.toml"
    text = file.read_text()
    assert "sigmas" not in text
    sigmas = 'sigmas = [1.0, 0.001]\nconditioning = "sigma"'
    file.write_text(text.replace('conditioning = "none"', sigmas))
    assert read_card(file).sigmas == (1.0, 0.001)
    with pytest.raises(ModelError, match=r"card\.toml: conditioning: expected none for the family envelope"):
        load_prior(file.parent)


def test_an_envelope_tells_of_one_source_by_a_network_of_its_own_sizes(card, tmp_path):
    envelope = replace(card, family="envelope", sigmas=())
    for changes, net, words in (
        ({"source": "speech,piano"}, tiny_envelope(), "source: expected one name, got 'speech,piano'"),
        ({}, tiny_mixer(), "network: expected sizes of a envelope network, got"),
        (
            {"family": "score", "sigmas": card.sigmas},
            tiny_envelope(),
            "network: expected sizes of a score network",
        ),
        ({}, EnvelopeNet(replace(TINY_ENVELOPE, inputs=383)), r"network\.inputs: expected 384, got 383"),
        ({}, EnvelopeNet(replace(TINY_ENVELOPE, bands=64)), r"network\.bands: expected 128, got 64"),
    ):
        with pytest.raises(ModelError, match=words):
            export_model(net, replace(envelope, **changes), tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("family", SOURCES)
def test_damaged_weights_are_found(export, family):
    card, home = find_model(family, export(family))
    weights = home / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    assert "sha256: expected" in verify(card, home)[0]


@pytest.mark.parametrize("source", ["speech", "speech,piano,drums"])
def test_a_separator_names_each_of_its_sources(export, card, tmp_path, source):
    with pytest.raises(ModelError, match=f"source: expected 2 names with commas, got '{source}'"):
        export_model(tiny_mixer(2), replace(card, family="separator", source=source), tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
    file = export("separator") / "separator" / "card.toml"
    file.write_text(file.read_text().replace('"speech,piano"', f'"{source}"'))
    with pytest.raises(ModelError, match=r"card\.toml: source: expected 2 names with commas"):
        load_prior(file.parent)


def test_a_family_refuses_another_ones_network(card, tmp_path):
    for family, net, words in (
        ("score", tiny_mixer(2), r"network\.recorded: expected 0 for the family score, got 1"),
        ("separator", tiny_mixer(), r"network\.recorded: expected 1 for the family separator, got 0"),
        ("score", tiny_net(), "network: expected sizes of a score network"),
        ("wavenet", tiny_mixer(), "network: expected sizes of a wavenet network"),
        ("inpainter", tiny_restorer(1), r"network\.recorded: expected 2 for the family inpainter, got 1"),
        ("inpainter", tiny_mixer(), r"network\.recorded: expected 2 for the family inpainter, got 0"),
        ("upsampler", tiny_restorer(2), r"network\.recorded: expected 1 for the family upsampler, got 2"),
        ("upsampler", tiny_mixer(), r"network\.recorded: expected 1 for the family upsampler, got 0"),
        ("upsampler", tiny_mixer(2), "source: expected 2 names with commas, got 'speech'"),
    ):
        written = replace(card, family=family, source=SOURCES[family])
        with pytest.raises(ModelError, match=words):
            export_model(net, written, tmp_path / "wrong")
        assert not (tmp_path / "wrong").exists()
    for family in ("score", "inpainter", "upsampler"):
        with pytest.raises(ModelError, match="source: expected one name, got 'speech,piano'"):
            export_model(
                NETS[family](), replace(card, family=family, source="speech,piano"), tmp_path / "wrong"
            )


@pytest.mark.parametrize("family", ["score", "inpainter", "upsampler"])
def test_mixers_know_no_networks_for_single_levels(card, tmp_path, family):
    nets = {1.0: NETS[family](), 0.001: NETS[family]()}
    words = f"conditioning: expected sigma for the family {family}, got per-level"
    with pytest.raises(ModelError, match=words):
        export_model(nets, replace(card, family=family), tmp_path / "wrong")


@pytest.mark.parametrize("change", ["features = 8\ndepth = 3", 'features = "many"', "features = -1"])
def test_sizes_that_make_no_mixer(export, change):
    file = export("score") / "score" / "card.toml"
    file.write_text(file.read_text().replace("\nfeatures = 8", f"\n{change}"))
    with pytest.raises(ModelError, match=r"card\.toml: network: expected sizes of a score network, got"):
        load_prior(file.parent)


def test_sizes_of_other_weights(export):
    file = export("score") / "score" / "card.toml"
    text = file.read_text()
    assert "hidden = 8" in text
    file.write_text(text.replace("hidden = 8", "hidden = 12", 1))
    with pytest.raises(ModelError, match="tensors: expected those of the card's network"):
        load_prior(file.parent)


def test_a_separator_is_nobodys_prior(export):
    folder = export("separator")
    export("score")
    assert [card.name for card in list_models(folder)] == ["score", "separator"]
    assert [card.name for card in models_for_source("speech", folder)] == ["score"]
    with pytest.raises(ModelError, match=r"there is no prior of 'piano'; there are priors of speech$"):
        models_for_source("piano", folder)
