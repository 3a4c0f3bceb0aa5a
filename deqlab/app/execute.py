"""One notebook run in a kernel of its own, and what became of it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deqlab.app import results
from deqlab.app.jobs import Job

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

FIGURES = "DEQLAB_FIGURES"


def execute(job: Job, out: Path, figures: Path, cells: dict[str, Any] | bool) -> dict[str, Any]:
    """What became of one notebook: the entries that `runner.run` describes; its executed copy is in
    `out`.

    cells: how papermill shows the bar over its cells; False for none. A notebook that fails, or
    whose kernel dies, is an outcome and no error.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    error = None
    with tempfile.TemporaryDirectory(prefix="deqlab-") as scratch:
        recorded = Path(scratch) / "results.json"
        environment = {
            results.VARIABLE: str(recorded),
            FIGURES: str(figures.resolve()),
            # without it the kernel's debugger warns of frozen modules
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            # threads that spin for long while they wait starve each other where a core is busy;
            # measured on two cores, notebook 03 took 11 s with nothing beside it either way, and
            # beside one busy process 16 s so and more than a minute with the default
            "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "10000"),
        }
        begin = time.perf_counter()
        try:
            with _environment(environment):
                papermill.execute_notebook(
                    _no_template(job.notebook),
                    _no_template(out / job.notebook.name),
                    job.values,
                    kernel_name="python3",
                    progress_bar=cells,
                    store_widget_state=False,  # live figures would make it hundreds of times larger
                    extra_arguments=[
                        "--IPKernelApp.log_level=50"
                    ],  # it may complain of its own shutdown
                    config=_transport(Path(scratch)),
                )
        except PapermillExecutionError as failure:
            error = _one_line(failure)
        except Exception as failure:  # a kernel that died is a failed notebook like any other
            error = f"{type(failure).__name__}: {_shorten(str(failure))}"
        seconds = time.perf_counter() - begin
        numbers = results.read(recorded)
    outcome = {"status": "failed", "error": error} if error else {"status": "ok"}
    return {
        "notebook": job.notebook.name,
        "parameters": job.effective,
        **outcome,
        "seconds": round(seconds, 2),
        "results": numbers,
        **_facts(job),
    }


def _facts(job: Job) -> dict[str, str]:
    """With what a notebook ran."""
    import torch

    device = str(job.effective.get("device", "auto"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        with contextlib.suppress(
            RuntimeError, AssertionError
        ):  # no such device: the notebook has said so
            device = f"{device} ({torch.cuda.get_device_name(device)})"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _one_line(failure: PapermillExecutionError) -> str:
    """`In [5], "x = f(y)": ValueError: message`: the cell by its number and its first line of
    code.
    """
    lines = [line.strip() for line in failure.source.splitlines()]
    code = [line for line in lines if line and line[0] not in "#%"]
    first = f', "{_shorten(code[0], 60)}"' if code else ""
    return f"In [{failure.exec_count}]{first}: {failure.ename}: {_shorten(failure.evalue)}"


def _shorten(text: str, limit: int = 200) -> str:
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _no_template(path: Path) -> str:
    """papermill fills braces in a path with parameters; a folder's own braces must survive."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _transport(scratch: Path) -> Config:
    """Sockets as files where the system has them: kernels that start together otherwise race for
    ports.
    """
    from traitlets.config import Config

    config = Config()
    address = scratch / "kernel"
    # a socket's path may be about 100 bytes long, and a "-" and a port are still to come
    if os.name == "posix" and len(os.fsencode(address)) < 90:
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = str(address)
    return config


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
