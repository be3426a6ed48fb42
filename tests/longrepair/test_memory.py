"""Memory that does not grow with the recording, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, resource, sys, tempfile
from pathlib import Path
import numpy as np, soundfile, torch
torch.set_num_threads(1)
import audiofix.tools
from audiofix.audio.files import read_audio
from audiofix.damages import Noisy
from audiofix.longrepair import guesses, lengths, restore as long
from audiofix.repair import restore
from audiofix.runtime.ranks import UNIT
from audiofix.settings import Settings

class White:
    sample_rate, sigmas, halo, grid = 16000, (1.0, 0.001), 0, 1
    def score(self, x, sigma):
        return -x / (0.01 + sigma**2)

audiofix.tools.load_prior = lambda *_, **__: White()
audiofix.tools.choose_critic = lambda *_: None
long.section_for = lambda *_: UNIT
for there in (long, guesses, lengths):
    there.STRETCH = 1 << 16
RATE, faults, how = 32000, [Noisy(torch.tensor([0.05]))], {"prior": "speech", "device": "cpu"}

def peak():
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone: the other figure may be that of what started it
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

with tempfile.TemporaryDirectory() as folder:
    def disk(seconds):
        path, scratch = Path(folder, f"{seconds}.wav"), Path(folder, str(seconds))
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
            for second in range(seconds):
                file.write(0.1 * np.random.default_rng(second).standard_normal(RATE))
        scratch.mkdir()
        long.restore_file(path, faults, scratch, settings=Settings(**how))
        return path
    disk(15)
    first = peak()
    path = disk(45)
    second = peak()
    restore(read_audio(path), faults, **how)
    print(json.dumps([second - first, peak() - second, 4 * 30 * RATE]))
"""


def test_memory_does_not_grow_with_the_recording() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=True
    )
    grown, whole, signal = json.loads(done.stdout.splitlines()[-1])
    # Measured: 24 MB for thirty seconds more, what the allocator keeps; 220 MB on top of that in memory.
    assert 4 * grown < whole
    assert whole > 20 * signal
