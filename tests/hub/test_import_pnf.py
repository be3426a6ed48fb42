"""Published checkpoints become a model whose score is theirs, and what is no such checkpoint is refused."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from audiofix.errors import ModelError, OutputError, SettingError
from audiofix.hub.card import read_card
from audiofix.hub.import_pnf import find_checkpoints, import_pnf
from audiofix.hub.networks import KEPT
from audiofix.hub.registry import load_prior, verify
from tests.hub.published import (
    INPUT_TYPES,
    LEVELS,
    RECEPTIVE_FIELD,
    STEPS,
    level_folder,
    plain_gradient,
    published_state,
    write_published,
)

SPACING = 2 / (LEVELS - 1)
MU = 255.0
PROMISED = 1e-5  # relative: weights are stored in float32, 6e-8, and a few sums of them follow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "egs" / "supra_piano"


def index_of(sigma: float, time: int = 22) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    clean = torch.randint(0, LEVELS, (time,), generator=generator).double()
    return clean + sigma * torch.randn(time, generator=generator, dtype=torch.float64)


def wanted(axis: str, index: torch.Tensor, by_index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Amplitudes of the indices, and the score of amplitude, by the formulas written out."""
    if axis == "linear":
        u = (index - (LEVELS - 1) / 2) * SPACING
        return u, by_index / SPACING
    u = (index - (LEVELS - 2) / 2) * SPACING  # that quantiser cuts off: half a step lower
    x = u.sign() * ((1 + MU) ** u.abs() - 1) / MU
    slope = MU / (torch.tensor(1 + MU).double().log() * (1 + MU * x.abs()))
    return x, slope * by_index / SPACING - MU * x.sign() / (1 + MU * x.abs())


@pytest.mark.parametrize("axis", INPUT_TYPES)
def test_the_score_is_the_published_one(folder, tmp_path, axis):
    states = write_published(folder, axis)
    card = import_pnf(folder, "pnf-piano", tmp_path / "pnf-piano")
    assert verify(card, tmp_path / "pnf-piano") == []
    prior = load_prior(tmp_path / "pnf-piano")
    assert prior.sigmas == pytest.approx([steps * SPACING for steps in STEPS], rel=1e-12)
    for own, (steps, state) in zip(prior.sigmas, states.items(), strict=True):
        index = index_of(steps)
        x, expected = wanted(axis, index, plain_gradient(state, index, steps))
        prior.nets[own].double()
        difference = prior.score(x[None], own)[0] - expected
        assert difference.norm() < PROMISED * expected.norm()
        assert difference.abs().max() < PROMISED * expected.abs().max()
        # The test can tell: half a step beside it, or without what the curve's bend adds, is something else.
        assert (
            prior.score(x[None] + 0.01 * SPACING, own)[0] - expected
        ).norm() > 10 * PROMISED * expected.norm()
        if axis == "mu-law":
            bent = expected + MU * x.sign() / (1 + MU * x.abs())
            assert (prior.score(x[None], own)[0] - bent).norm() > 10 * PROMISED * expected.norm()


@pytest.mark.parametrize("axis", INPUT_TYPES)
def test_the_card_says_what_it_is(folder, tmp_path, axis):
    write_published(folder, axis)
    written = import_pnf(folder, "mine", tmp_path / "mine", licence="CC-BY-4.0")
    card = read_card(tmp_path / "mine")
    assert replace(card, sigmas=written.sigmas) == written
    assert card.sigmas == pytest.approx(written.sigmas, rel=1e-12)
    assert (card.family, card.source, card.sample_rate, card.licence) == (
        "pnf-wavenet",
        "piano",
        22050,
        "CC-BY-4.0",
    )
    assert (card.smoothing_axis, card.conditioning, card.sigma_units) == (axis, "per-level", "level-spacings")
    assert list(card.files) == ["sigma_8.29.safetensors", "sigma_1.safetensors", "sigma_0.39.safetensors"]
    assert (card.axis_note is None) == (axis == "linear")
    sizes = {"levels": 16, "layers": 4, "cycles": 2, "residual": 6, "gate": 8, "skip": 5, "kernel": 3}
    assert card.network == {**sizes, "centre": 7.5 if axis == "linear" else 7.0}
    assert load_prior(tmp_path / "mine").halo == RECEPTIVE_FIELD


