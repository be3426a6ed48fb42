"""Miniature trees in the published layouts, read as the real ones would be."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

import audiofix
from audiofix.datasets import folder, musdb, stems, vctk
from audiofix.datasets.base import Group, Preparation, load
from audiofix.datasets.published import published
from audiofix.errors import InputError, SettingError
from tests.datasets import trees

EACH = [Group((name,), name) for name in trees.STEMS]


LISTS = """
import json, sys, torch
torch.version.cuda = None  # or torchaudio refuses a torch of another CUDA; its lists need none
from pathlib import Path
from audiofix.datasets import musdb, vctk
from audiofix.datasets.published import published
found = {"songs": published("MUSDB_HQ"), "utterances": published("VCTK_092")}
there = all(found.values())
def lists():
    utterances = [vctk._utterances(Path(), mic) for mic in ("mic1", "mic2")]
    files = [[str(file) for files in each.values() for file in files] for each in utterances]
    return musdb._songs(Path("musdb18hq"), "test"), files
theirs = lists()
musdb.published = vctk.published = lambda name: None
print(json.dumps([there, theirs, lists()]))
"""


def test_ours_and_torchaudios_lists_are_the_same(tmp_path):
    """In a process of its own: what an import that fails leaves behind is nobody else's."""
    root = trees.musdb_wav(tmp_path / "musdb18hq", songs=3) / "test"
    (root / "Artist - Nothing unpacked").mkdir()
    (root / ".hidden").mkdir()
    trees.write(root / "Disc 2" / "Artist - Song 9" / "drums.wav", trees.sound(0, 0.1, 44100, 2), 44100)
    (root / "readme.txt").write_text("no song")
    corpus = trees.vctk(tmp_path) / "VCTK-Corpus-0.92"
    (corpus / "wav48_silence_trimmed/p362/p362_002_mic1.flac").unlink()
    (corpus / "wav48_silence_trimmed/p374/p374_001_mic2.flac").unlink()
    (corpus / "txt/p345/p345_003.txt").unlink()
    (corpus / "txt/p345/.listing").write_text("no transcript")
    done = subprocess.run(
        [sys.executable, "-c", LISTS], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(audiofix.__file__).parents[1])},
    )  # fmt: skip
    there, theirs, ours = json.loads(done.stdout)
    if not there:
        pytest.skip("torchaudio.datasets cannot be imported")
    assert ours == theirs
    songs, files = ours
    assert songs == [
        "Artist - Nothing unpacked",
        *(f"Artist - Song {n}" for n in range(3)),
        "Disc 2/Artist - Song 9",
    ]
    # Four speakers, four utterances each, less one without a transcript and one without its recording.
    assert [len(of_one) for of_one in files] == [14, 14]


def test_without_a_torchaudio_that_fits(tmp_path, monkeypatch):
    """Each way in which its import fails, and what it does not have."""
    trees.musdb_wav(tmp_path / "musdb18hq", songs=1)
    errors = (ImportError("none"), OSError("undefined symbol"), RuntimeError("different CUDA versions"))
    for error in errors:
        monkeypatch.setattr(importlib, "import_module", Mock(side_effect=error))
        assert published("MUSDB_HQ") is None
        assert [track.name for track in musdb.tracks(tmp_path)] == ["Artist - Song 0"]
    monkeypatch.setattr(importlib, "import_module", Mock(return_value=SimpleNamespace(MUSDB_HQ=int)))
    assert published("MUSDB_HQ") is int
    assert published("VCTK_092") is None


@pytest.mark.parametrize("name", ["musdb18hq", "MUSDB18-HQ"])
def test_musdb_wav(tmp_path, name):
    root = trees.musdb_wav(tmp_path / name)
    found = musdb.tracks(root)
    assert [track.name for track in found] == ["Artist - Song 0", "Artist - Song 1"]
    material = load(found[1], EACH, Preparation())
    for number, stem in enumerate(trees.STEMS):
        wave = torch.from_numpy(trees.sound(10 + number, 0.25, 44100, 2).T)
        assert float((material.clean[stem] - wave).abs().max()) < 2**-15
    assert (material.rate, material.mixture.shape) == (44100, (2, 11025))
    # 16-bit files: the mixture on disk is not the sum of the stems to the last step.
    assert float((material.mixture - sum(material.clean.values())).abs().max()) > 0


def test_musdb_by_its_parent(tmp_path):
    trees.musdb_wav(tmp_path / "musdb18hq", "train", songs=1)
    assert len(musdb.tracks(tmp_path, "train")) == 1
    with pytest.raises(InputError, match="no folder test"):
        musdb.tracks(tmp_path, "test")


