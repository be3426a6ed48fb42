"""The real command line on real files, with or without a stand-in for the sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner, Result

from audiofix import api
from audiofix.cli.app import app
from audiofix.types import Audio


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run the command in this process; arguments as text."""

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="audiofix")

    return invoke


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of noise, or of given samples (time, channel)."""

    def file(
        name: str = "mix.wav",
        samples: np.ndarray | None = None,
        *,
        length: int = 2205,
        channels: int = 2,
        rate: int = 44100,
        subtype: str = "PCM_16",
        seed: int = 0,
    ) -> Path:
        if samples is None:
            samples = 0.2 * np.random.default_rng(seed).standard_normal((length, channels)).clip(-4, 4)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, subtype)
        return path

    return file


class Sampling:
    """Stands in for `audiofix.api.separate`: unequal shares of the mixture, on no file's grid.

    `beyond` is the share of the mixture that no stem takes. `calls` are the settings that came.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.beyond = 0.0
        self.gain = 1.0
        self.error: BaseException | None = None

    def separate(self, audio: Audio, sources: Sequence[str], **settings: Any) -> api.Separation:
        self.calls.append({"audio": audio, "sources": list(sources), **settings})
        if self.error is not None:
            raise self.error
        if settings["progress"] is not None:
            settings["progress"](api.Progress(1, 1, 2, 24, 3, 64, 0.5, 67, 1536))
        beyond = self.beyond * audio.samples.roll(1, dims=1)
        draws, count = [], settings["draws"] or 1
        for draw in range(count):
            shares = torch.linspace(1.0, 1.7 + draw, len(sources))
            shares = self.gain * shares / shares.sum()
            shares[-1] += 1 - shares.sum()
            draws.append({n: s * (audio.samples - beyond) for n, s in zip(sources, shares, strict=True)})
        stems = {n: torch.stack([one[n] for one in draws]).mean(dim=0) for n in sources}
        scores = {n: {"before": 0.125, "after": 7.25} for n in settings["references"] or {}}
        report = {
            "audiofix": "1.2.3",
            "settings": {
                "sources": list(sources),
                "seed": settings["seed"],
                "step_scale": settings["step_scale"],
            },
            "input": {"seconds": audio.seconds},
            "models": [{"name": f"{name}-model", "hash": "0123456789ab"} for name in sources],
            "seconds_per_audio_second": 12.5,
            "si_sdr": scores,
            "reconstruction_error_db": float("-inf"),
            "notes": ["content above 8000 Hz is in the residual"] if self.beyond else [],
        }
        as_audio = [{n: Audio(x, audio.sample_rate) for n, x in one.items()} for one in [stems, *draws]]
        each = as_audio[1:] if count > 1 else []
        return api.Separation(as_audio[0], Audio(beyond, audio.sample_rate), each, report)


@pytest.fixture
def sampling(monkeypatch: pytest.MonkeyPatch) -> Sampling:
    """No prior is asked: stems come from `Sampling`."""
    stand_in = Sampling()
    monkeypatch.setattr(api, "separate", stand_in.separate)
    return stand_in


def files_under(folder: Path) -> list[str]:
    """Every file and empty folder, hidden ones too."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or not any(p.iterdir())
    )
