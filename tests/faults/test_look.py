"""A recording that is looked at part by part shows what it shows as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.audio.streaming import outline
from audiofix.faults import clipping
from audiofix.faults.clipping import clipping_in_parts, find_clipping, find_plateau, plateau_in_parts
from audiofix.faults.depth import depth_in_parts, find_depth
from audiofix.faults.look import look_at
from audiofix.longrepair import lengths
from audiofix.longrepair.finding import look_from
from tests.faults.signals import RATE, piano, voice

SOUNDS = {
    "clipped": lambda x: x.clip(-0.3 * np.abs(x).max(), 0.4 * np.abs(x).max()),
    "clipped, few steps": lambda x: (x.clip(-0.3 * np.abs(x).max(), None) * 40).round() / 40,
    "rounded": lambda x: (x * 16).round() / 16,
    "as it is": lambda x: x,
    "a step of its own": lambda x: np.where(np.abs(x) > 0.2, 0.25 * np.sign(x), x),
}


def sound(name: str) -> torch.Tensor:
    x = np.stack([voice()[:40000], piano()[:40000]])
    return torch.from_numpy(SOUNDS[name](x)).float()


@pytest.mark.parametrize("size", [997, 20_000])
@pytest.mark.parametrize("name", SOUNDS)
def test_parts_show_what_the_whole_shows(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sound(name)
    raw = x.double().numpy()

    def parts() -> list[np.ndarray]:
        return [raw[:, a : a + size] for a in range(0, raw.shape[1], size)]

    monkeypatch.setattr(clipping, "PART", 1 << 20)
    assert clipping_in_parts(parts) == find_clipping(x)
    assert plateau_in_parts(parts) == find_plateau(x)
    assert depth_in_parts(parts) == find_depth(x)


def test_the_cases_are_found_at_all() -> None:
    assert find_clipping(sound("clipped")) is not None
    assert find_depth(sound("rounded")) is not None
    assert find_clipping(sound("as it is")) is None


@pytest.mark.parametrize("name", ["clipped", "as it is"])
def test_a_file_shows_what_its_samples_show(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = sound(name) + 0.01 * torch.randn(2, 40000, generator=torch.Generator().manual_seed(0))
    x[:, 20_000:20_100] = float("nan")
    monkeypatch.setattr("audiofix.longrepair.finding.STRETCH", 3001)
    path = tmp_path / "x.wav"
    soundfile.write(path, x.T.numpy(), RATE, "FLOAT")
    whole = look_at(x, RATE)
    with look_from(path, outline(path), tmp_path) as look:
        assert look.peak() == whole.peak()
        assert look.power() == pytest.approx(whole.power(), rel=1e-12)
        assert look.clipping() == whole.clipping()
        assert look.gaps() == whole.gaps()
        found, wanted = look.noise(), whole.noise()
        assert found is not None
        assert wanted is not None
        assert torch.equal(found.profile, wanted.profile)
        np.testing.assert_array_equal(look.frames(), whole.frames())
        assert look.cutoff() == whole.cutoff()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.wav"]
    assert lengths.STRETCH > 3001
