"""Inpainters and upsamplers: what their error counts and what it ignores, that they learn, and their figures."""

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

from audiofix.errors import ModelError
from audiofix.priors.score_network import NOTHING_KNOWN
from audiofix.priors.upsampling import HIGHS
from audiofix.training import gaps as simulation
from audiofix.training import inpainting_task, upsampling_task
from audiofix.training.config import TrainConfig
from audiofix.training.gaps import Gaps, simulated_gaps
from audiofix.training.objectives import FRAME, QUIETEST, above, gap_error, highs_error
from audiofix.training.tasks import make_task
from audiofix.training.trainer import Trainer, build_network, folders_of
from tests.hub.tiny import TINY_MIXER, tiny_mixer

RATE = 16000
# Loss in float32: relative round-off of means of some thousand squares, as log10.
ROUNDED = 1e-5
PERFECT = -3.0  # 30 dB


class Silent:
    """A net that answers zero, and remembers what it was asked."""

    config = replace(TINY_MIXER, inputs=3, recorded=2)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x, self.sigma = x, sigma
        return x.new_zeros(len(x), 1, x.shape[2])


class Loud(Silent):
    """A net that answers one."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return super().__call__(x, sigma) + 1


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


BLIND = torch.tensor([math.inf])


# The error in gaps.


def gapped(apart: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clean sound of RMS 0.1, a first fill that is perfect and one that is not, and a gap of 300 samples."""
    clean, lost = noise(1, 1000, scale=0.1), torch.zeros(1, 1000)
    lost[:, 200:500] = 1
    return clean, torch.stack([clean, clean + apart * lost], dim=1), lost


def test_the_error_of_a_fill_is_that_over_what_was_lost() -> None:
    clean, fills, lost = gapped(0.05)
    inner = lost[0].bool()
    assert gap_error(Silent(), clean, fills, lost, BLIND, clean).item() == pytest.approx(PERFECT, abs=ROUNDED)
    error = noise(1, 1000, seed=1, scale=0.03) * lost
    fills[:, 0] += error
    expected = (error[0, inner].square().mean() / clean[0, inner].square().mean() + 1e-3).log10()
    found = gap_error(Silent(), clean, fills, lost, BLIND, clean)
    assert found.shape == (1,)
    assert found.item() == pytest.approx(expected.item(), abs=ROUNDED)
    # The network is heard, at the scale of the fills' difference.
    assert abs(gap_error(Loud(), clean, fills, lost, BLIND, clean) - found) > 0.01


@pytest.mark.parametrize("sigma", [0.001, 0.03, 0.5])
def test_the_error_of_a_noisy_sound_is_over_the_noise_or_what_was_lost(sigma: float) -> None:
    apart = 0.05
    clean, fills, lost = gapped(apart)
    unit, inner = noise(1, 1000, seed=1), lost[0].bool()
    # Without network, of a perfect fill that is thought to err by S: S^2 / (S^2 + sigma^2) of the noise stays.
    left = (apart**2 / (apart**2 + sigma**2) * sigma * unit[0, inner]).square().mean()
    limit = min(sigma**2, clean[0, inner].square().mean().item())
    found = gap_error(Silent(), clean, fills, lost, torch.tensor([sigma]), unit)
    assert found.item() == pytest.approx(math.log10(left / limit + 1e-3), abs=10 * ROUNDED)
    assert (limit == sigma**2) == (sigma < 0.1)


@pytest.mark.parametrize("sigma", [0.1, math.inf])
def test_what_lies_outside_of_gaps_does_not_count(sigma: float) -> None:
    clean, fills, lost = gapped(0.05)
    unit, level = noise(1, 1000, seed=1), torch.tensor([sigma])
    fills[:, 0] += 0.01 * lost
    before = gap_error(Loud(), clean, fills, lost, level, unit)
    for place, counts in ((1 - lost, False), (lost, True)):
        moved = [
            gap_error(Loud(), clean + place, fills, lost, level, unit),
            gap_error(
                Loud(), clean, fills + place[:, None] * torch.tensor([1.0, 1.1])[:, None], lost, level, unit
            ),
        ]
        if math.isfinite(sigma):
            moved.append(gap_error(Loud(), clean, fills, lost, level, unit + 10 * place))
        for found in moved:
            assert (abs(found - before).item() > 0.01) == counts
            assert counts or torch.equal(found, before)


