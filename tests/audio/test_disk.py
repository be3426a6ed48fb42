"""Nothing half-written, nothing lost, and refusals that come before the computing."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.audio import disk, files
from audiofix.audio.disk import atomic, check_output, check_space, write_bytes_atomically
from audiofix.audio.files import write_audio
from audiofix.errors import OutputError
from audiofix.types import Audio
from tests.audio.signals import RATE, leftovers, noise, tone


def test_clipping_is_refused_not_done(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"peak 1\.5 would be clipped by PCM_16"):
        write_audio(tmp_path / "a.wav", Audio(1.5 * torch.ones(1, 9), RATE, "PCM_16"))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_results_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(OutputError, match="not finite"):
        write_audio(tmp_path / "a.wav", Audio(torch.full((1, 9), value), RATE))
    assert leftovers(tmp_path) == []


def test_a_format_that_libsndfile_writes_wrong(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="CAF ALAC_24 would be damaged"):
        write_audio(tmp_path / "a.caf", Audio(tone(), RATE, "ALAC_24", "CAF"))
    with pytest.raises(OutputError, match="SD2 PCM_16 would be damaged"):
        write_audio(tmp_path / "a.sd2", Audio(tone(), RATE, "PCM_16", "SD2"))
    assert leftovers(tmp_path) == []


def test_a_format_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="OGG OPUS, 1 channels, 44100 Hz"):
        write_audio(tmp_path / "a.ogg", Audio(tone(), 44_100, "OPUS", "OGG"))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "failure", [KeyboardInterrupt(), soundfile.LibsndfileError(2), OSError(errno.EIO, "dead")]
)
def test_a_failure_in_the_middle_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    monkeypatch.setattr(files, "_BLOCK", 100)
    write, calls = soundfile.SoundFile.write, []

    def failing(self: soundfile.SoundFile, block: np.ndarray) -> None:
        calls.append(len(leftovers(tmp_path)))
        if len(calls) == 3:
            raise failure
        write(self, block)

    monkeypatch.setattr(soundfile.SoundFile, "write", failing)
    with pytest.raises(KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else OutputError):
        write_audio(tmp_path / "a.wav", Audio(tone(), RATE))
    assert calls == [2, 2, 2]  # the temporary file was in the same folder
    assert leftovers(tmp_path) == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"old"


def test_a_file_cut_short_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = soundfile.SoundFile.write
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda self, block: write(self, block[:-5]))
    with pytest.raises(OutputError, match="only 15995 of 16000"):
        write_audio(tmp_path / "a.wav", Audio(tone(), RATE))
    assert leftovers(tmp_path) == []


def test_full_disk_while_writing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        for container, subtype in [("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", "VORBIS")]:
            with pytest.raises(OutputError, match="cannot write"):
                write_audio(tmp_path / "a", Audio(noise(2, 100_000, 0.9), RATE, subtype, container))
        with pytest.raises(OutputError, match="no space"):
            write_bytes_atomically(tmp_path / "report.json", b"x" * 30_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert leftovers(tmp_path) == []


def test_full_disk_says_how_much_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1000))
    with pytest.raises(OutputError, match=r"need 64 kB .* has 1 kB free"):
        write_audio(tmp_path / "a.wav", Audio(tone(), RATE))


def test_atomic_moves_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "report.json"
    with atomic(target) as part:
        part.write_text("{}")
        assert part.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "{}"
    assert leftovers(target.parent) == ["report.json"]


def test_written_files_have_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_bytes_atomically(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_atomic_follows_links(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_bytes_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_writing_over_a_folder_or_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        write_audio(tmp_path, Audio(tone(), RATE))
    with pytest.raises(OutputError, match="device"):
        write_audio(Path(os.devnull), Audio(tone(), RATE))
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_no_permission_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def forbidden(part: Path) -> None:
        raise OSError(code, "no", str(part))

    monkeypatch.setattr(disk, "_create", forbidden)
    monkeypatch.setattr(disk.tempfile, "TemporaryFile", lambda dir: forbidden(dir))
    with pytest.raises(OutputError, match="no permission to write"):
        write_audio(tmp_path / "a.wav", Audio(tone(), RATE))
    with pytest.raises(OutputError, match="no permission to write"):
        check_output([tmp_path / "a.wav"], overwrite=False)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
def test_a_folder_is_tried_without_leaving_a_name_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is killed while it tries leaves nothing: there is nothing to see at any time."""
    real, seen = disk.tempfile.TemporaryFile, []

    def watched(dir: Path) -> object:
        file = real(dir=dir)
        seen.append(sorted(path.name for path in dir.iterdir()))
        return file

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", watched)
    check_output([tmp_path / "a.wav"], overwrite=False)
    assert seen == [[]]


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for target in (tmp_path / "file" / "a.wav", tmp_path / "file" / "deep" / "a.wav"):
        with pytest.raises(OutputError, match="cannot write"):
            check_output([target], overwrite=True)
        with pytest.raises(OutputError, match="cannot write"):
            write_audio(target, Audio(tone(), RATE))
    assert leftovers(tmp_path) == ["file"]


def test_check_output_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    targets = [tmp_path / "a.wav", tmp_path / "b.wav"]
    with pytest.raises(OutputError, match=r"a\.wav already there; add --overwrite"):
        check_output(targets, overwrite=False)
    check_output(targets, overwrite=True)
    assert leftovers(tmp_path) == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"old"


def test_check_output_counts_what_it_does_not_name(tmp_path: Path) -> None:
    targets = [tmp_path / f"{index}.wav" for index in range(7)]
    for target in targets:
        target.touch()
    with pytest.raises(OutputError, match=r"2\.wav and 4 more already there"):
        check_output(targets, overwrite=False)


def test_check_output_makes_folders_and_leaves_no_file(tmp_path: Path) -> None:
    check_output([tmp_path / "x" / "y" / "a.wav", tmp_path / "x"], overwrite=False)
    assert leftovers(tmp_path) == ["x", "y"]
    check_output([tmp_path / "x" / "y"], overwrite=False)


def test_check_output_takes_back_its_folders_when_it_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        check_output([tmp_path / "x" / "y" / "a.wav", tmp_path / "file" / "b.wav"], overwrite=False)
    assert leftovers(tmp_path) == ["file"]


def test_check_output_refuses_one_name_for_two_results(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="more than one result"):
        check_output([tmp_path / "a.wav", tmp_path / "x" / ".." / "a.wav"], overwrite=True)


def test_check_output_refuses_devices_and_impossible_names(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="device"):
        check_output([Path(os.devnull)], overwrite=True)
    with pytest.raises(OutputError, match="name"):
        check_output([tmp_path / ("x" * 300 + ".wav")], overwrite=False)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_check_output_really_tries(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"write /proc"):
        check_output([tmp_path / "a.wav", Path("/proc/audiofix/a.wav")], overwrite=False)


def test_check_space(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(OutputError, match=r"need 1e\+06 TB .* free; free some space"):
        check_space(tmp_path / "not" / "yet", 10**18)
    assert leftovers(tmp_path) == []