def test_musdb_with_a_stem_lost(tmp_path):
    root = trees.musdb_wav(tmp_path / "mus", songs=1)
    next(root.rglob("bass.wav")).unlink()
    with pytest.raises(InputError, match=r"lacks bass\.wav"):
        musdb.tracks(root)


def test_musdb_packed(tmp_path):
    pytest.importorskip("av", reason="the extra `evaluate` reads .stem.mp4")
    (track,) = musdb.tracks(trees.musdb_packed(tmp_path))
    assert track.name == "Artist - Song 0"
    material = load(track, EACH, Preparation())
    for number, stem in enumerate(trees.STEMS):
        wave = trees.sound(number, 0.25, 44100, 2).T
        # The encoder puts 1024 samples before the sound, in every stream alike.
        got = material.clean[stem][:, 1024 : 1024 + 11025].numpy()
        correlation = np.sum(got * wave) / np.sqrt(np.sum(got**2) * np.sum(wave**2))
        assert correlation > 0.95, stem
    rest = material.mixture - sum(material.clean.values())
    assert float(rest.square().mean()) < 0.05 * float(material.mixture.square().mean())


def test_pyav_and_stempeg_read_the_same(tmp_path):
    pytest.importorskip("av", reason="the extra `evaluate` reads .stem.mp4")
    if importlib.util.find_spec("stempeg") is None or not shutil.which("ffmpeg"):
        pytest.skip("stempeg needs ffmpeg")
    file = trees.musdb_packed(tmp_path) / "test" / "Artist - Song 0.stem.mp4"
    for stream in (0, 4):
        one, other = stems.read_stream(file, stream), stems._by_stempeg(file, stream)
        assert one.sample_rate == other.sample_rate == 44100
        torch.testing.assert_close(one.samples, other.samples, atol=2**-20, rtol=0)


def test_bad_stem_files(tmp_path, monkeypatch):
    file = tmp_path / "a.stem.mp4"
    with pytest.raises(InputError, match="does not exist"):
        stems.read_stream(file, 0)
    file.write_bytes(b"no mp4")
    if importlib.util.find_spec("av"):
        with pytest.raises(InputError, match="cannot be decoded"):
            stems.read_stream(file, 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"audiofix\[evaluate\]"):
        stems.read_stream(file, 0)


def test_vctk(tmp_path):
    trees.vctk(tmp_path)
    pianos = trees.pianos(tmp_path / "pianos")
    found = vctk.tracks(tmp_path, pianos, clips=2, seconds=0.4)
    assert [track.name.split("_")[0] for track in found] == ["p345", "p361", "p362", "p374"] * 2
    assert len({track.name for track in found}) == 8
    assert {track.stems["speech"].path.name.rsplit("_", 1)[1] for track in found} == {"mic1.flac"}
    assert {track.stems["piano"].path for track in found} == set(pianos.iterdir())
    prepare = Preparation(22050, mono=True, peak=True, seconds=0.4)
    material = load(found[0], [Group(("speech",), "speech"), Group(("piano",), "piano")], prepare)
    assert {wave.shape for wave in material.clean.values()} == {(1, 8820)}
    torch.testing.assert_close(material.mixture, sum(material.clean.values()))