def test_pauses_and_whole_recordings_teach_nothing() -> None:
    clean, fills, lost = gapped(0.05)
    quiet, inner = clean * (1 - lost), lost.bool()
    fills[:, 0] = quiet + 1e-5 * lost
    # Power of -70 dB stands for silence: 1e-10 over 1e-7.
    found = gap_error(Silent(), quiet, fills, lost, BLIND, clean)
    assert found.item() == pytest.approx(math.log10(1e-3 + 1e-3), abs=ROUNDED)
    assert not quiet[inner].any()
    assert gap_error(Loud(), clean, fills, 0 * lost, BLIND, clean).item() == pytest.approx(
        PERFECT, abs=ROUNDED
    )


# The error above a cut-off.


@pytest.mark.parametrize("time", [64, 65])
def test_above_leaves_what_lies_at_the_edge_and_beyond(time: int) -> None:
    t = 2 * math.pi * torch.arange(time, dtype=torch.float64) / time
    one, other = torch.cos(5 * t + 1), torch.sin(20 * t)
    x = (1 + one + other).expand(4, time)
    shares = torch.tensor([0, 5, 6, 21], dtype=torch.float64) * 2 / time
    found = above(x, shares - 1e-9)
    for row, expected in enumerate((1 + one + other, one + other, other, 0 * other)):
        assert (found[row] - expected).abs().max() < 1e-13
    assert above(x, torch.ones(4).double() * 1.1).abs().max() == 0


def test_the_error_counts_above_the_cut_off_alone() -> None:
    time = 2 * FRAME
    t = 2 * math.pi * torch.arange(time) / time
    deep, high = 0.1 * torch.cos(300 * t), 0.1 * torch.cos(3000 * t)
    clean, edge = (deep + high)[None], torch.tensor([0.5])
    before = highs_error(Silent(), clean, deep[None], edge, BLIND, clean)
    # All of it missing: as large as what is there.
    assert before.item() == pytest.approx(math.log10(1 + 1e-3), abs=ROUNDED)
    for low in (0 * deep, deep + 0.1 * torch.sin(1000 * t)):
        assert highs_error(Silent(), clean, low[None], edge, BLIND, clean).item() == pytest.approx(
            before.item(), abs=ROUNDED
        )
    found = highs_error(Silent(), clean, (deep + high)[None], edge, BLIND, clean)
    # The transform leaves 1e-7 of the tones.
    assert found.item() == pytest.approx(PERFECT, abs=ROUNDED)
    half = highs_error(Silent(), clean, (deep + 0.5 * high)[None], edge, BLIND, clean)
    assert half.item() == pytest.approx(math.log10(0.25 + 1e-3), abs=ROUNDED)
    # Each item has its own cut-off: below 1000 of 4096 bins the sine is an error.
    both = highs_error(
        Silent(), clean.expand(2, -1), (deep + high + 0.1 * torch.sin(1000 * t)).expand(2, -1),
        torch.tensor([0.5, 0.4]), BLIND.expand(2), clean.expand(2, -1),
    )  # fmt: skip
    assert both.tolist() == pytest.approx([PERFECT, math.log10(1 + 1e-3)], abs=ROUNDED)


NOTHING_CUT = torch.zeros(1)  # the whole band counts: frames can be told apart exactly


def test_the_error_is_judged_frame_by_frame() -> None:
    clean = noise(1, 3 * FRAME + 100, scale=0.1)
    frames = [slice(i * FRAME, (i + 1) * FRAME) for i in range(3)]
    clean[:, frames[1]] *= 0.01
    clean[:, frames[2]] = 0
    low = clean.clone()
    for frame, share in zip(frames, (0.9, 0.5, 0.0), strict=True):
        low[:, frame] *= share
    low[:, frames[2]] = 1e-5
    expected = [math.log10(ratio + 1e-3) for ratio in (0.01, 0.25, 1e-10 / QUIETEST)]
    found = highs_error(Silent(), clean, low, NOTHING_CUT, BLIND, clean)
    assert found.item() == pytest.approx(sum(expected) / 3, abs=10 * ROUNDED)
    # What is left over behind the last frame does not count.
    low[:, 3 * FRAME + 10 :] = 0.5
    assert highs_error(Silent(), clean, low, NOTHING_CUT, BLIND, clean).item() == pytest.approx(
        found.item(), abs=10 * ROUNDED
    )
    assert abs(highs_error(Loud(), clean, low, NOTHING_CUT, BLIND, clean) - found) > 0.01


