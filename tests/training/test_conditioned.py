"""WaveNets that are shown a separator's estimate: what they are given in training, when, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from audiofix.errors import ModelError, SettingError
from audiofix.hub import registry
from audiofix.hub.registry import export_model, load_prior
from audiofix.training import batches, wavenet_task
from audiofix.training.config import TrainConfig, read_config
from audiofix.training.degrade import Simulation, simulated_sources
from audiofix.training.tasks import make_task
from audiofix.training.trainer import Trainer, build_network, folders_of
from audiofix.training.wavenet_task import ConditionedWaveNetTask, WaveNetTask
from tests.conftest import tiny_card
from tests.hub.tiny import TINY, TINY_SHOWN, tiny_mixer, tiny_net

RATE = 16000
PLAIN = {"equalise": 0.0, "reverberate": 0.0, "codec": 0.0, "silent": 0.0, "crowd": 0.0}
GIVEN_LAYERS = ("middle_given.weight", "fast_given.weight", "given_filter.weight", "given_filter.bias")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """A low tone and high-passed noise."""
    time = np.arange(RATE) / RATE
    noise = np.diff(np.random.default_rng(0).standard_normal(RATE + 3), n=3)
    for name, wave in (("tone", 0.3 * np.sin(2 * np.pi * 400 * time)), ("hiss", 0.05 * noise)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "one.wav", wave, RATE)
    return str(tmp_path / "tone"), str(tmp_path / "hiss")


@pytest.fixture
def config(folders: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A prior of tone, shown what a tiny separator says of tone and hiss. It names the tone second."""
    monkeypatch.setattr(registry, "_packaged", list)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(tmp_path / "models"))
    card = tiny_card("tiny-separator", "separator", "hiss,tone")
    export_model(tiny_mixer(2), card, tmp_path / "models" / card.name)
    tone, hiss = folders
    return TrainConfig(
        "seeing", "tone", (tone,), (tone,), window=256, batch=4, compile=False, bf16=False, warmup_steps=2,
        sigma_min=0.1, simulation=PLAIN, shown="tiny-separator", mixed_train=(hiss,), mixed_valid=(hiss,),
        network=TINY.to_dict() | {"given": 2, "given_window": 8, "given_taps": 4},
    )  # fmt: skip


class Watches:
    """A net that knows nothing, and remembers what it was asked."""

    def __call__(self, x: Tensor, sigma: Tensor, given: Tensor) -> Tensor:
        self.x, self.sigma, self.given = x, sigma, given
        return torch.zeros(*x.shape, TINY.levels)


def loss(config: TrainConfig, net: Any) -> Tensor:
    """Of the first batch."""
    task = make_task(config)
    return task.loss(
        config, task.forward(net, False), folders_of(config, config.train), np.random.default_rng(0)
    )


def test_a_config_with_a_separator_has_a_task_and_a_network_of_its_own(config: TrainConfig) -> None:
    assert type(make_task(config)) is ConditionedWaveNetTask
    alone = replace(config, shown=None, mixed_train=(), mixed_valid=())
    assert type(make_task(alone)) is WaveNetTask
    assert build_network(config).config == TINY_SHOWN
    # What it is given need not be said.
    assert build_network(replace(config, network=TINY.to_dict() | {"given": 0})).config.given == 0
    sizes = {key: value for key, value in TINY.to_dict().items() if not key.startswith("given")}
    assert build_network(replace(config, network=sizes)).config.given == 2
    assert [f.files[0].path.parent.name for f in folders_of(config, config.train)] == ["tone", "hiss"]


def test_it_is_given_the_mixture_and_the_estimate_of_its_own_source(config: TrainConfig) -> None:
    watches = Watches()
    found = loss(replace(config, hide_share=0.0), watches)
    assert found.item() == pytest.approx(math.log2(TINY.levels), rel=1e-6)
    # The batch's generator draws the sources first.
    sources = simulated_sources(
        folders_of(config, config.train), 4, 256, Simulation(**PLAIN), np.random.default_rng(0)
    )
    mixture = sources.sum(dim=1)
    estimate = load_prior("tiny-separator").denoise(torch.zeros_like(sources), mixture, math.inf)
    assert torch.equal(watches.given, torch.stack([mixture, estimate[:, 1]], dim=1))
    assert not torch.allclose(estimate[:, 0], estimate[:, 1])
    # What is noisy is the source itself: the rest is white of variance sigma^2, known to 1 in sqrt(2 / 256).
    noise = (watches.x - sources[:, 0]) / watches.sigma[:, None]
    assert (noise.square().mean(dim=1) - 1).abs().max() < 5 * math.sqrt(2 / 256)
    assert 0.1 <= watches.sigma.min() <= watches.sigma.max() <= 1.0


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_items_is_shown_neither(config: TrainConfig, share: float) -> None:
    watches = Watches()
    loss(replace(config, hide_share=share, batch=100, window=32), watches)
    hidden = (watches.given == 0).all(dim=2)
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    # Binomial with 100 items: standard deviation 0.0433 at a quarter.
    assert hidden[:, 0].float().mean().item() == pytest.approx(share, abs=5 * 0.0433 * (0 < share < 1))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_is_hidden_teaches_nothing_about_it(config: TrainConfig, share: float) -> None:
    net = tiny_net(0, TINY_SHOWN)
    loss(replace(config, hide_share=share), net).backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    assert gradients["middle_in.weight"].abs().max() > 0
    for name in GIVEN_LAYERS:
        assert bool((gradients[name] == 0).all()) == (share == 1.0)


