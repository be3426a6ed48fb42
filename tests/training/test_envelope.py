"""Envelopes learn what follows from the lower band; their figures are errors of levels in decibels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.envelope import BANDS, FEATURES, known_bands, levels, spectrum
from audiofix.training import envelope_task
from audiofix.training.bands import Banded, simulated_bands
from audiofix.training.config import TrainConfig
from audiofix.training.envelope_task import FINE, EnvelopeTask, frame_error
from audiofix.training.folders import folders_of
from audiofix.training.tasks import make_task
from audiofix.training.trainer import Trainer
from tests.hub.tiny import TINY_ENVELOPE

RATE, CUT = 16000, 3000.0


def sound(low: tuple[float, float], high_db: float, seed: int) -> np.ndarray:
    """A second of noise: a band below the cut-off, and one above at a level of its own."""
    x = np.random.default_rng(seed).standard_normal((2, RATE))
    pair = [
        scipy.signal.sosfilt(scipy.signal.butter(4, edges, "bandpass", fs=RATE, output="sos"), wave)
        for edges, wave in zip((low, (3500.0, 7500.0)), x, strict=True)
    ]
    return 0.05 * (pair[0] / pair[0].std() + 10 ** (high_db / 20) * pair[1] / pair[1].std())


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Two kinds of sound, told apart by their lows: one has loud highs, the other soft ones."""
    for name, low, high_db in (("dull", (300.0, 700.0), -50.0), ("bright", (1500.0, 2500.0), -10.0)):
        soundfile.write(tmp_path / f"{name}.wav", sound(low, high_db, seed=len(name)), RATE, "FLOAT")
    folder = (str(tmp_path),)
    return TrainConfig(
        "toy", "toy", folder, folder, family="envelope", window=4096, batch=8, compile=False, bf16=False,
        warmup_steps=1, learning_rate=2e-2, ema=0.8, gain_db=(0.0, 0.0), network=TINY_ENVELOPE.to_dict(),
        bands={"decimated": 0.0, "cutoff_hz": (CUT, CUT)},
    )  # fmt: skip


def drawn(config: TrainConfig, seed: int = 0) -> tuple[Tensor, ...]:
    return EnvelopeTask().draw(config, folders_of(config, config.train), np.random.default_rng(seed))


def test_it_learns_what_follows_from_the_lows(config: TrainConfig, tmp_path: Path) -> None:
    task, trainer = make_task(config), Trainer(config, tmp_path / "run")
    batch = drawn(config, 99)
    _, wanted, known = batch
    # What can be told without looking: the mean over all frames of each band.
    fixed = wanted.mean(dim=(0, 1)).expand_as(wanted)
    blind = float((frame_error(fixed, wanted, known) + FINE).sqrt().mean())
    fresh = float(task.error(config, trainer.net, batch).detach())
    for _ in range(60):
        trainer.step()
    assert float(task.error(config, trainer.net, batch).detach()) < 0.7 * blind
    assert fresh > blind
    # The average follows, and its figure too: highs of the two kinds are 40 dB apart, 20 from their mean.
    assert float(task.error(config, trainer.average, batch).detach()) < 0.7 * blind
    assert 10 * blind > 15


def test_what_is_drawn_is_what_the_prior_will_see(config: TrainConfig) -> None:
    shown, wanted, known = drawn(config)
    assert shown.shape == (8, 9, FEATURES)
    assert wanted.shape == (8, 9, BANDS)
    assert torch.equal(known, known_bands(torch.full((8,), CUT / (RATE / 2))))
    # Levels as they are told, those that are known among them. A window breaks off at its ends, and what is above
    # the cut breaks off too, below the least that this sound has anywhere.
    told = 4 * shown[:, 2:-2, :40] - 2
    assert (told - wanted[:, 2:-2, :40]).abs().max() < 0.01
    again, other = drawn(config), drawn(config, 1)
    assert all(torch.equal(one, same) for one, same in zip((shown, wanted, known), again, strict=True))
    assert not torch.equal(shown, other[0])


def test_windows_are_varied(config: TrainConfig, tmp_path: Path) -> None:
    """Silence that hisses: what is shown and what is wanted."""
    folder = tmp_path / "silence"
    folder.mkdir()
    soundfile.write(folder / "one.wav", np.zeros(RATE), RATE)
    hissing: dict[str, Any] = {"hiss": 1.0, "hiss_db": (-40.0, -40.0)}
    for variation, least in (({}, -8.0), (hissing, -3.0)):
        varied = TrainConfig(**{**vars(config), "train": (str(folder),), "variation": variation})
        shown, wanted, _ = drawn(varied)
        inner = (slice(None), slice(2, -2))
        for level in (wanted[inner], 4 * shown[inner][..., 1:40] - 2):
            assert (float(level.mean()) > -4) == bool(variation)
            assert float(level.min()) >= least - 1e-5 or variation


