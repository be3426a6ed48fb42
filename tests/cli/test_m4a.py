"""MP4 through the real command line: every command takes it and gives it back, to the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audiofix.audio import mp4
from audiofix.audio.files import quantise, read_audio, write_audio
from audiofix.types import Audio
from tests.cli.conftest import files_under
from tests.cli.restoring import AGAINST_IT, sound

pytest.importorskip("av", reason="PyAV is an extra: audiofix[m4a]")
TAGS = {"title": "Night", "artist": "Nobody", "tracknumber": "3/9"}
GAP = ("--gap", "0.1+20ms")


def recording(name: str, subtype: str, rate: int, channels: int, samples: np.ndarray | None = None) -> Audio:
    """A file of 0.25 s, and what it holds."""
    x = sound(rate, channels=channels, peak=0.3) if samples is None else samples
    whole = quantise(torch.from_numpy(x.T).float(), subtype)
    write_audio(Path(name), Audio(whole, rate, subtype, "MP4", TAGS))
    return read_audio(Path(name))


def form(audio: Audio) -> tuple[object, ...]:
    return audio.container, audio.subtype, audio.sample_rate, audio.samples.shape, audio.tags


@pytest.mark.parametrize(("subtype", "rate", "channels"), [("AAC", 44100, 2), ("ALAC_24", 16000, 1)])
@pytest.mark.parametrize(
    "command",
    [
        ("inpaint", *GAP),
        ("declip", "--level", 0.2),
        ("dequantise", "--bits", 6),
        ("denoise", "--noise-db", 20),
        ("upsample", "--cutoff", 3000),
        ("restore", "--ops", "clip:0.2 | gap:0.1+5ms"),
    ],
    ids=lambda command: str(command[0]),
)
def test_every_command_gives_back_what_it_took(run, tiny_models, command, subtype, rate, channels):
    before = recording("in.m4a", subtype, rate, channels)
    verb, *options = command
    result = run(verb, "in.m4a", *options, *AGAINST_IT)
    assert result.exit_code == 0, result.stderr
    assert files_under(Path("restored")) == ["in.m4a", "in.report.json"]
    after = read_audio(Path("restored/in.m4a"))
    assert form(after) == form(before)
    assert ("codes samples anew" in result.stdout) == (subtype == "AAC")
    if (verb, subtype) == ("inpaint", "ALAC_24"):
        inside = slice(round(0.1 * rate), round(0.12 * rate))
        changed = (after.samples != before.samples).any(dim=0)
        assert changed[inside].any()
        changed[inside] = False
        assert not changed.any()


def test_a_new_rate(run, tiny_models):
    recording("in.m4a", "AAC", 8000, 2)
    result = run("upsample", "in.m4a", "--to", 16000, *AGAINST_IT)
    assert result.exit_code == 0, result.stderr
    after = read_audio(Path("restored/in.m4a"))
    assert form(after) == ("MP4", "AAC", 16000, (2, 4000), TAGS)


def test_stems_of_a_lossless_one_add_up(run, tiny_separator):
    before = recording("in.m4a", "ALAC_16", 44100, 2)
    result = run("separate", "in.m4a", "--quality", "fast", "--residual")
    assert result.exit_code == 0, result.stderr
    stems = [read_audio(Path(f"separated/in/{name}.m4a")) for name in ("speech", "piano", "residual")]
    assert all(form(stem) == form(before) for stem in stems)
    assert torch.equal(sum(stem.samples for stem in stems), before.samples)


def test_folders_are_searched_for_it(run, tiny_models):
    Path("album").mkdir()
    recording("album/one.m4a", "AAC", 16000, 1)
    recording("album/two.m4b", "ALAC_16", 16000, 1)
    result = run("inpaint", "album", *GAP, *AGAINST_IT)
    assert result.exit_code == 0, result.stderr
    assert files_under(Path("restored")) == [
        "manifest.jsonl", "one.m4a", "one.report.json", "two.m4b", "two.report.json",
    ]  # fmt: skip


def test_results_that_are_there_are_not_replaced(run, tiny_models):
    recording("in.m4a", "AAC", 16000, 1)
    recording("restored/in.m4a", "AAC", 16000, 1)
    result = run("inpaint", "in.m4a", *GAP, *AGAINST_IT)
    assert result.exit_code == 7
    assert "restored/in.m4a exists already" in result.stderr


def test_without_pyav(run, monkeypatch):
    recording("in.m4a", "AAC", 16000, 1)
    monkeypatch.setattr(mp4, "_library", lambda: None)
    for command in (("inpaint", "in.m4a", *GAP), ("separate", "in.m4a")):
        result = run(*command)
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert "pip install 'audiofix[m4a]'" in line
    assert files_under(Path()) == ["in.m4a"]
