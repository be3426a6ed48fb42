"""The engine of a cluster: Ray hands files to actors, one for each device, and replaces those that die."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from audiofix.batch.local import TRIES, too_often
from audiofix.batch.manifest import Record
from audiofix.batch.work import Run, Task, Worker
from audiofix.errors import SettingError

if TYPE_CHECKING:
    import ray as ray_module

OBJECT_STORE = 100_000_000  # bytes; only names and records travel
PASSED_ON = ("AUDIOFIX_MODELS",)  # variables that workers on other nodes need too


def actors(run: Run, tasks: Sequence[Task], jobs: int | None) -> Generator[Record]:
    """Records as files are finished, by `jobs` actors; None: one for each GPU of the cluster, else for each node.

    The cluster is the one that RAY_ADDRESS names or that runs here, else one is started on this machine. All nodes
    see the same files under the same paths. Raises SettingError where Ray is not installed or has no cores.
    """
    ray = import_ray()
    own = not ray.is_initialized()
    if own:
        _connect(ray)
    try:
        yield from _through(ray, run, tasks, jobs)
    finally:
        if own:
            ray.shutdown()


def _connect(ray: Any) -> None:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    quiet = {"log_to_driver": False, "logging_level": "error", "runtime_env": {"env_vars": passed}}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)


def _through(ray: Any, run: Run, tasks: Sequence[Task], jobs: int | None) -> Generator[Record]:
    from ray.util import ActorPool

    cpus, gpus, jobs = places(ray.cluster_resources(), len(ray.nodes()), jobs)
    jobs = min(jobs, len(tasks))
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=TRIES - 1)(Worker)
    folder = os.getcwd()  # noqa: PTH109
    workers = [remote.remote(run, max(1, int(cpus)), 0, folder) for _ in range(jobs)]
    pool: ray_module.util.ActorPool = ActorPool(workers)
    for task in tasks:
        pool.submit(lambda actor, task: actor.do.remote(task), task)
    seen = set()
    while pool.has_next():
        try:
            record: Record = pool.get_next_unordered()
        except ray.exceptions.RayError:  # which file it was is what is missing in the end
            continue
        seen.add(record.name)
        yield record
    for task in tasks:
        if task.item.name not in seen:
            yield Worker(run).give_up(task.item, too_often("on the cluster"))


def places(resources: dict[str, float], nodes: int, jobs: int | None) -> tuple[float, float, int]:
    """(cores, GPUs) of an actor and how many there are. Raises SettingError."""
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    jobs = jobs or int(gpus) or nodes
    if cpus < 1:
        raise SettingError("the Ray cluster has no processor cores to give; start a worker node")
    # Several actors may share a GPU, or a core where there are few.
    share = float(int(cpus // jobs)) or cpus / jobs
    return share, min(1.0, gpus / jobs) if gpus else 0.0, jobs


def import_ray() -> Any:
    """The module. Raises SettingError that says how to get it."""
    try:
        import ray
    except ImportError as error:
        raise SettingError(
            "--engine ray needs Ray: pip install 'audiofix[cluster]', or take local"
        ) from error
    return ray
