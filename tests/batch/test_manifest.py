"""Lines of JSON that are only ever added, by several processes, on disks that fill up."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from audiofix.batch.manifest import HIDDEN, Manifest, Record, Tail, history, manifests, name_of, parse
from audiofix.errors import OutputError


def manifest(name: str = "manifest.jsonl") -> Manifest:
    return Manifest(Path(name), Path(HIDDEN, f"{name}.lock"))


def record(name: str, status: str = "done", **more: object) -> Record:
    return Record(name=name, status=status, **more)  # type: ignore[arg-type]


def every(names: str = "abc") -> frozenset[str]:
    return frozenset(names)


def test_there_and_back():
    wanted = Record(
        "ä/\udcff.wav",
        "failed",
        outputs=[{"path": "x", "bytes": 1, "hash": "2"}],
        error="a\nb",
        exit_status=3,
    )
    line = wanted.line()
    assert line.count(b"\n") == 1
    assert parse(line) == wanted
    later = json.loads(record("a").line()) | {"future": [1]}
    assert parse(json.dumps(later).encode()).extra == {"future": [1]}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{", b"[]", b"1", b"\xff", b'{"name":"a"}', b'{"name":1,"status":"done"}']
)
def test_what_is_no_record(line):
    assert parse(line) is None
    assert parse(record("a", "skipped").line()) is None


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_that_was_cut_takes_no_other_along(cut):
    one = manifest()
    for name in "ab":
        one.append(record(name))
    data = one.path.read_bytes()
    one.path.write_bytes(data[:-cut])
    latest, marks = history(Path(), every())
    assert set(latest) == {"a"}
    assert marks == {"manifest.jsonl": len(data) // 2}
    one.append(record("c"))
    assert set(history(Path(), every())[0]) == ({"a", "c"} if cut > 1 else {"a", "b", "c"})
    tail = Tail(Path(), marks)
    assert tail.find("c") == record("c")
    assert tail.find("a") is None


def test_the_last_word_counts():
    one, shard = manifest(), manifest(name_of((2, 3)))
    one.append(record("a", "failed", at="2026-01-01"))
    shard.append(record("a", at="2026-01-03"))
    one.append(record("a", "failed", at="2026-01-02"))
    one.append(record("b", at="2026-01-01"))
    latest, marks = history(Path(), every("a"))
    assert {name: parse(line).status for name, line in latest.items()} == {"a": "done"}  # type: ignore[union-attr]
    assert (
        set(marks) == {"manifest.jsonl", "manifest.2-of-3.jsonl"} == {path.name for path in manifests(Path())}
    )
    tail = Tail(Path(), marks)
    assert tail.find("a") is None
    one.append(record("a"))
    assert tail.find("a") == record("a")
    manifest(name_of((1, 9))).append(record("b"))  # by a run that began later
    assert tail.find("b") == record("b")


def test_a_disk_that_takes_part_of_a_line(monkeypatch):
    one = manifest()
    one.append(record("a"))
    before = one.path.read_bytes()
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            return self.file.write(data[:10])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *a, **k: Full(real(path, *a, **k)))
        with pytest.raises(OutputError, match="no space left to write"):
            one.append(record("b"))
    assert one.path.read_bytes() == before


def add(start: int) -> None:
    for number in range(start, start + 50):
        manifest().append(record(f"{number}", error="x" * (number * 37 % 9000)))


def test_several_processes_at_once():
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=add, args=(1000 * k,)) for k in range(1, 4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    lines = Path("manifest.jsonl").read_bytes().splitlines()
    names = [parse(line).name for line in lines]  # type: ignore[union-attr]
    assert sorted(names) == sorted(str(1000 * k + i) for k in range(1, 4) for i in range(50))
    assert [path.name for path in Path(HIDDEN).iterdir()] == ["manifest.jsonl.lock"]
