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
from audiofix.training.objectives import QUIETEST, above, gap_error, highs_error
from audiofix.training.tasks import make_task
from audiofix.training.trainer import Trainer, build_network, folders_of
from tests.hub.tiny import TINY_MIXER, tiny_mixer

RATE, WINDOW = 16000, 2048
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
    time = 2 * WINDOW
    t = 2 * math.pi * torch.arange(time) / time
    deep, middle, high = (0.1 * torch.cos(bin * t) for bin in (300, 1000, 1500))
    clean, edges = (deep + high).expand(2, time), torch.tensor([0.5, 0.4])  # bins 1024 and 819

    def error(low: Tensor) -> list[float]:
        found: list[float] = highs_error(Silent(), clean, low.expand(2, time), edges, BLIND, clean).tolist()
        return found

    # All of it missing is as bad as what is there; half of it a quarter. Deep down anything may stand.
    assert error(deep) == pytest.approx([1, 1], abs=ROUNDED)
    assert error(0 * deep) == pytest.approx([1, 1], abs=ROUNDED)
    assert error(deep + 0.5 * high) == pytest.approx([0.25, 0.25], abs=ROUNDED)
    assert error(deep + high) == pytest.approx([0, 0], abs=ROUNDED)
    # Each item has its own cut-off: between them lies what one of them does not count.
    assert error(deep + middle + high) == pytest.approx([0, 1], abs=ROUNDED)


NOTHING_CUT = torch.zeros(1)  # the whole band counts


def test_windows_count_alike_at_any_level_but_for_silence() -> None:
    clean = noise(1, WINDOW, scale=0.1)
    clean /= clean.square().mean().sqrt()
    for level, expected in ((1.0, 0.36), (0.001, 0.36), (0.1 * QUIETEST**0.5, 0.0036), (0.0, 0.0)):
        found = highs_error(Silent(), level * clean, 0.4 * level * clean, NOTHING_CUT, BLIND, clean)
        assert found.shape == (1,)
        assert found.item() == pytest.approx(expected, rel=1e-4)
    # What is heard in silence does count, and so does what the network says.
    found = highs_error(Silent(), 0 * clean, 1e-3 * clean, NOTHING_CUT, BLIND, clean)
    assert found.item() == pytest.approx(1e-6 / QUIETEST, rel=1e-4)
    loud = highs_error(Loud(), clean, 0.4 * clean, NOTHING_CUT, BLIND, clean)
    assert abs(loud.item() - 0.36) > 1e-5


