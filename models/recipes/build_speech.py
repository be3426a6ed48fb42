"""Build the speech corpus (16 kHz mono PCM16) from the recordings inside Debian packages.

    python models/recipes/build_speech.py --out corpora/speech [--downloads DIR] [--licence all|permissive]

Packages (Debian bookworm main), fetched with `apt-get download` when they are not in --downloads:
    festvox-ru                            nsh_ru_M                                BSD-like, (c) N. Shmyrev
    asterisk-core-sounds-{en,es,fr}-g722  allison_en_F, allison_es_F, june_fr_F   CC-BY-SA-3.0
    asterisk-core-sounds-{it,ru}-g722     carlo_it_M (test only), ivrvoice_ru_F   CC-BY-3.0
    fillets-ng-data-cs                    fish_cs_F, fish_cs_M, fish_cs_other     GPL-2
    tuxpaint-stamps-default               tux_<language>                          GPL-2
    klettres-data, ktuberling-data        klet_<language>, ktub_<language>        GPL-2+
`--licence permissive` keeps the first three lines only (BSD, CC-BY, CC-BY-SA).

Never trained on: carlo_it_M (split test_spk); tux_el, ktub_uk, klet_en, LibriVox (not built at all). Every
other file is split by the md5 of its base name WITH extension: % 20 == 0 test_file, == 1 valid, else train;
so one prompt recorded in several languages under one name stays on one side.

Needs dpkg, ffmpeg, numpy, scipy, soundfile, soxr. Takes about 1.5 minutes (80 s of CPU), 0.9 GB of disk and
1 GB more while it works. Writes OUT/<split>/<speaker>_<nn>.wav, OUT/manifest.tsv, OUT/corpus.json.
"""

import argparse
import hashlib
import json
import multiprocessing
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from scipy.signal import butter, sosfiltfilt, welch

RATE = 16000
SETTINGS = {
    "recipe": 3, "sample_rate": RATE, "seed": 20240601, "highpass_hz": 60, "active_level_dbfs": -20.0,
    "min_seconds": 0.4, "max_clipped_fraction": 0.005, "min_hf_db": -60.0, "gap_seconds": [0.1, 0.3],
    "max_wav_seconds": 300, "split": "md5(base name with extension) % 20: 0 test_file, 1 valid, else train"}
VOICES = {"en": "allison_en_F", "es": "allison_es_F", "fr": "june_fr_F", "it": "carlo_it_M",
          "ru": "ivrvoice_ru_F"}
# Silences, tones and a monkey concert: not speech.
NO_SPEECH = r"silence/|beep|(a|de)scending-2tone|confbridge-(join|leave)\.|tt-monkeys\."
# Package -> (licence, is it permissive, pattern on the path inside the package)
PACKAGES = {"festvox-ru": ("BSD-like (c) N. Shmyrev", True, r"/msu_ru_nsh_clunits/wav/")}
for _language in VOICES:
    _licence = "CC-BY-3.0" if _language in ("it", "ru") else "CC-BY-SA-3.0"
    PACKAGES[f"asterisk-core-sounds-{_language}-g722"] = (_licence, True, rf"/sounds/(?!.*/({NO_SPEECH}))")
PACKAGES |= {
    "fillets-ng-data-cs": ("GPL-2", False, r"/cs/[^/]+$"),
    "tuxpaint-stamps-default": ("GPL-2", False, r"/stamps/"),
    "klettres-data": ("GPL-2+", False, r"/klettres/"),
    "ktuberling-data": ("GPL-2+", False, r"/sounds/")}
TUX_LANGUAGES = "ro|fr|ru|bg|be|ca|da|lt|nl|en"  # es is clipped; el is a held-out speaker
SKIPPED_FOLDERS = {"klettres-data": {"en", "en_GB", "ml"}, "ktuberling-data": {"uk"}}  # ml is clipped
TEST_SPEAKER = "carlo_it_M"
NEVER_BUILT = {"tux_el", "ktub_uk", "klet_en"}
# The fixed test clips of the project use these files: whatever changes here, they must never be trained on.
KNOWN_TEST_FILES = """vm-pls-try-again.g722 spy-agent.g722 ascii96.g722 ascii95.g722 im-sorry.g722 h-1.g722
    vm-star-cancel.g722 vm-forward.g722 conf-thereare.g722 simul-call-limit-reached.g722 vm-theperson.g722
    e_p.g722 confbridge-removed.g722 demo-instruct.g722 ru_0669.wav ru_0575.wav ru_0722.wav ru_0064.wav"""
