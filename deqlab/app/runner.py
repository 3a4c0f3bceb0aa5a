"""Runs notebooks without a browser: checks every parameter first, executes, collects figures and
results.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deqlab.app import results
from deqlab.app.parameters import Parameter, read_parameters
from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest

FIGURES = "DEQLAB_FIGURES"


@dataclass(frozen=True)
class Job:
    """One notebook, the values that were set from outside, and the parameters that it declares."""

    notebook: Path
    values: dict[str, object]
    declared: dict[str, Parameter]

    @property
    def name(self) -> str:
        return self.notebook.stem

    @property
    def effective(self) -> dict[str, object]:
        """All parameters with the values that the notebook will see."""
        return {name: parameter.default for name, parameter in self.declared.items()} | self.values

    @property
    def is_default(self) -> bool:
        return all(self.values[name] == self.declared[name].default for name in self.values)


def notebook_folder() -> Path:
    """The folder `notebooks` of the repository: of the clone that one stands in, else of the
    installed one.

    Raises InputError when there is none.
    """
    here, installed = Path.cwd(), Path(__file__).resolve().parents[2]
    candidates = [here] if (here / "deqlab" / "__init__.py").is_file() else []
    for root in (*candidates, installed, here):
        if (root / "notebooks").is_dir():
            return root / "notebooks"
    raise InputError(
        f"no folder `notebooks` in {here} or beside the installed package: "
        "stand in a clone of the repository, or name notebooks by their path"
    )


def find_notebooks(words: list[str]) -> list[Path]:
    """The notebooks that the words name by path, number (`8`, `08`) or stem; without words, all in
    order.

    Raises InputError, with the nearest name, for a word that names no notebook or more than one.
    """
    paths = [Path(word) for word in words if word.endswith(".ipynb")]
    others = [word for word in words if not word.endswith(".ipynb")]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such notebook")
    if words and not others:
        return paths
    folder = notebook_folder()
    study = sorted(folder.glob("*.ipynb"))
    if not study:
        raise InputError(f"{folder}: holds no notebook")
    if not words:
        return study
    return [Path(word) if word.endswith(".ipynb") else _by_name(word, study) for word in words]


def _by_name(word: str, study: list[Path]) -> Path:
    stems = [path.stem for path in study]
    if word.isdecimal():
        matches = [path for path in study if re.match(rf"0*{int(word)}(?!\d)", path.stem)]
    else:
        matches = [path for path in study if path.stem == word]
    if len(matches) > 1:
        raise InputError(
            f"`{word}` names several notebooks: {', '.join(path.stem for path in matches)}"
        )
    if not matches:
        # a word of the title is the likeliest slip: `aliasing` for `01_see_aliasing`
        within = [stem for stem in stems if word in stem and not word.isdecimal()]
        hint = f", did you mean {within[0]}?" if within else nearest(word, stems)
        hint = hint or f"; it holds {', '.join(stems)}"
        raise InputError(f"no notebook `{word}` in {study[0].parent}{hint}")
    return matches[0]


def plan(notebooks: list[Path], settings: list[tuple[str, str]], budget: str | None) -> list[Job]:
    """One job for each notebook, every value checked: nothing has run yet.

    settings: pairs of a parameter's name and the text of its value; each must be declared by at
    least one of the notebooks and goes to those that declare it. Raises InputError that names the
    nearest valid one.
    """
    given: dict[str, str] = {}
    for name, text in settings:
        if given.setdefault(name, text) != text:
            raise InputError(f"parameter {name} is set twice, to {given[name]} and to {text}")
    if budget is not None and given.get("budget", budget) != budget:
        raise InputError(f"--budget {budget} contradicts -p budget {given['budget']}")
    declared = {notebook: read_parameters(notebook) for notebook in notebooks}
    stems = [notebook.stem for notebook in notebooks]
    for stem in stems:
        if stems.count(stem) > 1:
            raise InputError(
                f"two notebooks are called {stem}: they would overwrite each other's results"
            )
    known = sorted({name for parameters in declared.values() for name in parameters})
    for name in given:
        if name not in known:
            hint = nearest(name, known) or f"; there are {', '.join(known) or 'none'}"
            raise InputError(f"no parameter `{name}` in {', '.join(stems)}{hint}")
    if budget is not None:
        given["budget"] = budget
    jobs = []
    for notebook, parameters in declared.items():
        values = {
            name: _value(notebook, parameters[name], text)
            for name, text in given.items()
            if name in parameters
        }
        jobs.append(Job(notebook, values, parameters))
    return jobs


def _value(notebook: Path, parameter: Parameter, text: str) -> object:
    try:
        return parameter.parse(text)
    except ValueError as error:
        what = f"{notebook.stem}: parameter {parameter.name} cannot be `{text}`"
        raise InputError(f"{what}: {error}") from error


def figure_folder(jobs: list[Job], out: Path, chosen: Path | None) -> Path:
    """Where figures go: the chosen folder; `figures/` of the repository for its own notebooks with
    default parameters; otherwise OUT/figures."""
    if chosen is not None:
        return chosen
    with contextlib.suppress(InputError):
        folder = notebook_folder()
        own = all(job.notebook.resolve().parent == folder.resolve() for job in jobs)
        if own and all(job.is_default for job in jobs):
            return folder.parent / "figures"
    return out / "figures"


def run(jobs: list[Job], out: Path, figures: Path) -> dict[str, dict]:
    """What became of each notebook, by name; also in OUT/results.json and OUT/results.md, beside
    older ones.

    One that fails does not stop the next. Each value holds notebook, parameters, status (`ok`,
    `failed`), seconds, error (one line, after a failure), results, python, torch, device, finished.
    Raises InputError when OUT would overwrite a notebook.
    """
    for job in jobs:
        if job.notebook.resolve().parent == out.resolve():
            raise InputError(
                f"{out}: holds the notebook {job.notebook.name} itself; choose another --out"
            )
    out.mkdir(parents=True, exist_ok=True)
    figures.mkdir(parents=True, exist_ok=True)
    collected = results.read(out / "results.json")
    finished = {}
    bar = _Progress(jobs)
    for job in jobs:
        bar.start(job)
        finished[job.name] = _run_one(job, out, figures, bar)
        collected[job.name] = finished[job.name]
        # after each notebook: an interrupted study keeps what it has
        results.write(out / "results.json", collected)
        results.write(out / "results.md", results.report(collected))
        bar.end(job, finished[job.name])
    bar.close()
    return finished


def _run_one(job: Job, out: Path, figures: Path, bar: _Progress) -> dict:
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
        }
        begin = time.perf_counter()
        try:
            with _environment(environment):
                papermill.execute_notebook(
                    _no_template(job.notebook),
                    _no_template(out / job.notebook.name),
                    job.values,
                    kernel_name="python3",
                    progress_bar=bar.cells,
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


def _one_line(failure) -> str:
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


def _transport(scratch: Path):
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


class _Progress:
    """A bar over notebooks and one over the cells of the present one; in a log, a line for each
    notebook.
    """

    def __init__(self, jobs: list[Job]) -> None:
        from tqdm import tqdm

        self._live = sys.stderr.isatty()
        self._count, self._done = len(jobs), 0
        self._bar = tqdm(
            total=len(jobs), unit="notebook", desc="study", position=0, disable=not self._live
        )
        self.cells: dict | bool = False

    def start(self, job: Job) -> None:
        width = shutil.get_terminal_size().columns // 3
        self.cells = (
            {"desc": job.name[:width], "position": 1, "leave": False} if self._live else False
        )

    def end(self, job: Job, outcome: dict) -> None:
        self._done += 1
        self._bar.update()
        line = (
            f"[{self._done}/{self._count}] {job.name}: {outcome['status']},"
            f" {outcome['seconds']:.1f} s"
        )
        (
            self._bar.write(line, file=sys.stderr)
            if self._live
            else print(line, file=sys.stderr, flush=True)
        )

    def close(self) -> None:
        self._bar.close()
