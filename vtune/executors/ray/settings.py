"""What a user says about the workers of a Ray cluster."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from vtune.engine.buckets import Buckets
from vtune.errors import ArgumentError
from vtune.executors.job import Job, Prospect
from vtune.executors.machines import stored_strategy
from vtune.executors.prepared import SAMPLE
from vtune.executors.ray.executor import RayExecutor
from vtune.executors.ray.fleet import Fleet
from vtune.executors.ray.worker import Choice
from vtune.extras import extra
from vtune.settings import whole


@dataclass(frozen=True)
class Ray:
    """Trains trials on the workers of a Ray cluster. This process proposes, decides and writes.

    A worker is one process that holds the lanes of one host, or of one accelerator. Workers may come and go while a
    study runs: trials of one that dies are trained again by others, with the same result.

    Args:
      workers: how many; "auto" for as many as the cluster has room for, now and later.
      cpus: cores of a worker, each of which drives a block; "auto" for all of a host, shared among its accelerators.
      gpus: GPUs of a worker; "auto" for one where all hosts of the cluster have some.
      resources: of other kinds that a worker takes, such as {"TPU": 4}.
      address: of the cluster; when left out, the one that `ray.init` has connected to, that $RAY_ADDRESS names, or a
        new one of this machine.

    Raises:
      ArgumentError: numbers that cannot be.
      PackageError: Ray is not installed.

    Example:
      >>> from vtune.executors import Ray
      >>> Ray(workers=4, cpus=8).workers
      4
    """

    name: ClassVar[str] = "ray"

    workers: int | str = "auto"
    cpus: int | str = "auto"
    gpus: float | str = "auto"
    resources: Mapping[str, float] = field(default_factory=dict)
    address: str | None = None

    def __post_init__(self) -> None:
        extra("ray", "executor='ray'")
        for name, least in (("workers", 1), ("cpus", 1)):
            if getattr(self, name) != "auto":
                object.__setattr__(self, name, whole(name, getattr(self, name), least))
        gpus = self.gpus
        if gpus != "auto" and (isinstance(gpus, bool) or not isinstance(gpus, int | float) or gpus < 0):
            raise ArgumentError(f"gpus must be 'auto' or a number of at least 0, not {gpus!r}")

    def threads(self) -> int:
        """0: a worker has as many threads as it has cores, or one for its accelerator."""
        return 0

    def devices(self, wanted: int | str) -> int:
        """How many devices of a worker share the lanes of a block; one unless given."""
        return 1 if wanted == "auto" else whole("devices", wanted, 1)

    def connect(self) -> None:
        """Connects to the cluster, or starts one: before the run, since Ray sets handlers of signals."""
        ray = extra("ray", "executor='ray'")
        if not ray.is_initialized():
            with warnings.catch_warnings():
                # JAX warns of forks because of its threads; what Ray forks is another program at once.
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(address=self.address, log_to_driver=False, logging_level="warning")

    def begin(
        self, job: Job, prospect: Prospect, status: Callable[[str], None], waiting: Callable[[], None]
    ) -> RayExecutor:
        """An executor for a study that begins, with the program of the exemplar traced in it; see `Local`."""
        sample = functools.partial(_first, list(prospect.sample(SAMPLE)))
        known = dataclasses.replace(prospect, sample=sample)

        def choose(fleet: Fleet) -> Choice:
            status("looking how a worker trains best")
            first = fleet.sites[0]
            return fleet.gathered({first: first.actor.choose.remote(known, len(fleet.sites))})[first]

        executor = self._executor(job, choose, status, waiting)
        executor.planner.extend(prospect.exemplar)
        return executor

    def again(
        self, job: Job, choices: Mapping[str, Any], status: Callable[[str], None], waiting: Callable[[], None]
    ) -> RayExecutor:
        """An executor for a study that goes on, with as many lanes as it had, on whatever workers there are."""
        buckets = Buckets.from_json(choices["buckets"])
        choice = Choice(stored_strategy(job, choices), choices["blocks"], buckets)
        return self._executor(job, lambda fleet: choice, status, waiting)

    def _executor(
        self, job: Job, choose: Callable[[Fleet], Choice], status: Callable[[str], None], waiting: Callable[[], None]
    ) -> RayExecutor:
        ray = extra("ray", "executor='ray'")
        options = self._options(ray)
        job = dataclasses.replace(job, threads=job.threads or (1 if options["num_gpus"] else int(options["num_cpus"])))
        fleet = Fleet(ray, options, lambda: self._wanted(ray, options), job, status, waiting)
        try:
            fleet.start(_most(ray, options))
            return RayExecutor(job, fleet, choose(fleet), status, waiting)
        except BaseException:
            fleet.close()
            raise

    def _options(self, ray: Any) -> dict[str, Any]:
        """What a worker takes."""
        hosts = [host for host in _hosts(ray) if host.get("CPU", 0) >= 1]
        everywhere = bool(hosts) and all(host.get("GPU", 0) >= 1 for host in hosts)
        gpus = float(everywhere if self.gpus == "auto" else self.gpus)
        shares = [int(host["CPU"] / max(1.0, host.get("GPU", 0) // gpus if gpus else 1.0)) for host in hosts]
        cpus = self.cpus if self.cpus != "auto" else max(1, min(shares, default=1))
        found = {"num_cpus": cpus, "num_gpus": gpus, "resources": dict(self.resources)}
        # This process may keep off the GPUs, for itself alone.
        return {**found, "runtime_env": {"env_vars": {"JAX_PLATFORMS": ""}}} if gpus else found

    def _wanted(self, ray: Any, options: Mapping[str, Any]) -> int:
        if self.workers != "auto":
            return int(self.workers)
        return max(1, _most(ray, options))


def _hosts(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _room(resources: Mapping[str, float], options: Mapping[str, Any]) -> int:
    """For how many workers there is room."""
    need = {"CPU": options["num_cpus"], "GPU": options["num_gpus"], **options["resources"]}
    return int(min(resources.get(name, 0) // amount for name, amount in need.items() if amount))


def _most(ray: Any, options: Mapping[str, Any]) -> int:
    """For how many workers the cluster is large enough, if nobody else uses it."""
    return sum(_room(host, options) for host in _hosts(ray))


def _first(configs: Sequence[Mapping[str, Any]], n: int) -> Sequence[Mapping[str, Any]]:
    return configs[:n]
