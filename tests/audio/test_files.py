"""Real files out and in: nothing lost, and every file that cannot be read is refused with a remedy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.audio import files
from audiofix.audio.files import quantise, read_audio, write_audio
from audiofix.errors import InputError
from audiofix.types import Audio
from tests.audio.signals import INTEGERS, LOSSLESS, LOSSY, RATE, TAGS, leftovers, noise, tone


@pytest.mark.parametrize(("container", "subtype", "suffix"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_files_come_back_exactly(
    tmp_path: Path, container: str, subtype: str, suffix: str, channels: int
) -> None:
    bound = 0.99 if subtype.endswith("8") else 0.999
    length = 3000 if (container, subtype) == ("AIFF", "PCM_S8") else 3001  # libsndfile pads odd 8-bit AIFF
    audio = Audio(quantise(noise(channels, length, bound), subtype), RATE, subtype, container)
    path = tmp_path / f"a.{suffix}"
    write_audio(path, audio)
    back = read_audio(path)
    assert torch.equal(back.samples, audio.samples)
    assert (back.sample_rate, back.subtype, back.container) == (RATE, subtype, container)
    assert leftovers(tmp_path) == [path.name]


@pytest.mark.parametrize("subtype", INTEGERS)
def test_writing_rounds_exactly_as_quantise_does(tmp_path: Path, subtype: str) -> None:
    container = "AIFF" if subtype == "PCM_S8" else "WAV"
    samples = noise(1, 20_000, 0.99)
    write_audio(tmp_path / "a", Audio(samples, RATE, subtype, container))
    assert torch.equal(read_audio(tmp_path / "a").samples, quantise(samples, subtype))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_another_reader_sees_the_same_integers(tmp_path: Path, subtype: str) -> None:
    samples = quantise(noise(1), subtype)
    write_audio(tmp_path / "a.wav", Audio(samples, RATE, subtype))
    integers, _ = soundfile.read(tmp_path / "a.wav", dtype="int32")
    assert np.array_equal(integers, (samples[0].double() * 2**31).numpy())


@pytest.mark.parametrize(("container", "subtype", "suffix"), LOSSY)
def test_lossy_files_keep_rate_length_channels_and_level(
    tmp_path: Path, container: str, subtype: str, suffix: str
) -> None:
    samples = tone(15_991).repeat(2, 1)
    write_audio(tmp_path / f"a.{suffix}", Audio(samples, RATE, subtype, container))
    back = read_audio(tmp_path / f"a.{suffix}")
    assert back.samples.shape == samples.shape
    assert (back.sample_rate, back.subtype, back.container) == (RATE, subtype, container)
    middle = slice(4000, 12_000)
    error = (back.samples - samples)[:, middle].square().mean() / samples[:, middle].square().mean()
    assert error < 0.05


def test_a_file_longer_than_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BLOCK", 1000)
    audio = Audio(noise(3, 10_007), RATE)
    write_audio(tmp_path / "a.wav", audio)
    assert torch.equal(read_audio(tmp_path / "a.wav").samples, audio.samples)


def test_float_keeps_what_exceeds_full_scale(tmp_path: Path) -> None:
    audio = Audio(3 * noise(), RATE)
    write_audio(tmp_path / "a.wav", audio)
    assert torch.equal(read_audio(tmp_path / "a.wav").samples, audio.samples)


def test_float_files_hold_no_time_of_day(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", Audio(noise(), RATE))
    assert b"PEAK" not in (tmp_path / "a.wav").read_bytes()


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("AIFF", "PCM_24"), ("FLAC", "PCM_16"), *[row[:2] for row in LOSSY]],
)
def test_tags_survive(tmp_path: Path, container: str, subtype: str) -> None:
    # The tags that this container can hold, asked of libsndfile itself.
    path = tmp_path / "plain"
    with soundfile.SoundFile(path, "w", RATE, 1, subtype, None, container) as file:
        for name, text in TAGS.items():
            try:
                setattr(file, name, text)
            except soundfile.SoundFileError:
                continue
        file.write(tone()[0].numpy())
    first = read_audio(path)
    assert first.tags["title"] == TAGS["title"]
    write_audio(tmp_path / "copy", first)
    assert read_audio(tmp_path / "copy").tags == first.tags


def test_tags_that_a_container_cannot_hold_are_left_out(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.au", Audio(tone(), RATE, "PCM_16", "AU", TAGS))
    assert read_audio(tmp_path / "a.au").tags == {}


def test_no_tags_is_an_empty_dict(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", Audio(tone(), RATE))
    assert read_audio(tmp_path / "a.wav").tags == {}


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_audio(tmp_path / "no.wav")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_audio(tmp_path)


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(InputError, match="empty"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="pipe"):
        read_audio(tmp_path / "pipe.wav")


@pytest.mark.parametrize("name", ["a.txt", "a.wav", "a.raw", "a.m4a", "a.mp3"])
def test_not_audio(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"these are words, not audio. " * 50)
    with pytest.raises(InputError, match=r"possible are \.wav \.flac") as caught:
        read_audio(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "convert" in str(caught.value)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(InputError, match="Permission denied"):
        read_audio(tmp_path / "a.wav")


def test_no_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(InputError, match="no samples"):
        read_audio(tmp_path / "a.wav")


def test_damaged_file(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", Audio(noise(1, 40_000), RATE, "PCM_16", "FLAC"))
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="whole copy"):
        read_audio(tmp_path / "a.flac")


def test_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "a.wav", Audio(tone(), RATE))
    read = soundfile.SoundFile.read
    blocks = iter([9, 0])
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda self, *_, **how: read(self, next(blocks), **how))
    with pytest.raises(InputError, match="of 16000 samples; get a whole copy"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("block", [100, 1 << 18])
def test_samples_that_are_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(files, "_BLOCK", block)
    samples = np.zeros((2 * RATE, 2), "float32")
    samples[RATE // 2, 1] = np.nan
    samples[RATE, 0] = -np.inf
    samples[RATE + 1, 0] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, "FLOAT")
    with pytest.raises(InputError, match=r"3 NaN or infinite .* sample 8000 \(0\.500 s\) of channel 2"):
        read_audio(tmp_path / "a.wav")
