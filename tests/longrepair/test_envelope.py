"""Draws of a missing band that an envelope shapes, from the disk: the same in any sections, and near memory's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import audiofix.tools
from audiofix.audio.files import read_audio
from audiofix.choosing import ENVELOPE
from audiofix.damages import LostBand
from audiofix.hub.registry import export_model
from audiofix.longrepair import restore as module
from audiofix.nets.envelope import EnvelopeNet
from audiofix.operators.local import DEPTH, SLOPE
from audiofix.priors.envelope import Envelope
from audiofix.repair import restore
from audiofix.runtime.ranks import UNIT
from tests.conftest import tiny_card
from tests.hub.tiny import TINY_ENVELOPE, tiny_envelope
from tests.longrepair.test_same import RATE, Pointwise, from_disk, same, small, written

__all__ = ["small"]
CUT = 3000.0


@pytest.fixture
def telling(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An envelope of random weights among the tiny models."""
    export(tmp_path / "more", None)
    monkeypatch.setenv("AUDIOFIX_MODELS", os.pathsep.join(map(str, (exported, tmp_path / "more"))))


def export(folder: Path, told: float | None) -> None:
    card = replace(tiny_card("tiny-envelope", "envelope", "speech"), sigmas=(), validation={ENVELOPE: 3.0})
    export_model(tiny_envelope(told=told), card, folder / card.name, overwrite=True)


@pytest.mark.usefixtures("telling")
@pytest.mark.parametrize("rate", [RATE, 22050])
def test_sections_change_no_bit(rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, faults = written(tmp_path / "x.wav", rate, 6.8, 1, same), [LostBand(CUT)]
    found, long = from_disk(path, faults, tmp_path / "three", quality="fast")
    assert [model["name"] for model in long.report["models"]] == ["tiny-speech", "tiny-envelope"]
    assert long.audio.length * RATE / rate > 2 * UNIT  # three sections
    monkeypatch.setattr(module, "section_for", lambda *_: 100 * UNIT)
    assert torch.equal(found, from_disk(path, faults, tmp_path / "one", quality="fast")[0])


def test_it_changes_what_comes_from_the_disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, faults = written(tmp_path / "x.wav", RATE, 1.0, 1, same), [LostBand(CUT)]
    without, _ = from_disk(path, faults, tmp_path / "without", quality="fast")
    request.getfixturevalue("telling")
    found, _ = from_disk(path, faults, tmp_path / "with", quality="fast")
    assert (found - without).abs().max() > 1e-3
    _, mean = from_disk(path, faults, tmp_path / "mean", quality="fast", mean=True)
    assert [model["name"] for model in mean.report["models"]] == ["tiny-speech"]


def test_sections_see_as_far_as_the_network(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that looks eight seconds to each side, more than filters do."""
    net = EnvelopeNet(replace(TINY_ENVELOPE, dilations=(128,)))
    with torch.no_grad():
        for index, weight in enumerate(net.parameters()):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(index)))
    envelope = Envelope(net, RATE)
    monkeypatch.setattr(
        "audiofix.tools.load_prior",
        lambda home, *how, **more: envelope if Path(home).name == "tiny-envelope" else Pointwise(),
    )
    export(tmp_path / "more", None)
    monkeypatch.setenv("AUDIOFIX_MODELS", os.pathsep.join(map(str, (exported, tmp_path / "more"))))
    path, faults = written(tmp_path / "x.wav", RATE, 15.0, 1, same), [LostBand(CUT)]
    found, _ = from_disk(path, faults, tmp_path / "five", quality="fast")
    monkeypatch.setattr(module, "section_for", lambda *_: 100 * UNIT)
    assert torch.equal(found, from_disk(path, faults, tmp_path / "one", quality="fast")[0])


def far(found: Tensor, expected: Tensor, rate: int) -> tuple[float, float, float]:
    """As tests/longrepair/test_same.py: apart away from edges, next to them, and how large all is."""
    inner = slice(rate // 2, -rate // 2)
    window = torch.hann_window(found[:, inner].shape[1], periodic=False).double() ** 4
    apart = torch.fft.rfft((found - expected)[:, inner].double() * window).abs()[0]
    whole = torch.fft.rfft(expected[:, inner].double() * window).abs()[0]
    hertz = torch.arange(len(apart)) * rate / found[:, inner].shape[1]
    # A gain is of what its band and two beside have, and leads over to the next: three bands of 62.5 Hz in each
    # of three rounds, from the edge on, where levels differ by what SLOPE does.
    reach, beside = 9 * 62.5 + 100, 2 * SLOPE + 8
    near = (hertz > CUT - 100) & (hertz < CUT + reach)
    if rate != RATE:  # the other edge
        near |= (hertz > RATE / 2 - reach) & (hertz < RATE / 2 + beside)
    return tuple(float(part.square().mean().sqrt()) for part in (apart[~near], apart[near], whole))  # type: ignore[return-value]


@pytest.mark.usefixtures("telling")
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_away_from_the_edge_it_is_what_memory_gives(
    rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a linear prior, and an envelope that tells the same of what differs by SLOPE around an edge."""
    real = audiofix.tools.load_prior
    export(tmp_path / "more", -0.5)

    def load(home: Path, *how: Any, **more: Any) -> Any:
        return real(home, *how, **more) if "envelope" in Path(home).name else Pointwise()

    monkeypatch.setattr("audiofix.tools.load_prior", load)
    path = written(tmp_path / "x.wav", rate, 4.5, 1, same)
    settings: dict[str, Any] = {"quality": "fast"}
    expected = restore(read_audio(path), [LostBand(CUT)], prior="tiny-speech", device="cpu", **settings)
    assert [model["name"] for model in expected.report["models"]] == ["tiny-speech", "tiny-envelope"]
    found, _ = from_disk(path, [LostBand(CUT)], tmp_path / "scratch", **settings)
    away, near, size = far(found, expected.audio.samples, rate)
    assert away < (12 * DEPTH + 1e-6) * size * 2  # of that test
    assert near > 10 * away