# Minutes of speech expected, to 3 %: beyond that a package is incomplete or a filter went wrong.
EXPECTED = {
    "all": {"train": 395.3, "valid": 25.3, "test_file": 25.3, "test_spk": 22.4},
    "permissive": {"train": 167.0, "valid": 12.3, "test_file": 12.6, "test_spk": 22.4},
}


def split_of(speaker, base_name):
    """The split a file belongs to, from its speaker and base name (with extension)."""
    if speaker == TEST_SPEAKER:
        return "test_spk"
    number = int(hashlib.md5(base_name.encode()).hexdigest(), 16)
    return {0: "test_file", 1: "valid"}.get(number % 20, "train")


def speaker_of(package, path):
    """Speaker name of one audio file of a package, or None where the file is not wanted."""
    if package == "festvox-ru":
        return "nsh_ru_M"
    if package.startswith("asterisk"):
        return VOICES[package.split("-")[3]]
    if package == "fillets-ng-data-cs":
        tags = path.stem.split("-")[:-1]  # e.g. win-m-blok: the -m- fish is the female, the -v- the male
        return "fish_cs_F" if "m" in tags else "fish_cs_M" if "v" in tags else "fish_cs_other"
    if package == "tuxpaint-stamps-default":
        # Names without a language (dog.ogg) are sound effects.
        found = re.search(rf"_({TUX_LANGUAGES})(_[A-Z]{{2}})?$", path.stem)
        return f"tux_{found[1]}" if found else None
    language = path.parts[3 if package == "klettres-data" else 4]  # usr/share/klettres/LANGUAGE/...
    return None if language in SKIPPED_FOLDERS[package] else f"{package[:4]}_{language.split('@')[0]}"


def find_package(name, downloads):
    """Path of the .deb of a package, downloaded if it is missing."""
    missing = not list(downloads.glob(f"{name}_*.deb"))
    if missing and subprocess.run(["apt-get", "download", name], cwd=downloads).returncode:
        sys.exit(f"error: `apt-get download {name}` failed; run `apt-get update` first, then again")
    return max(downloads.glob(f"{name}_*.deb"), key=lambda p: p.stat().st_mtime)


def list_files(package, root):
    """(speaker, split, package, path relative to root, path) of each wanted file of an extracted package."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.suffix in {".wav", ".ogg", ".g722"} and path.is_file() and not path.is_symlink():
            speaker = re.search(PACKAGES[package][2], f"/{name}") and speaker_of(package, name)
            if speaker:
                yield speaker, split_of(speaker, path.name), package, str(name), path


def sha256(path):
    """Hex sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_copies(files):
    """Drop files with the same bytes as another; held-out splits keep theirs, so none leaks into train."""
    order, kept = ["test_spk", "test_file", "valid", "train"], {}
    for item in sorted(files, key=lambda f: (order.index(f[1]), f[0], f[3])):
        kept.setdefault(sha256(item[4]), item)
    return list(kept.values())


def decode_g722(paths, batch=64):
    """Decode each X.g722 to X.g722.wav: many inputs per ffmpeg process, each with a decoder of its own."""
    for start in range(0, len(paths), batch):
        command, some = ["ffmpeg", "-nostdin", "-v", "error", "-y"], paths[start:start + batch]
        for path in some:
            command += ["-threads", "1", "-f", "g722", "-i", str(path)]
        for number, path in enumerate(some):
            command += ["-map", f"{number}:a", "-ac", "1", "-c:a", "pcm_s16le", "-bitexact", f"{path}.wav"]
        subprocess.run(command, check=True)


def high_band_db(x):
    """Energy at 4.3-7.8 kHz relative to all of it: tells 8 kHz recordings stored at a higher rate."""
    frequency, power = welch(x, RATE, nperseg=1024)
    return 10 * np.log10(power[(frequency > 4300) & (frequency < 7800)].sum() / (power.sum() + 1e-20) + 1e-12)


