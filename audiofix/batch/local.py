"""Engines of one machine: this process, or several, each of which is replaced when it dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from audiofix.batch.guard import Guard
from audiofix.batch.manifest import Record
from audiofix.batch.work import Run, Task, Worker

TRIES = 3  # processes that one file may take along before it is given up
PATIENCE = 20.0  # s that a worker has to clear away what it was at


def here(run: Run, tasks: Sequence[Task]) -> Generator[Record]:
    """One after the other, in this process."""
    guard = Guard()
    with contextlib.closing(Worker(run, guard=guard)) as worker, guard.handling("SIGINT", "SIGTERM"):
        for task in tasks:
            yield worker.do(task)


@dataclass
class Lane:
    """A worker process, the file that it is at, and how often that file lost its process."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    lost: int = 0


def processes(run: Run, tasks: Sequence[Task], jobs: int) -> Generator[Record]:
    """So many at a time, each in a process with its share of the cores; records come as they are finished.

    A process that dies is replaced and its file tried again, TRIES times in all. However this generator ends, its
    processes end too. Raises KeyboardInterrupt where one was told to stop.
    """
    todo = deque((task, 0) for task in tasks)
    jobs = max(1, min(jobs, len(todo)))
    threads = max(1, cores() // jobs)
    lanes: dict[Connection, Lane] = {}
    try:
        for place in range(jobs):
            lane = _start(run, threads, place)
            lanes[lane.pipe] = lane
            _hand_out(lane, todo)
        while lanes:
            for pipe in wait(list(lanes)):
                lane = lanes[pipe]  # type: ignore[index]
                try:
                    record = lane.pipe.recv()
                except (EOFError, OSError):
                    del lanes[lane.pipe]
                    lane.process.join()
                    place = int(lane.process.name)
                    if lane.task is not None:
                        given_up = _lost(run, lane, todo)
                        if given_up is not None:
                            yield given_up
                    if todo:
                        again = _start(run, threads, place)
                        lanes[again.pipe] = again
                        _hand_out(again, todo)
                    continue
                if record is None:
                    raise KeyboardInterrupt
                lane.task = None
                _hand_out(lane, todo)
                yield record
    finally:
        _stop(list(lanes.values()))


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def serve(pipe: Connection, run: Run, threads: int, place: int) -> None:
    """What a worker process does: files come in through the pipe, records go out; it ends with the pipe."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)  # for libraries that are loaded from here on
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # see `_start`
    guard = Guard()
    with contextlib.closing(Worker(run, threads, place, guard=guard)) as worker, guard.handling("SIGTERM"):
        try:
            while True:
                task: Task | None = pipe.recv()
                if task is None:
                    return
                pipe.send(worker.do(task))
        except KeyboardInterrupt:
            # A terminal's and the caller's may both come: the second must not break off what the first began.
            with contextlib.suppress(OSError, KeyboardInterrupt):
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                pipe.send(None)
        except (EOFError, OSError):  # whoever started this process has gone: what it was at is finished
            return


def _start(run: Run, threads: int, place: int) -> Lane:
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, run, threads, place), name=str(place))
    # Ctrl-C in a terminal goes to all processes; that the workers stop is for this one to say, once.
    # The tracker of shared things unblocks signals where it is started: before, or the first worker hears them.
    resource_tracker.ensure_running()
    blocked = None
    if hasattr(signal, "pthread_sigmask"):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()  # else this process would hold it open when the worker has died
    return Lane(process, mine)


def _hand_out(lane: Lane, todo: deque[tuple[Task, int]]) -> None:
    task, lane.lost = todo.popleft() if todo else (None, 0)
    lane.task = task
    with contextlib.suppress(OSError):  # it has died: that shows when it is next waited for
        lane.pipe.send(task)


def _lost(run: Run, lane: Lane, todo: deque[tuple[Task, int]]) -> Record | None:
    """Put a dead worker's file back to the front; or the record of giving it up."""
    if lane.task is None:
        return None
    if lane.lost + 1 < TRIES:
        todo.appendleft((lane.task, lane.lost + 1))
        return None
    return Worker(run).give_up(lane.task.item, too_often(f"the last with status {lane.process.exitcode}"))


def too_often(how: str) -> str:
    """The error of a file that is not tried again."""
    return (
        f"{TRIES} worker processes died while they were at it, {how}; where memory ran out, take fewer --jobs, "
        "then add --retry-failed"
    )


def _stop(lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        if lane.task is not None and lane.process.is_alive():
            lane.process.terminate()
        lane.pipe.close()
    for lane in lanes:
        lane.process.join(PATIENCE)
        if lane.process.is_alive():
            lane.process.kill()
            lane.process.join()
