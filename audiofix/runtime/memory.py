"""Keep freed memory in the process: to hand it back and ask again costs as much as a small network."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGEST = 1 << 30  # bytes; blocks below are reused instead of mapped anew


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to reuse large blocks; False where there is another one. Acts on the whole process.

    A network call frees and wants again some hundred MB of activations. By default each block of 32 MB and more
    is mapped anew and zeroed by the kernel: a quarter of the time of a call, half of a training step.
    For commands, not for a library: the process then stays as large as its peak.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # One arena for all threads: those of threads of their own are too small to hold a block of 64 MB.
    settings = {M_MMAP_THRESHOLD: LARGEST, M_TRIM_THRESHOLD: LARGEST, M_ARENA_MAX: 1}
    return all(bool(mallopt(name, value)) for name, value in settings.items())