def test_steps_train_the_new_layers_too(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    state = trainer.net.state_dict()
    assert all((state[name] == 0).all() for name in GIVEN_LAYERS)
    # The head starts at zero: its gradient is first, what lies below it follows.
    assert all(math.isfinite(trainer.step()) for _ in range(3))
    assert all((state[name] != 0).any() for name in GIVEN_LAYERS)
    assert (trainer.average.state_dict()["fast_given.weight"] != 0).any()


def test_it_begins_as_the_prior_that_it_starts_from(config: TrainConfig, tmp_path: Path) -> None:
    trainer, before = Trainer(config, tmp_path / "run"), tiny_net(3)
    trainer.start_from(before, 0.25, 64.0)
    x, given = torch.randn(2, 3, 64, generator=torch.Generator().manual_seed(0)).split([1, 2], dim=1)
    sigma = torch.tensor([0.1, 0.5])
    for net in (trainer.net, trainer.average):
        assert torch.equal(net(x[:, 0], sigma, given), before.train()(x[:, 0], sigma))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short held-out clips."""
    for module, name, value in (
        (batches, "VALID_CLIPS", 2),
        (batches, "VALID_LENGTH", 512),
        (wavenet_task, "VALID_MIXTURES", 4),
        (wavenet_task, "MIXTURE_LENGTH", 2048),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("short")
def test_figures_on_held_out_clips_and_mixtures(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    figures = trainer.validate()
    assert figures == trainer.validate()
    assert all(parameter.requires_grad for parameter in trainer.average.parameters())
    for name in ("denoise_gain_db", "bits_per_sample", "given_gain_db"):
        assert list(figures[name]) == ["0.1", "0.3", "1"]
    with torch.no_grad():
        trainer.average.load_state_dict(tiny_net(0, TINY_SHOWN).state_dict())
        given = trainer.validate()
        for name in GIVEN_LAYERS:
            trainer.average.get_parameter(name).zero_()
        blind = trainer.validate()
    # Only the last figure is about what is given.
    assert given["given_gain_db"] != blind["given_gain_db"]
    assert {**given, "given_gain_db": None} == {**blind, "given_gain_db": None}


@pytest.mark.usefixtures("short")
def test_given_gain_is_that_of_what_is_given(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A separator that halves the mixture, and a prior that believes it."""

    class Halves:
        def denoise(self, x: Tensor, y: Tensor, _: float) -> Tensor:
            return (y[:, None] / 2).expand_as(x)

    class Believes:
        def __init__(self, *_: object) -> None: ...

        def score(self, x: Tensor, sigma: float, given: Tensor | None = None) -> Tensor:
            return ((0 * x if given is None else given[:, 1]) - x) / sigma**2

    monkeypatch.setattr(wavenet_task, "_separator", lambda _: (Halves(), [1]))
    monkeypatch.setattr(wavenet_task, "WaveNetPrior", Believes)
    task = make_task(config)
    found = task.validate(config, build_network(config), folders_of(config, config.valid))
    # The error is half the difference of two unlike sources, a quarter of the mixture's power: -17 - 6.02 dB.
    # Chance correlations of 2048 samples, 0.02, are 0.1 dB.
    for sigma, gain in found["given_gain_db"].items():
        assert gain == pytest.approx(20 * math.log10(float(sigma)) + 23.02, abs=0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"source": "drums"},
            r"tiny-separator \(separator\) knows hiss,tone; shown needs a separator of drums",
        ),
        ({"shown": "tiny-tone"}, r"tiny-tone \(wavenet\) knows tone; shown needs a separator of tone"),
        ({"mixed_train": ("a", "b"), "mixed_valid": ("a", "b")}, "as many others as there are folders"),
    ],
)
def test_a_separator_that_does_not_fit_is_refused(config: TrainConfig, change: dict, words: str) -> None:
    card = tiny_card("tiny-tone", "wavenet", "tone")
    export_model(tiny_net(), card, Path(config.train[0]).parent / "models" / card.name)
    config = replace(config, **change)
    with pytest.raises(SettingError, match=words):
        make_task(config).given(config, torch.zeros(1, 2, 64))  # type: ignore[attr-defined]


def test_a_separator_that_is_not_there_is_refused(config: TrainConfig) -> None:
    with pytest.raises(ModelError, match="there is no model 'nobody'"):
        loss(replace(config, shown="nobody"), Watches())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shown": "x"}, "shown names a separator for a wavenet, together with mixed_train"),
        ({"mixed_train": ("c",), "mixed_valid": ("d",)}, "shown names a separator"),
        (
            {"shown": "x", "mixed_train": ("c",), "mixed_valid": ("d",), "family": "score"},
            "shown names a separator for a wavenet",
        ),
        ({"shown": "x", "mixed_train": ("c",)}, "mixed_train and mixed_valid need as many folders"),
        ({"mixed_valid": ("d",)}, "mixed_train and mixed_valid need as many folders"),
        ({"shown": "x", "mixed_train": ("c", "e"), "mixed_valid": ("d",)}, "one for each other source"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(change: dict, words: str) -> None:
    good = TrainConfig("mine", "tone", ("a",), ("b",))
    with pytest.raises(SettingError, match=f"training config mine: .*{words}"):
        replace(good, **change)


def test_a_recipe_names_separator_and_folders(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nsource = "tone"\ntrain = ["a"]\nvalid = ["b"]\nshown = "tiny-separator"\n'
        'mixed_train = ["c"]\nmixed_valid = ["d"]\nhide_share = 0.3\n'
    )
    config = read_config(file)
    assert (config.shown, config.hide_share) == ("tiny-separator", 0.3)
    assert (config.mixed_train, config.mixed_valid) == (("c",), ("d",))
