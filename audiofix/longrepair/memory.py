"""How much of a long recording may be in memory at a time."""

from __future__ import annotations

from dataclasses import replace

from audiofix.errors import SettingError
from audiofix.longrepair.lengths import STRETCH
from audiofix.runtime.executor import Executor
from audiofix.runtime.ranks import UNIT
from audiofix.setup import BYTES, CHUNK, HALOS, SHORTER
from audiofix.tools import Tools
from audiofix.types import Audio

SHORT = {"score", "inpainter"}  # families whose bits do not depend on the chunks
LOADED = 700e6  # bytes of libraries and models
HELD = 14  # tensors like a section's state that a step holds at its peak, at the prior's rate
SHAPED = 140  # bytes a sample that an envelope takes for its spectra, instead
BESIDE = 10  # those at the file's rate, in double precision
GUESSED = 200  # bytes a sample of a stretch that classical methods are given


def short_chunks(executor: Executor) -> Executor:
    """Chunks as short as pays beside their halos."""
    return replace(executor, chunk=CHUNK, halos=HALOS)


def shortened(memory: float | None, tools: Tools, audio: Audio) -> Tools:
    """With chunks as long as pays, or shorter ones where a run would take more than `memory` bytes else."""
    if tools.cards[0].family not in SHORT:
        return tools
    tools = replace(tools, executor=short_chunks(tools.executor))
    for halos in SHORTER:
        shorter = replace(tools, executor=replace(tools.executor, halos=halos))
        try:
            section_for(memory, shorter, audio)
        except SettingError:
            continue
        return shorter
    return shorter


def section_for(memory: float | None, tools: Tools, audio: Audio) -> int:
    """Samples of a section at the prior's rate, so that a run takes `memory` bytes. Raises SettingError."""
    if memory is None:
        return 20 * UNIT
    halo, executor = tools.prior.halo or 0, tools.executor
    chunk = max(executor.chunk, (executor.halos + 1) * halo) if executor.halos else executor.chunk
    flight = BYTES.get(tools.cards[0].family, BYTES["score"]) * (chunk + 2 * halo)
    peak = LOADED + max(flight, GUESSED * STRETCH)
    # A chain with filters looks four seconds and two halos to each side of a section.
    around = 2 * (2 * halo + 8 * tools.sample_rate)
    held = 4 * HELD
    if tools.envelope is not None:
        held, around = max(held, SHAPED), max(around, 2 * tools.envelope.halo)
    ratio = audio.sample_rate / tools.sample_rate
    each = audio.channels * (held + (8 * BESIDE * ratio if ratio != 1 else 0))
    units = int((memory - peak - each * around) / (each * UNIT))
    if units < 1:
        least = (peak + each * (around + UNIT)) / 1e9
        raise SettingError(
            f"--memory {memory / 1e9:.3g}GB does not suffice for these models; give {least + 0.05:.1f}GB or more"
        )
    return units * UNIT
