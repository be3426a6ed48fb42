"""Score networks and separators: what they are trained for, that they learn, and resume as if never stopped."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from audiofix.errors import ModelError, SettingError
from audiofix.priors.score_network import NOTHING_KNOWN
from audiofix.training import batches, optimizers, score_task, tasks, wavenet_task
from audiofix.training.config import TrainConfig, read_config
from audiofix.training.objectives import denoising_error, posterior_error
from audiofix.training.optimizers import MuonAndAdamW, make_optimizer
from audiofix.training.tasks import TASKS
from audiofix.training.trainer import Trainer, build_network, folders_of
from tests.hub.tiny import TINY_MIXER, tiny_mixer

RATE = 16000
SIZES = {k: v for k, v in TINY_MIXER.to_dict().items() if k not in ("inputs", "outputs", "recorded")}
PLAIN = {"equalise": 0.0, "reverberate": 0.0, "codec": 0.0, "silent": 0.0, "crowd": 0.0}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """A low tone and high-passed noise: a filter tells them apart."""
    time = np.arange(RATE) / RATE
    noise = np.diff(np.random.default_rng(0).standard_normal(RATE + 3), n=3)
    for name, wave in (("tone", 0.3 * np.sin(2 * np.pi * 400 * time)), ("hiss", 0.05 * noise)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "one.wav", wave, RATE)
    return str(tmp_path / "tone"), str(tmp_path / "hiss")


@pytest.fixture
def score(folders: tuple[str, str]) -> TrainConfig:
    return TrainConfig(
        "tone", "tone", folders[:1], folders[:1], family="score", sigma_min=0.01, window=512, batch=8,
        compile=False, bf16=False, warmup_steps=5, learning_rate=5e-3, network=SIZES,
    )  # fmt: skip


@pytest.fixture
def separator(score: TrainConfig, folders: tuple[str, str]) -> TrainConfig:
    return replace(
        score, source="tone,hiss", train=folders, valid=folders, family="separator", simulation=PLAIN
    )


@pytest.fixture
def config(request: pytest.FixtureRequest) -> TrainConfig:
    chosen: TrainConfig = request.getfixturevalue(request.param)
    return chosen


FAMILIES = pytest.mark.parametrize("config", ["score", "separator"], indirect=True)


@pytest.fixture
def narrow_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks have no matrix as wide as Muon wants."""
    monkeypatch.setattr(optimizers, "LEAST_SIDE", 8)