def process(path):
    """(int16 samples, None) of one file made uniform, or (None, why it is dropped)."""
    path = f"{path}.wav" if path.suffix == ".g722" else str(path)
    x, rate = sf.read(path, dtype="float32", always_2d=True)
    if len(x) < SETTINGS["min_seconds"] * rate:
        return None, "short"
    if rate < RATE:
        return None, "low rate"
    if np.mean(np.abs(x) > 0.985) > SETTINGS["max_clipped_fraction"]:
        return None, "clipped"
    x = soxr.resample(x.mean(axis=1).astype(np.float64), rate, RATE, quality="HQ")
    x = sosfiltfilt(butter(2, SETTINGS["highpass_hz"], "highpass", fs=RATE, output="sos"), x)
    frames = x[:len(x) // 320 * 320].reshape(-1, 320)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)  # of each 20 ms
    loud = np.percentile(level, 95)
    # Trim: keep from the first to the last frame above -40 dB of the loud ones, and 60 ms around.
    active = np.flatnonzero(level > loud - 40)
    x = x[max(0, active[0] - 3) * 320:(active[-1] + 4) * 320]
    if len(x) < SETTINGS["min_seconds"] * RATE:
        return None, "short"
    if high_band_db(x) < SETTINGS["min_hf_db"]:
        return None, "narrowband"
    speech = level[level > loud - 25]  # pauses do not count for the level
    gain = 10 ** ((SETTINGS["active_level_dbfs"] - 10 * np.log10(np.mean(10 ** (speech / 10)))) / 20)
    x *= min(gain, 0.98 / np.abs(x).max())  # rather too quiet than clipped
    x[:80] *= np.linspace(0, 1, 80)  # 5 ms, so that joins do not click
    x[-80:] *= np.linspace(1, 0, 80)
    return np.round(x * 32767).astype(np.int16), None


def write_speaker(out, split, speaker, files, clips):
    """Join the clips of a speaker into WAVs of up to max_wav_seconds; returns manifest rows."""
    generator = np.random.default_rng([SETTINGS["seed"], zlib.crc32(f"{split}/{speaker}".encode())])
    rows, wavs, position = [], {}, 0
    for index in generator.permutation(len(clips)):
        clip, (_, _, package, relative, _) = clips[index], files[index]
        if not wavs or position + len(clip) > SETTINGS["max_wav_seconds"] * RATE:
            wav, position = f"{split}/{speaker}_{len(wavs):02d}.wav", 0
            wavs[wav] = []
        else:
            wavs[wav].append(np.zeros(int(generator.uniform(*SETTINGS["gap_seconds"]) * RATE), np.int16))
            position += len(wavs[wav][-1])
        rows.append((split, wav, speaker, package, relative, position, len(clip)))
        wavs[wav].append(clip)
        position += len(clip)
    (out / split).mkdir(parents=True, exist_ok=True)
    for wav, parts in wavs.items():
        sf.write(out / wav, np.concatenate(parts), RATE, subtype="PCM_16")
    return rows


def build(out, debs):
    """Extract, decode, process and write everything below `out`; returns the content of corpus.json."""
    files, versions, dropped = [], {}, defaultdict(Counter)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=out.name + ".x.") as work:
        for package, deb in debs.items():
            root = Path(work, package)
            if subprocess.run(["dpkg", "-x", str(deb), str(root)]).returncode:
                sys.exit(f"error: cannot extract {deb}; remove it and run again")
            versions[package] = subprocess.getoutput(f"dpkg-deb -f '{deb}' Version")
            files += list_files(package, root)
        groups, rows = defaultdict(list), []
        for item in without_copies(files):
            groups[item[1], item[0]].append(item)
        decode_g722([f[4] for f in files if f[4].suffix == ".g722"])
        with multiprocessing.Pool(2) as pool:
            for (split, speaker), group in sorted(groups.items()):
                results = pool.map(process, [f[4] for f in group], 16)
                dropped[speaker].update(reason for _, reason in results if reason)
                kept = [item for item, (clip, _) in zip(group, results, strict=True) if clip is not None]
                rows += write_speaker(out, split, speaker, kept, [c for c, _ in results if c is not None])
    table = [("split", "wav", "speaker", "package", "file", "start", "length"), *rows]
    (out / "manifest.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in table))
    return describe(out, rows, versions, dropped)


def describe(out, rows, versions, dropped):
    """The content of corpus.json. Minutes are of speech, without the gaps."""
    samples, package_of = defaultdict(Counter), {}
    for split, _, speaker, package, _, _, length in rows:
        samples[speaker][split] += length
        package_of[speaker] = package
    speakers = {speaker: {"package": package, "version": versions[package], "licence": PACKAGES[package][0],
                          "minutes": {s: round(n / RATE / 60, 2) for s, n in samples[speaker].items()},
                          "dropped_files": dropped[speaker]} for speaker, package in package_of.items()}
    minutes = {s: round(n / RATE / 60, 2) for s, n in sum(samples.values(), Counter()).items()}
    wavs = {str(p.relative_to(out)): {"bytes": p.stat().st_size, "sha256": sha256(p)}
            for p in sorted(out.rglob("*.wav"))}
    return {"sample_rate": RATE, "minutes": minutes, "speakers": speakers, "wavs": wavs}


def is_complete(out, settings):
    """True where OUT holds a corpus of these settings with every file as listed."""
    try:
        corpus = json.loads((out / "corpus.json").read_text())
    except (OSError, ValueError):
        return False
    return (corpus.get("settings") == settings and (out / "manifest.tsv").is_file()
            and all((out / name).is_file() and (out / name).stat().st_size == wav["bytes"]
                    and sha256(out / name) == wav["sha256"] for name, wav in corpus["wavs"].items()))


def report(corpus, licence):
    """Print the table of minutes; returns the splits whose minutes are not as expected."""
    splits = EXPECTED[licence]
    print(f"{'speaker':<16}" + "".join(f"{s:>11}" for s in splits) + "  licence, dropped files")
    for speaker, entry in corpus["speakers"].items():
        cells = "".join(f"{entry['minutes'].get(s, 0):>11.2f}" for s in splits)
        print(f"{speaker:<16}{cells}  {entry['licence']}, {dict(entry['dropped_files']) or 'none'}")
    print(f"{'minutes':<16}" + "".join(f"{corpus['minutes'].get(s, 0):>11.2f}" for s in splits))
    return [f"{split}: {corpus['minutes'].get(split, 0)} minutes, expected about {minutes}"
            for split, minutes in EXPECTED[licence].items()
            if abs(corpus["minutes"].get(split, 0) / minutes - 1) > 0.03]


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--downloads", type=Path, default=Path("corpora/_downloads"), help="folder of .debs")
    parser.add_argument("--licence", choices=list(EXPECTED), default="all")
    args = parser.parse_args()
    out, start = args.out.absolute(), time.time()
    assert all(split_of("", name) == "test_file" for name in KNOWN_TEST_FILES.split()), "wrong split rule"
    settings = {**SETTINGS, "licence": args.licence}
    if is_complete(out, settings):
        print(f"{args.out} is complete, nothing to do")
        return
    if out.exists() and any(out.iterdir()) and not (out / "corpus.json").is_file():
        sys.exit(f"error: {args.out} exists and is not a speech corpus; remove it or choose another folder")
    wanted = [p for p, (_, permissive, _) in PACKAGES.items() if permissive or args.licence == "all"]
    args.downloads.mkdir(parents=True, exist_ok=True)
    debs = {package: find_package(package, args.downloads) for package in wanted}
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=out.name + ".tmp."))
    try:
        corpus = {**build(temporary, debs), "settings": settings}
        assert not NEVER_BUILT & set(corpus["speakers"]), "a held-out speaker was built"
        if wrong := report(corpus, args.licence):
            sys.exit("error: the corpus is not as expected, nothing kept\n  " + "\n  ".join(wrong))
        (temporary / "corpus.json").write_text(json.dumps(corpus, indent=1) + "\n")
        temporary.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"written to {args.out} in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