@pytest.mark.parametrize("sigma", [0.001, 0.01, 0.5])
def test_the_error_of_noisy_highs_is_over_the_noise_or_what_is_there(sigma: float) -> None:
    clean, unit = noise(1, 2 * FRAME, scale=0.1), noise(1, 2 * FRAME, seed=1)
    found = highs_error(Silent(), clean, clean, NOTHING_CUT, torch.tensor([sigma]), unit)
    left = (HIGHS**2 / (HIGHS**2 + sigma**2) * sigma * unit).unflatten(1, (2, FRAME)).square().mean(dim=2)
    power = clean.unflatten(1, (2, FRAME)).square().mean(dim=2)
    expected = (left / power.clamp(max=sigma**2) + 1e-3).log10().mean()
    assert found.item() == pytest.approx(expected.item(), abs=10 * ROUNDED)
    assert bool((power < sigma**2).all()) == (sigma > 0.1)


# Tasks.


@pytest.fixture
def hiss(tmp_path: Path) -> str:
    """Coloured noise, of which no fill knows all."""
    wave = np.convolve(np.random.default_rng(0).standard_normal(RATE), [1, 0.8, -0.3, 0.2], mode="same")
    (tmp_path / "hiss").mkdir()
    soundfile.write(tmp_path / "hiss" / "one.wav", 0.02 * wave, RATE, "FLOAT")
    return str(tmp_path / "hiss")


SIZES = {k: v for k, v in TINY_MIXER.to_dict().items() if k not in ("inputs", "recorded")}


@pytest.fixture
def inpainter(hiss: str) -> TrainConfig:
    return TrainConfig(
        "hiss", "hiss", (hiss,), (hiss,), family="inpainter", sigma_min=0.01, window=400, batch=4, compile=False,
        bf16=False, warmup_steps=1, learning_rate=5e-3, network=SIZES, gaps={"most": 2, "length_ms": (2.0, 6.0)},
    )  # fmt: skip


@pytest.fixture
def upsampler(inpainter: TrainConfig) -> TrainConfig:
    return replace(inpainter, family="upsampler", window=FRAME, gaps={})


@pytest.fixture
def config(request: pytest.FixtureRequest) -> TrainConfig:
    chosen: TrainConfig = request.getfixturevalue(request.param)
    return chosen


FAMILIES = pytest.mark.parametrize("config", ["inpainter", "upsampler"], indirect=True)


def loss(config: TrainConfig, forward: Any, seed: int = 0) -> Tensor:
    task, folders = make_task(config), folders_of(config, config.train)
    return task.loss(config, forward, folders, np.random.default_rng(seed))


@FAMILIES
def test_the_network_is_shown_what_the_prior_shows_it(config: TrainConfig) -> None:
    sizes = build_network(config).config
    shown = 2 if config.family == "inpainter" else 1
    assert (sizes.inputs, sizes.outputs, sizes.recorded) == (shown + 1, 1, shown)


