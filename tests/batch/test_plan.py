"""Which files, under which names, in whose share, in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiofix.batch import plan
from audiofix.errors import InputError, SettingError
from tests.batch.conftest import recording, recordings

OUT = Path("out")


def names(*paths: object, recursive: bool = False, out: Path = OUT) -> list[str]:
    return [item.name for item in plan.gather([Path(str(p)) for p in paths], recursive, out)]


def touch(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def test_folders():
    touch(
        "in/b.wav",
        "in/A.FLAC",
        "in/notes.txt",
        "in/.hidden.wav",
        "in/deep/er/c.ogg",
        "in/.trash/d.wav",
        "x.wav",
    )
    assert names("in") == ["A.FLAC", "b.wav"]
    assert names("in/") == ["A.FLAC", "b.wav"]
    assert names("in", recursive=True) == ["A.FLAC", "b.wav", "deep/er/c.ogg"]
    assert names("in", "x.wav", "in") == ["A.FLAC", "b.wav", "x.wav"]
    with pytest.raises(InputError, match=r"in/deep is a folder that holds no audio files .* add --recursive"):
        names("in/deep")


def test_patterns():
    touch("in/1/a.wav", "in/2/a.wav", "in/2/b.flac", "in/2/c.txt", "in/what[1].wav")
    assert names("in/*/a.wav") == ["1/a.wav", "2/a.wav"]
    assert names("in/**/*", recursive=True) == ["1/a.wav", "2/a.wav", "2/b.flac", "what[1].wav"]
    assert names("in/?") == ["1/a.wav", "2/a.wav", "2/b.flac"]
    assert names("in/2/*.flac") == ["b.flac"]
    assert names("in/what[1].wav") == ["what[1].wav"]  # there is a file of that very name
    with pytest.raises(InputError, match="matches no audio files"):
        names("in/*.mp3")


def test_results_are_no_recordings():
    touch("in/a.wav", "in/out/a/speech.wav")
    out = Path("in/out")
    assert names("in", recursive=True, out=out) == ["a.wav"]
    assert names("in/**/*.wav", out=out) == ["a.wav"]
    with pytest.raises(SettingError, match="folder of the recordings"):
        names("in", out=Path("in/../in"))


def test_two_of_one_name():
    touch("1/a.wav", "2/a.wav")
    with pytest.raises(SettingError, match=r"1/a.wav and 2/a.wav would both become out/a.wav"):
        names("1", "2")


def test_results_that_would_get_in_each_others_way():
    def refused(*given: str, folders: bool) -> dict[str, str]:
        items = [plan.Item(name, Path("in", name)) for name in sorted(given)]
        return {item.name: item.refused for item in plan.apart(items, OUT, folders) if item.refused}

    [(name, why)] = refused("a.flac", "a.wav", "b.wav", folders=False).items()
    assert name == "a.wav"
    assert "in/a.wav would become out/a as in/a.flac does" in why
    [(name, why)] = refused("a.wav", "a/b.wav", "ab.wav", folders=True).items()
    assert name == "a.wav"
    assert "holds the results of in/a/b.wav" in why
    assert refused("a.wav", "a/b.wav", folders=False) == {}
    above = plan.apart(
        [plan.Item("in/x.wav", Path("in/in/x.wav")), plan.Item("x.wav", Path("in/x.wav"))], Path(), False
    )
    assert ["never replaced" in str(item.refused) for item in above] == [True, False]


def test_shares_are_apart_and_whole_and_stay():
    items = [plan.Item(f"{i}.wav", Path(f"{i}.wav")) for i in range(1000)]
    shares = [plan.share(items, (i, 7)) for i in range(1, 8)]
    assert sorted(item.name for share in shares for item in share) == sorted(item.name for item in items)
    # Binomial with mean 143: beyond 5 standard deviations of 11 in a million runs.
    assert all(abs(len(share) - 1000 / 7) < 55 for share in shares)
    assert [item for item in shares[2] if int(item.name[:-4]) < 500] == plan.share(items[:500], (3, 7))
    assert plan.share(items, (1, 1)) == items


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/4"])
def test_shards_that_are_none(text):
    with pytest.raises(SettingError, match="give I/N with I from 1 to N"):
        plan.shard_of(text)
    assert plan.shard_of("4/4") == (4, 4)


def test_longest_first():
    recordings(Path(), ["a.wav"])
    recording(Path("b.wav"), 0, 4000)
    recording(Path("c.wav"), 0, 2000)
    touch("d.wav")
    items = plan.arranged(plan.gather([Path(f"{name}.wav") for name in "abcd"], False, OUT))
    assert [item.name for item in items] == ["b.wav", "c.wav", "a.wav", "d.wav"]
    assert [round(item.seconds, 3) for item in items] == [0.25, 0.125, 0.06, 0.0]