@pytest.mark.parametrize("sigma", [0.001, 0.01, 0.5])
def test_the_error_of_noisy_highs_is_over_what_the_gaussian_denoiser_leaves(sigma: float) -> None:
    clean, unit = noise(1, WINDOW, scale=0.1), noise(1, WINDOW, seed=1)
    found = highs_error(Silent(), clean, clean, NOTHING_CUT, torch.tensor([sigma]), unit)
    # The lower band is all there is, and its noise is shrunk.
    left = (HIGHS**2 / (HIGHS**2 + sigma**2) * sigma * unit).square().mean()
    expected = left * (1 / clean.square().mean() + 1 / sigma**2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_gaussian_denoiser_has_an_error_of_one_at_every_level() -> None:
    count, sigma = 20_000, torch.tensor([0.001, 0.01, 0.3, math.inf])
    clean, unit = noise(4, count, scale=HIGHS), noise(4, count, seed=1)
    found = highs_error(Silent(), clean, 0 * clean, torch.zeros(4), sigma, unit)
    # White highs of HIGHS: exactly 1 in the mean. A mean square of n numbers is known to sqrt(2 / n); 5 of them,
    # of the error and of the window's power.
    assert found.tolist() == pytest.approx([1] * 4, abs=2 * 5 * math.sqrt(2 / count))
    # Another level than HIGHS is shrunk as it should not be.
    other = highs_error(Silent(), 10 * clean, 0 * clean, torch.zeros(4), sigma, unit)
    assert other[1].item() > 5


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
    return replace(inpainter, family="upsampler", window=WINDOW, gaps={})


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


@pytest.fixture
def quick_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence and straight lines in place of what autoregression finds."""

    def fills(x: np.ndarray, lost: list[tuple[int, int]], _how: Any) -> np.ndarray:
        found = np.stack([x, x])
        for start, stop in lost:
            found[0, start:stop] = 0
            found[1, start:stop] = np.linspace(x[start - 1], x[stop], stop - start)
        return found

    monkeypatch.setattr(simulation, "classical_fills", fills)


@FAMILIES
@pytest.mark.usefixtures("quick_fills")
def test_it_learns(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    averaged = {name: value.clone() for name, value in trainer.average.named_parameters()}
    # The exit starts at zero: its gradient is first, what lies before it follows.
    assert all(math.isfinite(trainer.step()) for _ in range(3))
    for name, value in trainer.average.named_parameters():
        assert not torch.equal(value, averaged[name]), name
    # One batch again and again: there is something to win from the first steps on.
    before = loss(config, trainer.net).item()
    for _ in range(10):
        loss(config, trainer.net).backward()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
    assert loss(config, trainer.net).item() < before - 0.02


@FAMILIES
def test_the_generator_decides_about_a_batch(config: TrainConfig) -> None:
    net = build_network(config)
    with torch.no_grad():
        for weight in net.leave:
            weight.fill_(0.01)
    assert torch.equal(loss(config, net), loss(config, net))
    assert not torch.equal(loss(config, net), loss(config, net, seed=1))


@FAMILIES
@pytest.mark.usefixtures("quick_fills")
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
    trainer.start_from(prior, 0.25, 640.0)
    assert trainer.progress.core_hours == 0.25
    assert trainer.progress.audio_seconds == 640
    # The exit is new, so the average follows it as quickly as at any beginning.
    assert trainer.progress.origin == 0
    taken = prior.state_dict()
    for net in (trainer.net, trainer.average):
        x = noise(2, net.config.inputs, 200)
        assert not net(x, torch.tensor([0.1, 1.0])).any()
        for name in ("band", "blocks.0.up.weight", "embed.frequencies"):
            if name in taken:
                assert torch.equal(net.state_dict()[name], taken[name])
    with pytest.raises(ModelError, match="other sizes"):
        trainer.start_from(tiny_mixer(2), 0.25, 64.0)
    again = Trainer(config, tmp_path / "again")
    again.start_from(trainer.net, 0.25, 640.0)
    assert again.progress.origin == int(640 * RATE / (config.batch * config.window)) > 0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short held-out windows."""
    for module, name, value in (
        (inpainting_task, "VALID_WINDOWS", 5),
        (inpainting_task, "VALID_LENGTH", 600),
        (inpainting_task, "VALID_MS", (2, 5)),
        (upsampling_task, "VALID_WINDOWS", 6),
        (upsampling_task, "VALID_LENGTH", WINDOW),
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

    def fills(x: np.ndarray, lost: Any, _how: Any) -> np.ndarray:
        assert lost
        return np.stack([0.9 * x, x])

    monkeypatch.setattr(simulation, "classical_fills", fills)
    folders = folders_of(inpainter, inpainter.valid)
    how, generator = Gaps(most=4, length_ms=(2, 2)), np.random.default_rng([inpainter.seed, 1 << 41])
    item = simulated_gaps(folders[0], 5, 600, (0.0, 0.0), how, generator)
    heard = ((item.clean * item.lost) ** 2).sum(dim=1) > 0
    assert heard.any()
    assert not heard.all()
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
        wide = 5 * 2 * math.sqrt(2 / (0.75 * WINDOW) / 6) * 10 / math.log(10)
        assert gain == pytest.approx(10 * math.log10(sigma**2 / error), abs=wide)
    assert found["0.03"] > 3 > 0.5 > found["0.001"]
