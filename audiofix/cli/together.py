"""Several processes for one file of a restoring command: who takes part, and what cannot be shared."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from audiofix.errors import SettingError

if TYPE_CHECKING:
    from audiofix.cli.repair import Job


def refuse_sharing(job: Job) -> None:
    """Raise SettingError where many files are given and several devices are to share each."""
    device = job.settings["device"]
    if _several(device):
        raise SettingError(
            f"--devices {device} share one file and many are given; --jobs N works on N at a time"
        )


@contextlib.contextmanager
def together(job: Job) -> Iterator[Job]:
    """The job as this process does it: on the one device that was named, or as one of several processes.

    These go by way of the disk. "auto" is one device: by way of the disk, what lies at the edge of a band is not
    what it is in memory. Raises SettingError for what cannot be shared, DeviceError.
    """
    from audiofix.runtime.ranks import ranks_of

    device = job.settings["device"]
    rank, size, _ = ranks_of(os.environ)
    if not _several(device) and size == 1:
        yield job
        return
    from audiofix.runtime.launch import company, devices_of

    if job.dry_run:
        if rank:
            raise typer.Exit  # the first one tells it
        yield _on(job, devices_of(device)[0])
        return
    if job.confirm is not None:
        raise SettingError(
            "several processes are not asked what to restore; add --yes to go on with what is found, or give --ops"
        )
    with company(device, lambda: 1) as found:
        shared = found.ranks.size > 1
        scale = dataclasses.replace(job.scale, ranks=found.ranks, asked=job.scale.asked or shared)
        yield dataclasses.replace(_on(job, found.device), scale=scale)


def _on(job: Job, device: str) -> Job:
    return dataclasses.replace(job, settings={**job.settings, "device": device})


def _several(device: str) -> bool:
    """Whether a text of --devices is for several processes, or names none that --device knows."""
    return "," in device or device.startswith("cpu:")
