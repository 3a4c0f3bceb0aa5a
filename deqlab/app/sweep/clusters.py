"""Who runs the cells of a sweep: workers on this machine, or jobs of a Slurm cluster."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Protocol

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, option, options
from deqlab.core.registry import Registry

NEEDED = "sweeps need dask, distributed, dask-jobqueue, bokeh and pyarrow: install deqlab[sweep]"


class Cluster(Protocol):
    """Options that start workers."""

    def start(self, jobs: int) -> Any:
        """A cluster of dask with `jobs` workers that take one cell at a time."""

    def threads(self, jobs: int) -> int:
        """How many threads the commands of a cell may use."""


@options
class Local(Options):
    """This machine: its cores are shared among the cells that run at a time."""

    def threads(self, jobs: int) -> int:
        """A share of the cores."""
        return max(1, len(os.sched_getaffinity(0)) // jobs)

    def start(self, jobs: int) -> Any:
        """The cells' commands are processes of their own, so the workers are threads of one. They
        cannot be lost alone: silence means that the machine slept, and they are waited for.
        """
        import dask
        from distributed import LocalCluster

        with dask.config.set({"distributed.scheduler.worker-ttl": None}):
            return LocalCluster(
                n_workers=1, threads_per_worker=jobs, processes=False, dashboard_address=":0"
            )


@options
class Slurm(Options):
    """Jobs of a Slurm cluster, one for each worker; what is not said here dask-jobqueue takes from
    its own configuration. The folder of the sweep must be seen by all nodes.
    """

    queue: str | None = option(None, "the partition; None for the cluster's default")
    cores: Count = option(1, "of a job, all for one cell")
    memory: str = option("4GB", "of a job")
    walltime: str = option("04:00:00", "after which Slurm ends a job; the sweep may be run again")

    def threads(self, jobs: int) -> int:
        """All cores of a job."""
        return self.cores

    def start(self, jobs: int) -> Any:
        """Each job is a worker that takes one cell at a time."""
        from dask_jobqueue import SLURMCluster

        cluster = SLURMCluster(
            queue=self.queue,
            cores=self.cores,
            processes=1,
            memory=self.memory,
            walltime=self.walltime,
            worker_extra_args=["--nthreads", "1"],
            scheduler_options={"dashboard_address": ":0"},
        )
        cluster.scale(jobs=jobs)
        return cluster


def checked() -> None:
    """InputError where the libraries of sweeps are not installed."""
    for name in ("distributed", "dask_jobqueue", "pyarrow", "bokeh"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"{NEEDED} ({name} is missing)")


CLUSTERS: Registry[Cluster] = Registry("cluster", {"local": Local, "slurm": Slurm})
