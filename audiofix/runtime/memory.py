"""Keep freed memory in the process: to hand it back and ask again costs as much as a small network."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
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
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