# What an error is.


def test_the_error_of_a_frame_is_that_of_its_missing_bands() -> None:
    wanted, known = (
        torch.randn(2, 5, BANDS, generator=torch.Generator().manual_seed(0)),
        torch.zeros(2, BANDS),
    )
    known[0, :32], known[1] = 1, 1
    told = wanted.clone()
    told[:, :, :32] += 7  # known in both
    assert torch.equal(frame_error(told, wanted, known), torch.zeros(2, 5))
    told[:, 3, 32:] += 0.5
    told[:, 4, 32:80] += 0.5
    expected = [[0, 0, 0, 0.25, 0.25 * 48 / 96], [0.0] * 5]  # with nothing missing there is nothing to err in
    assert frame_error(told, wanted, known).tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


class Knows:
    """Tells the levels of what was simulated last, so many decibels too high."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off: Tensor | float = 0.0
        self.item: Banded | None = None
        monkeypatch.setattr(envelope_task, "simulated_bands", self.simulated)

    def simulated(self, *how: Any) -> Banded:
        self.item = simulated_bands(*how)
        return self.item

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def __call__(self, shown: Tensor) -> Tensor:
        assert self.item is not None
        told: Tensor = levels(spectrum(self.item.clean)) + self.off / 10
        assert shown.shape == (*told.shape[:2], FEATURES)
        return (told + 2) / 4


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> Knows:
    monkeypatch.setattr(envelope_task, "VALID_WINDOWS", 3)
    monkeypatch.setattr(envelope_task, "VALID_LENGTH", 4096)
    return Knows(monkeypatch)


def test_who_tells_all_errs_by_nothing_and_figures_are_decibels(config: TrainConfig, knows: Knows) -> None:
    task, folders = make_task(config), folders_of(config, config.valid)
    names = ["3949 Hz", "1974 Hz", "987 Hz"]  # half, a quarter and an eighth of the rate

    def figures() -> list[float]:
        found = task.validate(config, knows, folders)
        assert list(found) == ["envelope_error_db", "mean_envelope_error_db"]
        assert list(found["envelope_error_db"]) == names
        each = list(found["envelope_error_db"].values())
        assert found["mean_envelope_error_db"] == pytest.approx(np.mean(each), abs=1e-3)
        return each

    assert figures() == [0, 0, 0]
    knows.off = 6.0
    assert figures() == pytest.approx([6, 6, 6], abs=2e-3)
    # Every other of nine frames from the first on; and where it is known for each cut-off, for two, for one.
    knows.off = 6.0 * (torch.arange(9) % 2 == 0).float()[:, None]
    assert figures() == pytest.approx([6 * 5 / 9] * 3, abs=2e-3)
    knows.off = 6.0 * (torch.arange(BANDS) < 15).float()
    assert figures() == [0, 0, 0]
    knows.off = 6.0 * ((torch.arange(BANDS) >= 15) & (torch.arange(BANDS) < 31)).float()
    assert figures() == pytest.approx([0, 0, 6 * math.sqrt(16 / 113)], abs=2e-3)


def test_the_loss_of_who_tells_all_is_what_nobody_can_tell(config: TrainConfig, knows: Knows) -> None:
    task = make_task(config)
    batch = task.draw(config, folders_of(config, config.train), np.random.default_rng(0))
    assert float(task.error(config, knows, batch)) == pytest.approx(math.sqrt(FINE), abs=1e-4)
    knows.off = 10.0
    assert float(task.error(config, knows, batch)) == pytest.approx(math.sqrt(FINE + 1), abs=1e-4)


def test_figures_are_the_same_each_time(config: TrainConfig, knows: Knows) -> None:
    net, folders = EnvelopeTask().network(config), folders_of(config, config.valid)
    first = EnvelopeTask().validate(config, net, folders)
    assert first == EnvelopeTask().validate(config, net, folders)
    with torch.no_grad():
        net.leave.bias.add_(0.5)
    assert first != EnvelopeTask().validate(config, net, folders)


@pytest.mark.parametrize("name", ["trusted_rise_db", "eased_db"])
@pytest.mark.parametrize("change", [{"family": "envelope"}, {"family": "score"}])
def test_what_is_trusted_is_of_an_envelope_and_not_negative(name: str, change: dict[str, Any]) -> None:
    stated = {
        "name": "x",
        "family": "envelope",
        "source": "speech",
        "train": ("a",),
        "valid": ("b",),
        **change,
        name: -1.0 if change["family"] == "envelope" else 7.0,
    }
    with pytest.raises(SettingError, match=f"{name} is of an envelope, 0 or more"):
        TrainConfig(**stated)