@FAMILIES
def test_it_learns(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")

    def loss() -> float:
        """On batches that training never draws, the same each time."""
        with torch.no_grad():
            values = [
                trainer.task.loss(config, trainer.forward, trainer.valid, np.random.default_rng([9, i]))
                for i in range(4)
            ]
        return float(torch.stack(values).mean())

    before = loss()
    for _ in range(60):
        trainer.step()
    if config.family == "score":
        # A net that answers zero is the Gaussian denoiser, 1 where sources have its variance. A tone lives in two
        # bins of 32: the rest of the noise can go.
        assert loss() < 0.5 * before
    else:
        # Log10 of the error: where the bins tell the sources apart, a first half of the error is quickly won.
        assert loss() < before - math.log10(2)


@FAMILIES
@pytest.mark.usefixtures("narrow_muon")
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_equals_uninterrupted(config: TrainConfig, tmp_path: Path, optimizer: str) -> None:
    config = replace(config, optimizer=optimizer, simulation=config.simulation and {"codec": 0.5})
    whole = Trainer(config, tmp_path / "whole")
    losses = [whole.step() for _ in range(5)]
    first = Trainer(config, tmp_path / "parts")
    again = [first.step() for _ in range(2)]
    first.save()
    second = Trainer(config, tmp_path / "parts")
    assert second.resume()
    again += [second.step() for _ in range(3)]
    assert again == losses
    for mine, other in ((whole.net, second.net), (whole.average, second.average)):
        for one, two in zip(mine.parameters(), other.parameters(), strict=True):
            assert torch.equal(one, two)


@pytest.mark.usefixtures("narrow_muon")
def test_a_checkpoint_of_another_optimizer_is_refused(score: TrainConfig, tmp_path: Path) -> None:
    first = Trainer(score, tmp_path / "run")
    first.save()
    with pytest.raises(ModelError, match="does not fit this config"):
        Trainer(replace(score, optimizer="muon"), tmp_path / "run").resume()


@FAMILIES
def test_figures_on_held_out_clips(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("VALID_CLIPS", 2), ("VALID_LENGTH", 512), ("VALID_MIXTURES", 3), ("MIXTURE_LENGTH", 512)
    ):  # fmt: skip
        for module in (tasks, batches, score_task, wavenet_task):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    trainer = Trainer(config, tmp_path / "run")
    figures = trainer.validate()
    assert figures == trainer.validate()
    # What was put to sleep for scoring trains on.
    assert all(parameter.requires_grad for parameter in trainer.average.parameters())
    trainer.step()
    if config.family == "score":
        assert list(figures["denoise_gain_db"]) == ["0.01", "0.03", "0.1", "0.3", "1"]
        # A net that answers zero shrinks by what a Gaussian of RMS 0.1 would be: 10 log10(1 + (sigma / 0.1)^2).
        for sigma, gain in figures["denoise_gain_db"].items():
            assert gain == pytest.approx(10 * math.log10(1 + (float(sigma) / 0.1) ** 2), abs=1)
    else:
        assert list(figures["si_sdr_db"]) == ["inf", "0.3", "0.1"]
        assert figures["mean_si_sdr_db"] == figures["si_sdr_db"]["inf"]
        # Half the mixture is what a net that answers zero gives: at 0 dB the other source is the error.
        assert figures["si_sdr_db"]["inf"] == pytest.approx(0, abs=0.5)
        # A net that answers zero makes a s1 + b s2 + c n of sources of RMS 0.1, with a - b = c, a + b = 1 and
        # c = 1 / (1 + (sigma / 0.1)^2), n the half difference of the noises: a^2 over b^2 + c^2 sigma^2 / 0.02.
        # Chance correlations of 512 samples, 0.04, move it by some tenths.
        for sigma in (0.3, 0.1):
            c = 1 / (1 + (sigma / 0.1) ** 2)
            ratio = ((1 + c) / 2) ** 2 / (((1 - c) / 2) ** 2 + c**2 * sigma**2 / 0.02)
            assert figures["si_sdr_db"][f"{sigma:g}"] == pytest.approx(10 * math.log10(ratio), abs=0.6)


def test_a_separator_has_a_folder_for_each_source(separator: TrainConfig, score: TrainConfig) -> None:
    tone, hiss = folders_of(separator, separator.train)
    assert [len(tone.files), len(hiss.files)] == [1, 1]
    assert tone.files[0].path.parent.name == "tone"
    (both,) = folders_of(score, separator.train)
    assert len(both.files) == 2


@pytest.mark.parametrize(("blind", "hide"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.6, 0.25)])
def test_shares_of_items_see_the_mixture_alone_or_not_at_all(
    separator: TrainConfig, blind: float, hide: float
) -> None:
    config = replace(separator, blind_share=blind, hide_share=hide, batch=200, window=16)
    silent = Silent()
    TASKS["separator"]().loss(config, silent, folders_of(config, config.train), np.random.default_rng(0))
    nothing = silent.sigma == NOTHING_KNOWN
    unseen = (silent.x[:, 0] == 0).all(dim=1)
    assert not (nothing & unseen).any()
    assert (silent.x[nothing, 1:] == 0).all()
    # Binomial with 200 items: standard deviation 0.035 at most; of what is not blind, a share is not shown.
    assert nothing.float().mean().item() == pytest.approx(blind, abs=5 * 0.035 * (0 < blind < 1))
    wanted = hide * (1 - blind)
    assert unseen.float().mean().item() == pytest.approx(wanted, abs=5 * 0.035 * (0 < wanted < 1))
    known = silent.sigma[~nothing]
    if len(known):
        assert config.sigma_min <= known.min() <= known.max() <= config.sigma_max
        # Levels are spread over the items, not sorted along the batch.
        assert not torch.equal(known, known.sort().values)


def test_a_separators_network_has_a_wave_for_the_mixture(separator: TrainConfig) -> None:
    sizes = build_network(separator).config
    assert (sizes.inputs, sizes.outputs, sizes.recorded) == (3, 2, 1)


# Objectives, with a net whose answer is known.


class Silent:
    """A net that answers zero, and remembers what it was asked."""

    config = TINY_MIXER

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x, self.sigma = x, sigma
        return x.new_zeros(len(x), max(1, x.shape[1] - 1), x.shape[2])


def test_the_score_loss_of_the_gaussian_denoiser_is_one_at_every_level() -> None:
    count = 20_000
    generator = torch.Generator().manual_seed(0)
    clean = TINY_MIXER.sigma_data * torch.randn(4, count, generator=generator)
    noise, sigma = torch.randn(4, count, generator=generator), torch.tensor([0.001, 0.03, 0.3, 10.0])
    loss = denoising_error(Silent(), clean, sigma, noise)
    # White Gaussian sources: exactly 1 in the mean. A mean square of n numbers is known to sqrt(2 / n); 5 of them.
    assert loss.tolist() == pytest.approx([1] * 4, abs=5 * math.sqrt(2 / count))


def test_the_separator_loss_is_the_logarithm_of_the_error_of_each_source() -> None:
    count = 20_000
    generator = torch.Generator().manual_seed(0)
    clean = 0.1 * torch.randn(4, 2, count, generator=generator)
    noise = torch.randn(4, 2, count, generator=generator)
    sigma, shown = torch.tensor([math.inf, 0.1, 0.01, 0.1]), torch.tensor([1.0, 1, 1, 0])
    loss = posterior_error(Silent(), clean, sigma, noise, shown)
    # By Gaussian conditioning. Blind: half the sum leaves half the variance, a quarter of the mixture's power.
    # Noisy: shrinking leaves v = s^2 d^2 / (s^2 + d^2), of which the known sum takes half. Over sigma^2, where
    # that is less than the mixture's power of 2 d^2.
    variances = [0.25, 0.5 * 0.5, 0.5 / 1.01, 0.5]
    expected = [math.log10(v + 1e-3) for v in variances]
    # Five standard deviations sqrt(2 / n) of a mean square, as log10.
    assert loss.tolist() == pytest.approx(expected, abs=5 * math.sqrt(2 / count) / math.log(10))


