"""Runs the cells that have not ended well yet."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from deqlab.app.sweep.cell import Cell, run_cell, stop_all
from deqlab.app.sweep.clusters import Cluster


def run(cells: Sequence[Cell], cluster: Cluster, jobs: int) -> list[dict[str, Any]]:
    """What became of each cell, in their order; finished ones are not run again. One that fails
    does not stop the others. A bar counts cells on a terminal, a line tells of each in a log.
    """
    from tqdm import tqdm

    missing = [cell for cell in cells if not cell.finished]
    if not missing:
        print(f"all {len(cells)} cells are finished already", file=sys.stderr)
        return [cell.record for cell in cells]
    done = len(cells) - len(missing)
    if done:
        print(f"{done} of {len(cells)} cells are finished already", file=sys.stderr)
    outcomes = {cell.folder: cell.record for cell in cells if cell.finished}
    with tqdm(total=len(cells), initial=done, unit="cell", disable=None) as bar:
        for cell, outcome in _as_they_end(missing, cluster, jobs):
            outcomes[cell.folder] = outcome
            bar.update()
            line = f"[{len(outcomes)}/{len(cells)}] {cell.name}: {outcome['status']}"
            why = outcome["error"] or f"{outcome['seconds']:.1f} s"
            bar.write(f"{line}, {why}", sys.stderr)
    return [outcomes[cell.folder] for cell in cells]


def _as_they_end(
    cells: Sequence[Cell], cluster: Cluster, jobs: int
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    with cluster.start(jobs) as workers:
        from distributed import Client, as_completed

        with Client(workers) as client:
            print(f"dashboard: {client.dashboard_link}", file=sys.stderr, flush=True)
            threads = cluster.threads(jobs)
            futures = {
                client.submit(run_cell, cell, threads, key=cell.folder.name, pure=False): cell
                for cell in cells
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], _outcome(future)
            except BaseException:
                stop_all()
                raise


def _outcome(future: Any) -> dict[str, Any]:
    """What the worker returned; a failure where the worker itself was lost."""
    if future.status == "finished":
        found: dict[str, Any] = future.result()
        return found
    error = f"{type(future.exception()).__name__}: {future.exception()}".splitlines()[0]
    return {"status": "failed", "error": error, "seconds": 0.0}
