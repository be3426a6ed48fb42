"""The first command of the README, with fewer steps: the shipped models on the shipped sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from typer.testing import CliRunner

from audiofix.cli.app import app

SAMPLES = Path(__file__).parent.parent / "samples"


def test_the_shipped_models_separate_the_shipped_sample(tmp_path: Path) -> None:
    references = [f"--reference={name}={SAMPLES / name}.wav" for name in ("speech", "piano")]
    command = [
        "separate",
        str(SAMPLES / "mix.wav"),
        "-o",
        str(tmp_path),
        "--levels",
        "2",
        "--json",
        *references,
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [m["name"] for m in report["models"]] == ["speech-piano", "speech-score", "piano-score"]
    stems = [
        soundfile.read(tmp_path / "mix" / f"{n}.wav", dtype="int16")[0].astype(int)
        for n in ("speech", "piano")
    ]
    np.testing.assert_array_equal(
        sum(stems), soundfile.read(SAMPLES / "mix.wav", dtype="int16")[0].astype(int)
    )
    for scores in report["si_sdr"].values():
        # The separator alone gains about 10 dB; a swap of the stems or untrained weights gain none.
        assert scores["after"] > scores["before"] + 6


def test_the_sample_is_the_sum_of_its_sources() -> None:
    mix, speech, piano = (
        soundfile.read(SAMPLES / f"{name}.wav", dtype="int16")[0].astype(int)
        for name in ("mix", "speech", "piano")
    )
    np.testing.assert_array_equal(mix, speech + piano)
