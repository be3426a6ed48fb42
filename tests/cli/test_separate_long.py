"""`separate` by way of the disk, held against clean sources: the figures of a run in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000
FAST = ("--quality", "fast", "--device", "cpu")


@pytest.fixture
def mix(tiny_separator: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    speech, piano = 0.1 * generator.standard_normal((2, RATE, 2))
    for name, samples in (("speech", speech), ("piano", piano), ("mix", speech + piano)):
        soundfile.write(f"{name}.wav", samples, RATE, "FLOAT")
    return Path("mix.wav")


def test_references_give_the_figures_of_memory(run, mix):
    clean = ("--reference", "speech=speech.wav", "--reference", "piano=piano.wav")
    reports = []
    for out, more in (("whole", ()), ("disk", ("--memory", "4GB"))):
        result = run("separate", mix, *FAST, *clean, *more, "-o", out, "--json")
        assert result.exit_code == 0, result.stderr
        reports.append(json.loads(result.stdout))
    whole, disk = (report["si_sdr"] for report in reports)
    assert whole.keys() == disk.keys() == {"speech", "piano"}
    for source, figures in whole.items():
        assert disk[source] == pytest.approx(figures, rel=1e-6)
    assert reports[1]["settings"]["references"] == {"speech": "speech.wav", "piano": "piano.wav"}
    assert not [path for path in Path("disk").rglob("*") if "part" in path.name]


def test_references_unlike_the_mixture_are_refused_before_the_work(run, mix):
    soundfile.write("short.wav", np.ones((100, 2)), RATE)
    soundfile.write("silent.wav", np.full((RATE, 2), 0.25), RATE)
    for name, says in (("short", "has 100 samples"), ("silent", "silent")):
        result = run("separate", mix, *FAST, "--memory", "4GB", "--reference", f"piano={name}.wav")
        assert result.exit_code == 3
        assert says in result.stderr
        assert not Path("separated").exists() or not list(Path("separated").iterdir())
