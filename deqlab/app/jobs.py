"""What is to be run: notebooks found by name, and every parameter checked before any work."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from deqlab.app.parameters import Parameter, read_parameters
from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest


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