def test_vctk_is_drawn_from_the_seed(tmp_path):
    trees.vctk(tmp_path, clips=4)
    pianos = trees.pianos(tmp_path / "pianos")
    one, same, other = (vctk.tracks(tmp_path, pianos, clips=3, seconds=0.4, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_vctk_may_be_the_folder_itself(tmp_path):
    trees.vctk(tmp_path)
    inner = vctk.tracks(tmp_path / "VCTK-Corpus-0.92", clips=1, seconds=0.4)
    assert [track.name for track in inner] == [t.name for t in vctk.tracks(tmp_path, clips=1, seconds=0.4)]


def test_vctk_has_too_few(tmp_path):
    trees.vctk(tmp_path)
    with pytest.raises(
        SettingError, match=r"of 0\.4 s or more: p345 3, .*; give --clips 3, or shorter --seconds"
    ):
        vctk.tracks(tmp_path, clips=4, seconds=0.4)
    spoken = tmp_path / "VCTK-Corpus-0.92" / "wav48_silence_trimmed"
    for number in (1, 2):
        (spoken / "p374" / f"p374_00{number}_mic1.flac").unlink()
    with pytest.raises(SettingError, match=r"p374 1; give --clips 1, or"):
        vctk.tracks(tmp_path, clips=4, seconds=0.4)
    with pytest.raises(SettingError, match=r"p345 0, .*; give shorter --seconds$"):
        vctk.tracks(tmp_path, clips=4, seconds=3)
    with pytest.raises(InputError, match="no recording of 2 s"):
        vctk.tracks(tmp_path, trees.pianos(tmp_path / "p"), clips=1, seconds=2.0)
    with pytest.raises(InputError, match=r"holds no VCTK-Corpus-0\.92"):
        vctk.tracks(tmp_path / "p")
    shutil.rmtree(tmp_path / "VCTK-Corpus-0.92" / "wav48_silence_trimmed" / "p361")
    with pytest.raises(InputError, match="no recordings of p361"):
        vctk.tracks(tmp_path, clips=1, seconds=0.4)


def test_a_folder_of_tracks(tmp_path):
    root = trees.folder_tree(tmp_path / "set")
    trees.write(root / "deep" / "er" / "mix.wav", trees.sound(0, 0.1, 8000), 8000)
    trees.write(root / "loose.wav", trees.sound(0, 0.1, 8000), 8000)  # not a track beside folders of tracks
    found = {track.name: track for track in folder.tracks(root)}
    assert list(found) == ["deep/er", "track 0", "track 1"]
    assert found["deep/er"].mixture is not None
    assert set(found["track 0"].stems) == {"speech", "piano"}


def test_loose_recordings(tmp_path):
    for name in ("b.wav", "a.flac"):
        trees.write(tmp_path / name, trees.sound(0, 0.1, 8000), 8000)
    (tmp_path / "notes.txt").write_text("no audio")
    assert [(t.name, list(t.stems)) for t in folder.tracks(tmp_path)] == [("a", ["clean"]), ("b", ["clean"])]
    trees.write(tmp_path / "a.wav", trees.sound(0, 0.1, 8000), 8000)
    with pytest.raises(InputError, match="differ in their suffix only"):
        folder.tracks(tmp_path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table(tmp_path, separator):
    for name in ("noisy", "clean", "other"):
        trees.write(tmp_path / "audio" / f"{name}.wav", trees.sound(0, 0.1, 8000), 8000)
    table = tmp_path / "pairs.csv"
    text = "track,given,clean\none,audio/noisy.wav,audio/clean.wav\ntwo,,audio/other.wav\n"
    table.write_text(text.replace(",", separator), encoding="utf-8-sig")
    one, two = folder.tracks(table)
    assert (one.name, one.given.path.name, one.stems["clean"].path.name) == ("one", "noisy.wav", "clean.wav")
    assert (two.name, two.given) == ("two", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track,clean\na,gone.wav\n", "line 2: gone.wav does not exist"),
        ("track,clean\n", "no rows"),
        ("track,clean\na,\n", "line 2: no clean recording"),
        ("clean\nx.wav\nx.wav\n", "name twice"),
    ],
)
def test_a_bad_table(tmp_path, text, message):
    trees.write(tmp_path / "x.wav", trees.sound(0, 0.1, 8000), 8000)
    table = tmp_path / "pairs.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        folder.tracks(table)


def test_nothing_to_read(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(b"PK")
    for reader in (musdb, vctk):
        with pytest.raises(InputError, match="gone does not exist"):
            reader.tracks(tmp_path / "gone")
        with pytest.raises(InputError, match=r"set\.zip is a file; unpack it"):
            reader.tracks(archive)
    recording = trees.write(tmp_path / "one" / "a.flac", trees.sound(0, 0.1, 8000), 8000)
    with pytest.raises(InputError, match=r"a\.flac is one recording; give the folder"):
        folder.tracks(recording)
    shutil.rmtree(recording.parent)
    with pytest.raises(InputError, match="no audio files"):
        folder.tracks(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        folder.tracks(tmp_path / "gone")


def test_stempegs_own_excerpt():
    """The excerpt of MUSDB18 that stempeg brings: five streams that add up, as AAC keeps them."""
    pytest.importorskip("av", reason="the extra `evaluate` reads .stem.mp4")
    stempeg = pytest.importorskip("stempeg")
    (file,) = (Path(stempeg.__file__).parent / "data").glob("*.stem.mp4")
    parts = [stems.read_stream(file, stream).samples for stream in range(5)]
    assert {part.shape for part in parts} == {(2, 268288)}
    rest = (parts[0] - sum(parts[1:])).square().mean() / parts[0].square().mean()
    assert (
        float(rest) < 0.05
    )  # the mixture was mastered: the sum is near it, and further with a stem left out
    for left_out in parts[1:]:
        other = (parts[0] - sum(parts[1:]) + left_out).square().mean() / parts[0].square().mean()
        assert other > rest
