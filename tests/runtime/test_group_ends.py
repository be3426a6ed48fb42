"""A group of processes ends with the work: no thread of it is left for the interpreter's end to trip over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# What loads late while a group is open must not hold on to it: as a picture or a comparison makes torch do.
MEMBER = """
import os
from audiofix.runtime.launch import company
with company("cpu", lambda: 2) as here:
    import torch.distributed.nn.functional
    here.ranks.agree(True)
threads = os.listdir("/proc/self/task")
names = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in threads]
print(sorted(name for name in names if "gloo" in name or "tcpstore" in name))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the threads in /proc")
def test_no_thread_of_a_group_is_left_when_its_work_is_done() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    members = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER], stdout=subprocess.PIPE, text=True,
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [member.communicate(timeout=120)[0].strip() for member in members]
    assert [member.returncode for member in members] == [0, 0]
    assert said == ["[]", "[]"]