def test_a_perfect_estimate_is_thirty_decibels_good() -> None:
    clean = torch.zeros(1, 2, 100)
    loss = posterior_error(Silent(), clean, torch.tensor([math.inf]), clean, torch.ones(1))
    assert loss.item() == pytest.approx(-3, abs=1e-6)


# The two optimisers in one.


def stepped(optimizer: MuonAndAdamW, net: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.usefixtures("narrow_muon")
def test_the_state_of_both_optimisers_goes_through_a_file(tmp_path: Path) -> None:
    nets = [tiny_mixer(), tiny_mixer(), tiny_mixer()]
    first, second, fresh = (make_optimizer("muon", net, 1e-2, 0.1) for net in nets)
    stepped(first, nets[0], 1)
    stepped(first, nets[0], 2)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for net in nets[1:]:
        net.load_state_dict(nets[0].state_dict())
    for optimizer, net in zip((first, second, fresh), nets, strict=True):
        stepped(optimizer, net, 3)
        assert all(parameter.grad is None for parameter in net.parameters())
    names = [name for name, _ in nets[0].named_parameters()]
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)
    # Without the state every weight goes elsewhere: the test sees both parts.
    assert not any(torch.equal(states[0][name], states[2][name]) for name in names)


@pytest.mark.usefixtures("narrow_muon")
def test_muon_takes_the_blocks_dense_layers_and_adamw_the_rest() -> None:
    net = tiny_mixer()
    muon, rest = (
        [id(p) for group in part.param_groups for p in group["params"]]
        for part in MuonAndAdamW(net, 1e-2, 0.1).parts
    )
    named = {id(p): name for name, p in net.named_parameters()}
    assert sorted([*muon, *rest]) == sorted(named)
    inner = ("up.weight", "down.weight", "across.0.weight", "across.2.weight")
    assert {named[i] for i in muon} == {f"blocks.{block}.{name}" for block in (0, 1) for name in inner}


@pytest.mark.usefixtures("narrow_muon")
def test_one_learning_rate_rules_both() -> None:
    net = tiny_mixer()
    optimizer = make_optimizer("muon", net, 1e-2, 0.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    stepped(optimizer, net, 0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# Settings.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"family": "wavelet"}, "family: one of wavenet, score, separator"),
        ({"optimizer": "sgd"}, "optimizer: adamw or muon"),
        ({"family": "separator"}, "two or more sources"),
        ({"family": "separator", "source": "tone,hiss"}, "as many train and valid folders"),
        ({"family": "separator", "source": "tone,hiss", "train": ("a", "b")}, "valid folders"),
        ({"sigma_min": 1.0}, "sigma_min must be positive and below"),
        ({"sigma_min": 0.0}, "sigma_min must be positive and below"),
        ({"batch": 0}, "window and batch"),
        ({"log_steps": 0}, "log_steps"),
        ({"hours": 0.0}, "hours must be positive"),
        ({"decay_share": 1.5}, "decay_share"),
        ({"ema": 1.0}, "ema"),
        ({"trained_on": ({"source": "x"},)}, "trained_on: source and licence"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict, words: str) -> None:
    good = TrainConfig("mine", "tone", ("a",), ("b",))
    with pytest.raises(SettingError, match=f"training config mine: .*{words}"):
        replace(good, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": 128}, "64 bins"),
        ({"outputs": 2}, "one for each output"),
        ({"depth": 3}, "depth"),
        ({"features": "many"}, "whole numbers of 1 or more"),
        ({"hop": 32}, "a quarter of window 64"),
    ],
)
@FAMILIES
def test_sizes_that_do_not_fit_are_refused(config: TrainConfig, change: dict, words: str) -> None:
    if config.family == "separator" and "outputs" in change:
        change = {"outputs": 3}
    with pytest.raises(SettingError, match=rf"training config tone, \[network\]: .*{words}"):
        build_network(replace(config, network={**SIZES, **change}))


def test_a_recipe_becomes_settings(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nfamily = "separator"\nsource = "tone,hiss"\ntrain = ["a", "b"]\nvalid = ["c", "d"]\n'
        'optimizer = "muon"\nblind_share = 0.25\n[simulation]\nlevel_db = [-5.0, 5.0]\n[network]\nfeatures = 16\n'
    )
    config = read_config(file)
    assert (config.train, config.optimizer, config.blind_share) == (("a", "b"), "muon", 0.25)
    assert config.simulation == {"level_db": [-5.0, 5.0]}
    assert build_network(config).config.features == 16


def test_every_trainable_family_has_a_task() -> None:
    from audiofix.hub.registry import FAMILIES as LOADABLE
    from audiofix.training.config import TRAINABLE

    # Published weights of that family are imported, not made here.
    assert set(TRAINABLE) == set(TASKS) == set(LOADABLE) - {"pnf-wavenet"}