def test_only_a_few_networks_are_kept_and_each_is_its_own(folder, tmp_path):
    states = {float(steps): published_state(steps) for steps in range(1, KEPT + 3)}
    write_published(folder, states=states)
    import_pnf(folder, "many", tmp_path / "many")
    nets = load_prior(tmp_path / "many").nets
    for sigma in (*nets, *nets):
        state = states[round(sigma / SPACING)]
        torch.testing.assert_close(nets[sigma].head.bias.data, state["last_conv_layers.3.bias"])
        assert len(nets._kept) <= KEPT
    assert nets[sigma] is nets[sigma]
    with pytest.raises(KeyError):
        nets[0.123]


def renamed_parametrisation(state):
    pairs = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    return {
        key.replace(old, new): v for key, v in state.items() for old, new in pairs.items() if old in key
    } | {key: v for key, v in state.items() if "weight" not in key}


def without_normalisation(state):
    plain = {key: v for key, v in state.items() if "weight" not in key}
    for key in state:
        if key.endswith("weight_v"):
            v, g = state[key].double(), state[key[:-1] + "g"].double()
            plain[key[:-2]] = (v * g / v.flatten(1).norm(dim=1)[:, None, None]).float()
    return plain


def of_parallel_devices(state):
    return {f"module.{key}": v for key, v in state.items()}


