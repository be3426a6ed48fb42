"""Known sets: which files are whose part, and windows of them that are those of the whole, resampled files."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.audio.resample import resample
from audiofix.errors import InputError, SettingError
from audiofix.training import reading
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder
from audiofix.training.folders import folders_of, read_ahead
from audiofix.training.reading import Ahead, Clips
from audiofix.training.sets import MUSDB_VALID, VCTK_TEST, Part, clips_of, held_out, parse_set, told_of
from tests.hub.tiny import TINY
from tests.training.trees import SPEAKERS, TRACKS, make_musdb, make_vctk, tone

RATE = 22050


@pytest.fixture(scope="module")
def vctk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vctk(tmp_path_factory.mktemp("vctk"))


@pytest.fixture(scope="module")
def musdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_musdb(tmp_path_factory.mktemp("musdb"))


def names(clips: list[tuple[Part, ...]]) -> list[str]:
    return [part.path.name for clip in clips for part in clip]


def test_speakers_are_whole_and_the_test_ones_nowhere(vctk: Path) -> None:
    train, valid = (clips_of(f"vctk:{vctk}", part) for part in ("train", "valid"))
    told = {part: {n.split("_")[0] for n in names(clips)} for part, clips in (("t", train), ("v", valid))}
    assert told["v"] == held_out(set(SPEAKERS) - VCTK_TEST)
    assert told["t"] == set(SPEAKERS) - VCTK_TEST - told["v"]
    assert all(n.endswith("_mic1.flac") for n in names(train + valid))
    assert len(train + valid) == 2 * 5
    # The folder that the archive unpacks to is the same set.
    assert clips_of(f"vctk:{vctk / 'VCTK-Corpus-0.92'}", "train") == train
    assert all(n.endswith("_mic2.flac") for n in names(clips_of(f"vctk:{vctk}#mic2", "train")))


def test_tracks_of_musdb(musdb: Path) -> None:
    train, valid = (clips_of(f"musdb:{musdb}#drums+bass", part) for part in ("train", "valid"))
    assert {clip[0].path.parent.name for clip in valid} == set(TRACKS) & MUSDB_VALID
    assert {clip[0].path.parent.name for clip in train} == set(TRACKS) - MUSDB_VALID
    assert [part.path.name for part in train[0]] == ["drums.wav", "bass.wav"]
    assert len(MUSDB_VALID) == 14


def test_a_sample_of_musdb_without_those_tracks_still_validates(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / "train" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "train" / name / "vocals.wav", tone(100, 0.1, 44100, 2), 44100)
    assert len(clips_of(f"musdb:{tmp_path}#vocals", "valid")) == 1
    assert len(clips_of(f"musdb:{tmp_path}#vocals", "train")) == 2
    (tmp_path / "train" / "b" / "vocals.wav").unlink()
    with pytest.raises(InputError, match=r"b/vocals\.wav is missing"):
        clips_of(f"musdb:{tmp_path}#vocals", "train") + clips_of(f"musdb:{tmp_path}#vocals", "valid")


def test_who_is_held_out_does_not_depend_on_the_others() -> None:
    many = [f"clip {i}.wav" for i in range(4000)]
    chosen = held_out(many)
    # 4,000 draws at 5 %: 200, within five standard deviations of sqrt(4000 * 0.05 * 0.95) = 13.8.
    assert abs(len(chosen) - 200) < 69
    fewer = many[::2]
    assert held_out(fewer) == chosen & set(fewer)
    assert len(held_out(["one"])) == 1


def test_a_folder_is_split_only_where_it_is_both(tmp_path: Path) -> None:
    for name in ("a/x.wav", "b/y.wav", "b/z.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, tone(100, 0.1, 8000), 8000)
    text = f"folder:{tmp_path}"
    config = TrainConfig("n", "s", (text,), (text,), network=TINY.to_dict())
    parts = [
        {f.path for f in folders_of(config, paths, part)[0].files}
        for paths, part in ((config.train, "train"), (config.valid, "valid"))
    ]
    assert len(parts[0]) == 2
    assert len(parts[1]) == 1
    assert not parts[0] & parts[1]
    # Another one given to validate on: each whole. A plain folder beside a set is whole too.
    config = replace(config, valid=(f"folder:{tmp_path / 'a'}",), train=(text, str(tmp_path / "b")))
    assert len(folders_of(config, config.train)[0].files) == 3 + 2
    assert len(folders_of(config, config.valid, "valid")[0].files) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vtck:/x", "vctk:PATH"),
        ("/x", "vctk:PATH"),
        ("musdb:/x", "mixture, drums, bass, other, vocals"),
        ("musdb:/x#voice", "mixture, drums, bass, other, vocals"),
        ("vctk:/x#mic3", "mic1, mic2"),
        ("vctk:", "vctk:PATH"),
    ],
)
def test_what_is_no_set(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse_set(text)


def test_other_layouts_are_refused(tmp_path: Path, vctk: Path) -> None:
    for text, said in (
        (f"vctk:{tmp_path}", "wav48_silence_trimmed"),
        (f"musdb:{vctk}#vocals", "no folder train"),
        (f"folder:{tmp_path}", "holds no audio"),
        (f"folder:{tmp_path / 'none'}", "not a folder"),
    ):
        with pytest.raises(InputError, match=said):
            clips_of(text, "train")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF and then nothing")
    with pytest.raises(InputError, match=r"bad\.wav cannot be read"):
        Clips([(Part(tmp_path / "bad.wav"),)], RATE)


@pytest.mark.parametrize(("rate", "to"), [(48000, 22050), (44100, 16000), (8000, 22050), (RATE, RATE)])
def test_a_window_is_that_of_the_whole_file(
    tmp_path: Path, rate: int, to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES", 0)
    wave = np.random.default_rng(0).standard_normal((rate, 1)).astype(np.float32) / 10
    soundfile.write(tmp_path / "a.wav", wave, rate, "FLOAT")
    clips = Clips([(Part(tmp_path / "a.wav"),)], to)
    whole = resample(torch.from_numpy(wave.T.copy()), rate, to)[0].numpy()
    for start in (0, 1, 777, to - 500):
        found = reading._window(clips.files[0], start, 500, to)[:, 0]
        # The same filter over the same samples, with its whole support inside the margin: not one bit differs.
        assert np.array_equal(found, whole[start : start + len(found)]), start


def test_stems_are_summed_and_channels_seen_one_at_a_time(musdb: Path) -> None:
    """Five-hundredths of the level of each tone tell what was summed and which channel it is."""
    clips = Clips(clips_of(f"musdb:{musdb}#drums+bass", "train"), 44100)
    window = clips.window(4410, np.random.default_rng(0)).numpy()
    time = np.arange(4410) / 44100
    level = {hz: abs(window @ np.exp(2j * np.pi * hz * time)) / 2205 for hz in (300, 600, 900, 1200)}
    # Whole periods are orthogonal; 16 bits leave 1e-5.
    channel = 0.3 if level[300] > 0.2 else 0.15
    assert [level[hz] for hz in (300, 600, 900, 1200)] == pytest.approx([channel, channel, 0, 0], abs=1e-3)
    peaks = {round(float(clips.window(4410, np.random.default_rng(i)).abs().max()), 2) for i in range(20)}
    assert len(peaks) == 2  # both channels come, never their mean


def test_streams_of_a_stem_mp4(tmp_path: Path) -> None:
    """MUSDB18's own container, written with PyAV's encoder: the right stream at the right place."""
    av = pytest.importorskip("av", reason="PyAV, of the extra `stems`, reads .stem.mp4")
    (tmp_path / "train").mkdir()
    for track in TRACKS[:2]:
        with av.open(str(tmp_path / "train" / f"{track}.stem.mp4"), "w", format="mp4") as container:
            streams = [container.add_stream("aac", rate=44100, layout="stereo") for _ in range(5)]
            for place, stream in enumerate(streams):
                wave = tone(300 * (place + 1), 1.5, 44100, 2)
                wave[: 44100 // 2] = 0  # it starts after half a second: a place to find again
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave.T.astype(np.float32)), "fltp", "stereo"
                )
                frame.rate, frame.pts, frame.time_base = 44100, 0, Fraction(1, 44100)
                for packet in (*stream.encode(frame), *stream.encode(None)):
                    container.mux(packet)
    clips = Clips(clips_of(f"musdb:{tmp_path}#bass", "train"), 44100)
    whole = reading._window(clips.files[0], 0, clips.files[0].frames, 44100)[:, 0]
    assert abs(clips.files[0].frames - 66150) < 2048  # AAC pads to blocks of 1,024
    onset = int(np.argmax(np.abs(whole) > 0.1))
    assert (
        abs(onset - 22050) < 44
    )  # the tone passes 0.1 of its 0.3 within a sixth of its period of 49 samples
    late = slice(30000, 40000)
    power = np.abs(np.fft.rfft(whole[late] * np.hanning(10000)))
    assert abs(np.argmax(power) * 4.41 - 900) < 4.41
    found = reading._window(clips.files[0], 30000, 10000, 44100)[:, 0]
    # A decoder that begins in the middle has the same frames but the first, which is before the window.
    assert np.abs(found - whole[late]).max() < 1e-4


def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, files = 96000, 24  # samples, 384 kB decoded
    paths = [tmp_path / f"{i}.wav" for i in range(files)]
    for path in paths:
        soundfile.write(path, tone(200, size / 48000, 48000), 48000)

    def peak(count: int) -> int:
        tracemalloc.start()
        clips, generator = Clips([(Part(p),) for p in paths[:count]], 48000), np.random.default_rng(0)
        for _ in range(4 * count):
            clips.window(4800, generator)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert clips.held_bytes <= reading.HELD_BYTES
        return found

    more = 20 * 4 * size  # what 20 more files would take
    small = peak(4), peak(files)
    assert small[1] - small[0] > 0.8 * more  # kept: the measurement sees it
    monkeypatch.setattr(reading, "HELD_BYTES", 4 * size)
    large = peak(4), peak(files)
    assert large[1] - large[0] < 0.02 * more  # the list of clips, some hundred bytes each


def test_shards_are_disjoint_even_and_move_on(tmp_path: Path) -> None:
    for i in range(30):
        soundfile.write(tmp_path / f"{i}.wav", tone(100, 0.1 + 0.01 * (i % 7), 8000), 8000)
    clips = Clips(clips_of(f"folder:{tmp_path}", "train", split=False), 8000)
    for epoch in (0, 1):
        shards = [clips.shard(epoch, rank, 4) for rank in range(4)]
        assert sorted(f.path for s in shards for f in s.files) == sorted(f.path for f in clips.files)
        lengths = [s.seconds for s in shards]
        assert max(lengths) - min(lengths) <= max(f.frames for f in clips.files) / 8000 + 1e-9
    first, second = ({f.path for f in clips.shard(e, 0, 4).files} for e in (0, 1))
    assert first != second
    assert clips.shard(5, 1, 31) is clips  # fewer clips than processes: all of them for each
    assert clips.shard(5, 0, 1) is clips


def test_batches_ahead_are_the_same_and_bounded() -> None:
    drawn: list[int] = []

    def draw(step: int) -> tuple[torch.Tensor, ...]:
        drawn.append(step)
        if step == 9:
            raise InputError("nine")
        return (torch.tensor(step),)

    ahead = Ahead(draw, 3)
    for step in range(9):
        assert int(ahead(step)[0]) == step
        assert max(drawn) <= step + 3
    with pytest.raises(InputError, match="nine"):
        ahead(9)
    assert int(ahead(40)[0]) == 40  # another place, as after going on from a model
    assert int(ahead(41)[0]) == 41
    assert sorted(set(drawn)) == sorted(drawn)  # none twice
    ahead.close()


def test_plain_folders_are_read_as_ever_and_sets_ahead(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(100, 0.1, 16000), 16000)
    config = TrainConfig("n", "s", (str(tmp_path),), (str(tmp_path),))
    assert type(folders_of(config, config.train)[0]) is Folder
    assert read_ahead(config) == 0
    assert read_ahead(replace(config, train=(f"folder:{tmp_path}",))) > 0
    assert read_ahead(replace(config, read_ahead=2)) == 2


def test_cards_are_told_of_sets() -> None:
    told = told_of(["vctk:/a", "musdb:/b#vocals", "musdb:/b#bass", "folder:/c/songs"])
    assert [t["licence"] for t in told][0::2] == ["CC-BY-4.0", "unstated"]
    assert len(told) == 3
    assert "songs" in told[2]["source"]