@FAMILIES
def test_it_learns(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    averaged = {name: value.clone() for name, value in trainer.average.state_dict().items()}

    def held_out() -> float:
        with torch.no_grad():
            return float(torch.stack([loss(config, trainer.net, 100 + seed) for seed in range(3)]).mean())

    before = held_out()
    steps = 8 if config.family == "inpainter" else 30
    assert all(math.isfinite(trainer.step()) for _ in range(steps))
    # A network that answers zero has something to win from the first steps on.
    assert held_out() < before - 0.005
    for name, value in trainer.average.state_dict().items():
        assert not torch.equal(value, averaged[name]), name


@FAMILIES
def test_the_generator_decides_about_a_batch(config: TrainConfig) -> None:
    net = build_network(config)
    with torch.no_grad():
        for weight in net.leave:
            weight.fill_(0.01)
    assert torch.equal(loss(config, net), loss(config, net))
    assert not torch.equal(loss(config, net), loss(config, net, seed=1))


@FAMILIES
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_items_sees_the_recording_alone(config: TrainConfig, share: float) -> None:
    count = 100
    window = 64 if config.family == "inpainter" else config.window
    config = replace(config, blind_share=share, batch=count, window=window, gaps=config.gaps and {"most": 1})
    silent = Silent()
    loss(config, silent)
    nothing = silent.sigma == NOTHING_KNOWN
    assert not silent.x[nothing, -1].any()
    assert silent.x[~nothing, -1].any(dim=1).all()
    assert silent.x[:, 0].any(dim=1).all()
    # Binomial with 100 items: standard deviation 0.05 at most.
    assert nothing.float().mean().item() == pytest.approx(share, abs=5 * 0.05 * (0 < share < 1))
    known = silent.sigma[~nothing]
    if len(known):
        assert config.sigma_min <= known.min() <= known.max() <= config.sigma_max
        # Levels are spread over the items, not sorted along the batch.
        assert not torch.equal(known, known.sort().values)


@FAMILIES
def test_it_begins_as_a_score_prior_that_says_nothing_yet(config: TrainConfig, tmp_path: Path) -> None:
    trainer, prior = Trainer(config, tmp_path / "run"), tiny_mixer(seed=3)
    trainer.start_from(prior, 0.25, 64.0)
    assert trainer.progress.core_hours == 0.25
    taken = prior.state_dict()
    for net in (trainer.net, trainer.average):
        x = noise(2, net.config.inputs, 200)
        assert not net(x, torch.tensor([0.1, 1.0])).any()
        for name in ("band", "blocks.0.up.weight", "embed.frequencies"):
            if name in taken:
                assert torch.equal(net.state_dict()[name], taken[name])
    with pytest.raises(ModelError, match="other sizes"):
        trainer.start_from(tiny_mixer(2), 0.25, 64.0)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short held-out windows."""
    for module, name, value in (
        (inpainting_task, "VALID_WINDOWS", 5),
        (inpainting_task, "VALID_LENGTH", 600),
        (inpainting_task, "VALID_MS", (2, 5)),
        (upsampling_task, "VALID_WINDOWS", 6),
        (upsampling_task, "VALID_LENGTH", FRAME),
    ):
        monkeypatch.setattr(module, name, value)


@FAMILIES
@pytest.mark.usefixtures("short")
def test_figures_are_the_same_each_time_and_follow_the_average(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    figures = trainer.validate()
    assert figures == trainer.validate()
    assert all(parameter.requires_grad for parameter in trainer.average.parameters())
    names = ["2", "5"] if config.family == "inpainter" else ["0.001", "0.003", "0.01", "0.03"]
    key = "snr_in_gaps_db" if config.family == "inpainter" else "highs_gain_db"
    assert list(figures[key]) == names
    # Three places are kept.
    assert figures[f"mean_{key}"] == pytest.approx(sum(figures[key].values()) / len(names), abs=6e-4)
    with torch.no_grad():
        for weight in trainer.average.leave:
            weight.fill_(0.1)
    moved = trainer.validate()
    assert all(moved[key][name] != figures[key][name] for name in names)
    if config.family == "inpainter":
        # A net that answers zero leaves the first fill; what that is does not depend on the net.
        assert figures[key] == figures["classical_db"] == moved["classical_db"]


@pytest.mark.usefixtures("short")
def test_figures_of_an_inpainter_are_ratios_in_gaps_that_are_heard(
    inpainter: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fills that miss a tenth: 20 dB; a recording of which half is silent, where there is nothing to tell."""
    file = Path(inpainter.valid[0]) / "one.wav"
    wave, _ = soundfile.read(file)
    wave[RATE // 2 :] = 0
    soundfile.write(file, wave, RATE, "FLOAT")

    def fills(x: np.ndarray, lost: Any) -> np.ndarray:
        assert lost
        return np.stack([0.9 * x, x])

    monkeypatch.setattr(simulation, "classical_fills", fills)
    folders = folders_of(inpainter, inpainter.valid)
    how, generator = Gaps(most=4, length_ms=(2, 2)), np.random.default_rng([inpainter.seed, 1 << 41])
    item = simulated_gaps(folders[0], 5, 600, (0.0, 0.0), how, generator)
    heard = ((item.clean * item.lost) ** 2).sum(dim=1) > 0
    assert heard.any() and not heard.all()
    found = make_task(inpainter).validate(inpainter, build_network(inpainter), folders)
    assert list(found["classical_db"].values()) == pytest.approx([20, 20], abs=2e-3)


@pytest.mark.usefixtures("short")
def test_figures_of_an_upsampler_are_gains_above_the_cut_off(upsampler: TrainConfig) -> None:
    """White noise of known level, and a net that answers zero: Wiener's shrinking for HIGHS."""
    level = 0.02
    file = Path(upsampler.valid[0]) / "one.wav"
    soundfile.write(file, level * np.random.default_rng(1).standard_normal(RATE), RATE, "FLOAT")
    folders = folders_of(upsampler, upsampler.valid)
    found = make_task(upsampler).validate(upsampler, build_network(upsampler), folders)["highs_gain_db"]
    for name, gain in found.items():
        sigma = float(name)
        share = HIGHS**2 / (HIGHS**2 + sigma**2)
        error = (1 - share) ** 2 * level**2 + share**2 * sigma**2
        # Means of squares over three quarters of 2048 bins, of noise and of sound, six windows: 5 of them in dB.
        wide = 5 * 2 * math.sqrt(2 / (0.75 * FRAME) / 6) * 10 / math.log(10)
        assert gain == pytest.approx(10 * math.log10(sigma**2 / error), abs=wide)
    assert found["0.03"] > 3 > 0.5 > found["0.001"]
