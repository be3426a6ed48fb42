"""Compose piano pieces by chance: many textures, keys, tempi, touches and registers.

What:     `compose(rng, seconds)` invents a piece and returns it as a `Score`. It is meant to be varied sound,
          with the chords, lines and rhythms of piano music, rather than good music.
Source:   own work: nothing is taken from any piece, so there is no licence but that of this project.
Time:     some milliseconds a piece.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from salamander import TAIL_SECONDS, Score, shaped

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
# Where a chord on each degree likes to go; repeated entries are likelier.
NEXT = ((3, 4, 5, 1, 3, 4, 2), (4, 4, 6, 3), (5, 3, 5), (4, 0, 1, 4), (0, 0, 5, 3), (3, 1, 4, 2), (0, 0, 2))


@dataclass
class Section:
    """What a texture needs to know; `notes` collects (beat, length in beats, key, accent)."""

    rng: np.random.Generator
    tonic: int
    scale: tuple[int, ...]
    beats: int
    low: int
    high: int
    notes: list[tuple[float, float, int, float]] = field(default_factory=list)
    voice: int = 0
    memory: dict = field(default_factory=dict)

    def pitch(self, degree: int) -> int:
        return self.tonic + 12 * (degree // 7) + self.scale[degree % 7]

    def near(self, degree: int, target: int) -> int:
        """The key of this scale degree that is nearest to `target`."""
        key = self.pitch(degree % 7) % 12
        return int(key + 12 * round((target - key) / 12))

    def add(self, beat: float, length: float, key: int, accent: float = 0.0) -> None:
        self.notes.append((beat, length, int(np.clip(key, 21, 108)), accent))

    def step(self, root: int, strong: bool) -> int:
        """Move the melody by a small step; on strong beats it prefers the notes of the chord."""
        leap = 5 if self.rng.random() < 0.3 else -1
        self.voice += int(self.rng.choice((-3, -2, -1, -1, 0, 1, 1, 2, 3, leap)))
        self.voice = int(np.clip(self.voice, -7, 9))
        if strong and self.rng.random() < 0.7:
            tones = [root % 7 + o for o in (-7, -5, -3, 0, 2, 4, 7, 9)]
            self.voice = min(tones, key=lambda d: abs(d - self.voice))
        return self.near(0, self.high) + self.pitch(self.voice) - self.tonic

    def rhythm(self, fast: float) -> list[float]:
        """Split a bar in notes; `fast` near 1 gives mostly short ones."""
        parts, left = [], float(self.beats)
        while left > 1e-6:
            choice = (0.25, 0.5, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
            weight = np.array([fast**2, fast, fast, fast / 4, 0.5, 0.2, 1 - fast, (1 - fast) ** 2])
            length = min(float(self.rng.choice(choice, p=weight / weight.sum())), left)
            parts.append(length)
            left -= length
        return parts

    def melody(self, bar: float, root: int, fast: float, doubling: tuple = (), rests: float = 0.08) -> None:
        """A line in the upper register, each note doubled at the given intervals in scale steps."""
        beat = bar
        for length in self.rhythm(fast):
            key = self.step(root, float(beat).is_integer())
            if self.rng.random() > rests:
                self.add(beat, length * 0.95, key, 8.0)
                for steps in doubling:
                    self.add(beat, length * 0.9, self.near(self.voice - steps, key - round(steps * 1.7)), 2.0)
            beat += length


def chorale(s: Section, bar: float, root: int) -> None:
    """Four voices that move as little as they can."""
    voices = s.memory.setdefault("voices", [s.low, s.low + 9, s.high - 10, s.high])
    split = s.rng.choice([1, 2, s.beats])
    for i in range(int(split)):
        chord = [root + 2 * k + (s.rng.choice((0, 1, 3)) if i else 0) for k in range(3)]
        voices[0] = s.near(chord[0], s.low)
        for v in (1, 2, 3):
            around = (s.low, s.low + 9, s.high - 10, s.high)[v]
            voices[v] = s.near(int(s.rng.choice(chord)), round(0.6 * voices[v] + 0.4 * around))
        for key in set(voices):
            s.add(bar + i * s.beats / split, 0.96 * s.beats / split, key)


def alberti(s: Section, bar: float, root: int) -> None:
    """Broken chords in the left hand under a melody."""
    base = s.near(root, s.low + 6)
    chord = [base, s.near(root + 2, base + 4), s.near(root + 4, base + 7)]
    unit = s.memory.setdefault("unit", float(s.rng.choice((0.25, 0.5))))
    order = s.memory.setdefault("order", [(0, 2, 1, 2), (0, 1, 2, 1), (0, 2, 1, 2, 1, 2)][s.rng.integers(3)])
    for i in range(int(s.beats / unit)):
        s.add(bar + i * unit, unit * 1.05, chord[order[i % len(order)]], -10.0)
    s.melody(bar, root, 0.5)


def arpeggio(s: Section, bar: float, root: int) -> None:
    """Chords spread over several octaves, up, down or both."""
    unit = s.memory.setdefault("unit", float(s.rng.choice((0.25, 1 / 3, 0.5, 1 / 6))))
    span = s.memory.setdefault("span", int(s.rng.integers(2, 6)))
    kinds = ((0, 2, 4), (0, 4, 7, 9), (0, 2, 4, 6), (0, 4, 8))
    tones = s.memory.setdefault("tones", kinds[s.rng.integers(4)])
    keys = sorted({s.near(root + t, s.low + 12 * o + 2 * t) for o in range(span) for t in tones})
    keys = [k for k in keys if k <= 106]
    shape = s.memory.setdefault("shape", int(s.rng.integers(3)))
    cycle = (keys, keys[::-1], keys + keys[-2:0:-1])[shape]
    for i in range(round(s.beats / unit)):
        s.add(bar + i * unit, unit * 1.6, cycle[i % len(cycle)], 5.0 if i % len(cycle) == 0 else -4.0)
    if s.rng.random() < 0.4:
        s.melody(bar, root, 0.1)


def block(s: Section, bar: float, root: int) -> None:
    """Both hands in chords, in changing inversions."""
    beat = bar
    for length in s.memory.setdefault("rhythm", s.rhythm(0.3)):
        inversion = int(s.rng.integers(3))
        top = s.step(root, True)
        for k in range(3):
            s.add(beat, length * 0.9, s.near(root + 2 * ((k + inversion) % 3), top - 4 * k))
        s.add(beat, length * 0.9, top, 6.0)
        bass = s.near(root, s.low)
        s.add(beat, length * 0.9, bass)
        s.add(beat, length * 0.9, bass + (12 if s.rng.random() < 0.6 else 7))
        beat += length


def stride(s: Section, bar: float, root: int) -> None:
    """Bass and chord in turn, and a syncopated right hand in octaves, sixths or single notes."""
    for i in range(s.beats):
        if i % 2 == 0:
            bass = s.near(root + (4 if i else 0), s.low - 3)
            for key in (bass, bass + 12):
                s.add(bar + i, 0.6, key, 2.0)
        else:
            for k in range(3):
                s.add(bar + i, 0.45, s.near(root + 2 * k, s.low + 17), -6.0)
    doubling = s.memory.setdefault("doubling", [(), (7,), (5,), (2, 7)][s.rng.integers(4)])
    beat = bar
    while beat < bar + s.beats - 1e-6:
        for length in [(0.25, 0.5, 0.25), (0.5, 0.5), (0.25,) * 4, (0.75, 0.25)][s.rng.integers(4)]:
            key = s.step(root, s.rng.random() < 0.5)
            s.add(beat, length * 0.9, key, 7.0)
            for steps in doubling:
                s.add(beat, length * 0.9, s.near(s.voice - steps, key - round(steps * 1.7)), 1.0)
            beat += length


def slow(s: Section, bar: float, root: int) -> None:
    """A slow melody with few chords."""
    s.melody(bar, root, 0.15, rests=0.15)
    if s.rng.random() < 0.75:
        for k in range(int(s.rng.integers(1, 4))):
            s.add(bar, s.beats * 0.95, s.near(root + (0, 4, 2)[k], s.low + 7 * k), -6.0)


def runs(s: Section, bar: float, root: int) -> None:
    """Scales, in one hand or two, and a few bass notes."""
    unit = float(s.rng.choice((0.25, 0.125, 1 / 6)))
    gap = s.memory.setdefault("gap", [None, 7, 14, 9][s.rng.integers(4)])
    degree = s.memory.get("at", 7)
    way = int(s.rng.choice((-1, 1)))
    start = s.near(0, s.high - 7) - s.tonic
    for i in range(round(s.beats / unit)):
        s.add(bar + i * unit, unit, start + s.pitch(degree), 4.0 if i % 4 == 0 else -2.0)
        if gap:
            s.add(bar + i * unit, unit, start + s.pitch(degree - gap), -3.0)
        degree += way
        if abs(degree - 3) > 13 or s.rng.random() < 0.05:
            way = -int(np.sign(degree - 3)) or way
    s.memory["at"] = degree
    s.add(bar, s.beats / 2, s.near(root, s.low))


def counterpoint(s: Section, bar: float, root: int) -> None:
    """Two voices with rhythms of their own; the lower one sometimes repeats the upper one a bar late."""
    before = s.memory.get("line")
    count = len(s.notes)
    s.melody(bar, root, s.memory.setdefault("fast", float(s.rng.uniform(0.3, 0.9))), rests=0.03)
    line = [(b - bar, length, key) for b, length, key, _ in s.notes[count:]]
    if before and s.rng.random() < 0.5:
        for beat, length, key in before:
            s.add(bar + beat, length, key - 12 * max(1, round((s.high - s.low) / 12)), -1.0)
    else:
        beat, voice = bar, root
        for length in s.rhythm(0.4):
            s.add(beat, length * 0.95, s.near(voice, s.low + 8), -1.0)
            voice += int(s.rng.choice((-2, -1, 1, 2, 4)))
            beat += length
    s.memory["line"] = line


def extended(s: Section, bar: float, root: int) -> None:
    """Sevenths to thirteenths in open voicings, off the beat, with now and then a chromatic slip."""
    slip = int(s.rng.choice((0, 0, 0, 1, -1, 6)))
    hits = sorted(s.rng.choice(np.arange(0, s.beats, 0.5), size=int(s.rng.integers(1, 4)), replace=False))
    tones = s.rng.permutation([2, 6, 8, 10, 12, 4])[: int(s.rng.integers(3, 6))]
    for hit, after in zip(hits, [*hits[1:], s.beats], strict=True):
        for n, tone in enumerate(sorted(tones)):
            s.add(bar + hit, (after - hit) * 0.9, s.near(root + int(tone), s.low + 14 + 5 * n) + slip, -2.0)
        if s.rng.random() < 0.7:
            s.add(bar + hit, (after - hit) * 0.9, s.near(root, s.low) + slip)
    s.melody(bar, root, 0.6, rests=0.35)


def repeated(s: Section, bar: float, root: int) -> None:
    """Repeated notes or tremolo over a slow bass."""
    unit = s.memory.setdefault("unit", float(s.rng.choice((0.25, 0.5, 0.125))))
    key = s.step(root, True)
    other = key + s.memory.setdefault("other", int(s.rng.choice((0, 12, -12, 7, -5))))
    for i in range(int(s.beats / unit)):
        if i * unit % 2 == 0 and s.rng.random() < 0.5:
            key = s.step(root, True)
        s.add(bar + i * unit, unit * 0.8, key if i % 2 == 0 else other, -3.0 + 4 * (i % 4 == 0))
    s.add(bar, s.beats * 0.9, s.near(root, s.low))
    s.add(bar, s.beats * 0.9, s.near(root + 4, s.low + 9), -4.0)


def wide(s: Section, bar: float, root: int) -> None:
    """Leaps over the whole keyboard, in free intervals."""
    beat = bar
    for length in s.rhythm(0.5):
        for _ in range(int(s.rng.choice((1, 1, 2, 3)))):
            key = int(s.rng.integers(21, 109))
            held = length * float(s.rng.uniform(0.3, 1.5))
            s.add(beat, held, s.near(root + key, key), float(s.rng.uniform(-15, 15)))
        beat += length


TEXTURES = (chorale, alberti, arpeggio, block, stride, slow, runs, counterpoint, extended, repeated, wide)
TEMPO = {"chorale": (50, 110), "slow": (40, 80), "runs": (60, 120), "repeated": (60, 110)}
TEMPO["arpeggio"] = (50, 110)


def write_section(rng: np.random.Generator, texture, mode: tuple, tonic: int, beats: int, bars: int):
    """The notes, in beats, of one texture over a chord progression of eight bars."""
    low = int(rng.integers(30, 52))
    s = Section(rng, tonic, mode, beats, low, high=int(rng.integers(max(60, low + 20), 93)))
    pattern = [0]
    while len(pattern) < 8:
        pattern.append(int(rng.choice(NEXT[pattern[-1]])))
    for bar in range(bars):
        texture(s, float(bar * beats), pattern[bar % 8] if bar < bars - 1 else 0)
    return np.array(s.notes)


def swaying(start: float, beat: float, sway: float, period: float, at):
    """The time of a position in beats, with a tempo that swings by the share `sway` every `period` beats."""
    return start + beat * (at + sway * period / 6.28 * np.sin(6.28 * at / period))


def compose(rng: np.random.Generator, seconds: float) -> Score:
    """A piece of about `seconds`: two to five sections, in related keys, each with a texture of its own."""
    notes, pedals, names, now = [], [], [], 0.3
    tonic = int(rng.integers(0, 12))
    while now < seconds - 8:
        mode = MODES[str(rng.choice(list(MODES), p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.07]))]
        beats = int(rng.choice((4, 4, 3, 2, 6)))
        length = min(seconds - now, rng.uniform(15, 50))
        texture = TEXTURES[rng.integers(len(TEXTURES))]
        names.append(texture.__name__)
        beat = 60.0 / rng.uniform(*TEMPO.get(texture.__name__, (60, 150)))
        part = write_section(rng, texture, mode, tonic, beats, max(2, round(length / (beat * beats))))
        # Rubato: the beat breathes slowly by a few per cent.
        sway, period = rng.uniform(0, 0.04), rng.uniform(8, 24)
        warp = partial(swaying, now, beat, sway, period)
        onset = warp(part[:, 0]) + rng.normal(0, 0.007, len(part))
        end = warp(part[:, 0] + part[:, 1] * rng.uniform(0.75, 1.05))
        velocity = shaped(rng, onset, rng.uniform(32, 92), rng.uniform(4, 18), beats * 4 * beat) + part[:, 3]
        last = int(part[:, 0].max() // beats) + 1
        if rng.random() < 0.55:
            for bar in range(last):
                down = warp(float(bar * beats))
                pedals += [(down + 0.06, True), (warp(bar * beats + beats * 0.97), False)]
        for o, e, k, v in zip(onset, end, part[:, 2], velocity, strict=True):
            notes.append((max(0.0, float(o)), float(max(e, o + 0.05)), int(k), int(np.clip(v, 18, 122))))
        now = float(warp(float(last * beats))) + rng.uniform(0.0, 0.8)
        tonic = (tonic + int(rng.choice((0, 0, 5, 7, 3, 9)))) % 12
    return Score(sorted(notes), sorted(pedals), now + TAIL_SECONDS, "composed:" + "+".join(names))