@pytest.mark.parametrize("change", [renamed_parametrisation, without_normalisation, of_parallel_devices])
def test_other_ways_to_save_the_same_network(folder, tmp_path, change):
    state = published_state()
    write_published(folder, states={1.0: state})
    expected = import_pnf(folder, "plain", tmp_path / "plain")
    write_published(tmp_path / "egs" / "other", None, {1.0: change(state)})
    import_pnf(tmp_path / "egs" / "other", "other", tmp_path / "other")
    x = (torch.rand(1, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5).float()
    scores = [load_prior(tmp_path / name).score(x, expected.sigmas[0]) for name in ("plain", "other")]
    torch.testing.assert_close(scores[1], scores[0], rtol=1e-4, atol=1e-4)


class Hostile:
    """Would make a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def spoil(folder: Path, what: str, trace: Path) -> None:
    """Make the last level something that it must not be."""
    file = folder / level_folder(STEPS[-1]) / "checkpoint_latest_ema.pth"
    state = published_state()
    if what == "hostile":
        torch.save({"state_dict": state, "optimizer": Hostile(trace)}, file)
    elif what == "cut short":
        file.write_bytes(file.read_bytes()[:-200])
    elif what == "text":
        file.write_text("not a checkpoint")
    elif what == "other tensors":
        torch.save({"state_dict": {"weight": torch.ones(3)}}, file)
    elif what == "no tensors":
        torch.save({"state_dict": {"a": 1}}, file)
    elif what == "one more layer":
        more = {
            k.replace("conv_layers.3", "conv_layers.4"): v for k, v in state.items() if "conv_layers.3" in k
        }
        torch.save({"state_dict": state | more}, file)
    elif what == "half a pair":
        torch.save({"state_dict": {k: v for k, v in state.items() if k != "first_conv.weight_g"}}, file)
    elif what == "wider":
        state["first_conv.bias"] = torch.ones(7)
        torch.save({"state_dict": state}, file)
    elif what == "not a number":
        state["first_conv.bias"][0] = float("nan")
        torch.save({"state_dict": state}, file)


WRONG = {
    "hostile": "which is not read", "cut short": "content", "text": "content", "other tensors": "first.bias",
    "no tensors": "state_dict", "one more layer": "conv_layers.4", "half a pair": "first_conv.weight_g",
    "wider": "first.bias", "not a number": "not finite",
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_such_checkpoint_is_refused_and_nothing_stays(folder, tmp_path, what):
    write_published(folder)
    spoil(folder, what, tmp_path / "trace")
    with pytest.raises(ModelError, match=WRONG[what]) as caught:
        import_pnf(folder, "bad", tmp_path / "models" / "bad")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trace").exists()
    assert list((tmp_path / "models").iterdir()) == []


def conditioned(state):
    state["conv_layers.0.conv1x1c.weight_v"] = torch.ones(8, 80, 1)
    state["conv_layers.0.conv1x1c.weight_g"] = torch.ones(8, 1, 1)


def one_hot(state):
    state["first_conv.weight_v"] = torch.ones(6, LEVELS, 1)


@pytest.mark.parametrize(("change", "says"), [(conditioned, "unconditional"), (one_hot, "one-hot")])
def test_networks_of_another_kind_are_refused(folder, tmp_path, change, says):
    state = published_state()
    change(state)
    write_published(folder, states={1.0: state})
    with pytest.raises(ModelError, match=says):
        import_pnf(folder, "bad", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_an_interrupt_leaves_nothing(folder, tmp_path):
    write_published(folder)

    def stop(done, levels):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_pnf(folder, "mine", tmp_path / "models" / "mine", progress=stop)
    assert list((tmp_path / "models").iterdir()) == []


def test_what_is_there_is_not_lost(folder, tmp_path):
    write_published(folder)
    import_pnf(folder, "mine", tmp_path / "mine")
    before = (tmp_path / "mine" / "card.toml").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        import_pnf(folder, "mine", tmp_path / "mine", licence="other")
    assert (tmp_path / "mine" / "card.toml").read_bytes() == before
    import_pnf(folder, "mine", tmp_path / "mine", licence="other", overwrite=True)
    assert read_card(tmp_path / "mine").licence == "other"


def test_the_quantiser_by_settings_names_or_word(tmp_path):
    settled = tmp_path / "a" / "vctk"
    write_published(settled, "mu-law")
    card = import_pnf(settled, "one", tmp_path / "one")
    assert (card.smoothing_axis, card.source) == ("mu-law", "speech")
    by_name = tmp_path / "linear_quantize_max_audio" / "thing"
    write_published(by_name, None)
    card = import_pnf(by_name, "two", tmp_path / "two", cycles=2)
    assert (card.smoothing_axis, card.source, card.sample_rate) == ("linear", "two", 22050)
    unknown = tmp_path / "b" / "thing"
    write_published(unknown, None)
    with pytest.raises(SettingError, match="--quantiser linear or mu-law"):
        import_pnf(unknown, "three", tmp_path / "three", cycles=2)
    assert (
        import_pnf(unknown, "three", tmp_path / "three", quantiser="mu-law", cycles=2).smoothing_axis
        == "mu-law"
    )
    with pytest.raises(ModelError, match="--cycles"):  # three, as published, do not divide four layers
        import_pnf(unknown, "four", tmp_path / "four", quantiser="linear")
    (unknown / "hparams.json").write_text(json.dumps({"input_type": "raw"}))
    with pytest.raises(ModelError, match="input_type"):
        import_pnf(unknown, "five", tmp_path / "five")


def test_which_checkpoints_are_found(folder, tmp_path):
    write_published(folder)
    found = find_checkpoints(folder)
    assert list(found) == [8.29, 1.0, 0.39]
    assert {file.name for file in found.values()} == {"checkpoint_latest_ema.pth"}
    (folder / level_folder(1.0) / "checkpoint_latest_ema.pth").unlink()
    assert find_checkpoints(folder)[1.0].name == "checkpoint_step000030000.pth"
    with pytest.raises(ModelError, match="give one of supra_piano in it"):
        find_checkpoints(folder.parent)
    with pytest.raises(ModelError, match="checkpoints175pt9"):
        find_checkpoints(tmp_path)
    with pytest.raises(ModelError, match="folder of checkpoints"):
        find_checkpoints(tmp_path / "nowhere")
    shutil.copytree(folder / level_folder(1.0), folder / "checkpoints1")
    with pytest.raises(ModelError, match="two of 1"):
        find_checkpoints(folder)


def test_other_families_on_another_axis_are_refused(edit_card):
    file = edit_card('smoothing_axis = "linear"', 'smoothing_axis = "mu-law"')
    with pytest.raises(ModelError, match="linear for the family wavenet"):
        load_prior(file.parent)


def test_a_model_without_one_of_its_files_is_refused_before_the_run(folder, tmp_path):
    write_published(folder)
    import_pnf(folder, "mine", tmp_path / "mine")
    (tmp_path / "mine" / "sigma_0.39.safetensors").unlink()
    with pytest.raises(ModelError, match=r"sigma_0\.39"):
        load_prior(tmp_path / "mine")
