"""pyproject.toml, constraints.txt, environment.yml and the Makefile describe one and the same
environment.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

PIN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([0-9][0-9a-z.]*)")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def lock_lines(repository: Path) -> list[str]:
    lines = (repository / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.fixture(scope="module")
def pins(lock_lines: list[str]) -> dict[str, Version]:
    return {name: Version(version) for name, version in (line.split("==") for line in lock_lines)}


def test_lock_is_portable(lock_lines: list[str]) -> None:
    # a local version (+cpu), a path or an address would bind the lock to one machine, nvidia-* to
    # one kind
    foreign = ("nvidia", "triton", "deqlab=")
    odd = [line for line in lock_lines if not PIN.fullmatch(line) or line.startswith(foreign)]
    assert odd == []
    names = [line.split("==")[0] for line in lock_lines]
    assert names == sorted(set(names))


def test_lock_fits_the_project(project: dict, pins: dict[str, Version]) -> None:
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [Requirement(line) for group in groups for line in group]
    named = [(canonicalize_name(want.name), want) for want in wanted]
    misfits = [
        str(want)
        for name, want in named
        if name not in pins or not want.specifier.contains(pins[name])
    ]
    assert misfits == []


def test_what_is_imported_is_declared(repository: Path, project: dict) -> None:
    """Not merely brought along by something else that is."""
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    extras = project["optional-dependencies"]
    groups = ("cuda", "formats", "sweep")
    optional = {Requirement(line).name for group in groups for line in extras[group]}
    bringing = metadata.packages_distributions()
    undeclared = {}
    for file in (repository / "deqlab").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names:
                brought = {canonicalize_name(name) for name in bringing.get(top, [top])}
                if top != "deqlab" and not brought & (declared | optional):
                    undeclared[file.name] = top
    assert undeclared == {}


@pytest.mark.skipif(
    sys.platform != "linux", reason="other platforms add packages, which are left unpinned"
)
def test_lock_is_complete(project: dict, pins: dict[str, Version]) -> None:
    extras = project["optional-dependencies"]
    groups = [project["dependencies"], extras["lab"], extras["test"]]
    if importlib.util.find_spec("mypy"):
        groups.append(extras["dev"])  # `make lint` brings it, `make test` alone does not
    waiting = [Requirement(line) for group in groups for line in group]
    seen: set[tuple[str, str]] = set()
    missing = set()
    while waiting:
        want = waiting.pop()
        name = canonicalize_name(want.name)
        if name.startswith(("nvidia", "cuda", "triton")):
            continue  # comes with torch's CUDA build only
        if name not in pins:
            missing.add(name)
        for extra in ("", *want.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in metadata.requires(want.name) or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    assert missing == set()
    assert len(seen) > 100


def test_conda_delegates_to_the_lock(repository: Path, project: dict) -> None:
    environment = yaml.safe_load((repository / "environment.yml").read_text())
    assert environment["name"] == project["name"]
    (delegated,) = [
        entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)
    ]
    assert delegated == ["--constraint constraints.txt", "--editable .[lab,test]"]
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (python,) = [entry for entry in plain if entry.startswith("python")]
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(project["requires-python"])
    assert sorted(plain) == ["pip", python]


@pytest.mark.parametrize(
    ("target", "extras", "works"),
    [
        ("study", "lab,test", ["-m deqlab run --budget quick"]),
        ("test", "lab,test", ["-m pytest"]),
        ("lint", "lab,test,dev", ["ruff check .", "ruff format --check .", "-m mypy"]),
        ("format", "lab,test,dev", ["ruff check --fix-only .", "ruff format ."]),
    ],
)
def test_makefile_installs_the_same(
    repository: Path, target: str, extras: str, works: list[str]
) -> None:
    words = ["make", "--dry-run", "--no-print-directory", "--always-make", target]
    shown = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True).stdout
    install = f"pip install -c constraints.txt -e '.[{extras}]'"
    places = [shown.index(step) for step in ("-m venv", install, *works)]
    assert places == sorted(places)


@pytest.mark.parametrize(("failing", "asked"), [("none", ["lint", "test"]), ("lint", ["lint"])])
def test_continuous_integration_lints_and_tests(
    repository: Path, tmp_path: Path, failing: str, asked: list[str]
) -> None:
    log = tmp_path / "log"
    pretended = {
        "make": f'echo "$1" >> "{log}"; [ "$1" != {failing} ]',
        "chromium": "exit 0",  # so that the script installs nothing
    }
    for name, script in pretended.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([repository / ".ci" / "run"], env={**os.environ, "PATH": path})
    assert log.read_text().split() == asked
    assert (done.returncode == 0) == (failing == "none")


def test_workflow_spans_the_supported_pythons(repository: Path, project: dict) -> None:
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "study.yml").read_text())
    jobs = workflow["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands == ["make lint", "make test", "make study"]
    matrices = [jobs[job]["strategy"]["matrix"]["python"] for job in ("test", "study")]
    assert matrices == [["3.11", "3.13"]] * 2
    supported = SpecifierSet(project["requires-python"])
    assert all(supported.contains(python) for python in matrices[0])
    assert matrices[0][0] == project["requires-python"].removeprefix(">=")


def test_hooks_are_those_of_make_lint(repository: Path) -> None:
    """Local hooks: nothing is downloaded, and the versions are those of the lock."""
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    assert {hook["language"] for hook in hooks[0]["hooks"]} == {"system"}
    assert [" ".join(hook["entry"].split()[:2]) for hook in hooks[0]["hooks"]] == [
        ".venv/bin/ruff check",
        ".venv/bin/ruff format",
        ".venv/bin/python -m",
    ]


def test_makefile_refuses_an_old_python(repository: Path, project: dict, tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    pretend = "import sys; code = sys.argv[1]; sys.version_info = (3, 9, 2); exec(code)"
    old.write_text(f'''#!/bin/sh
[ "$1" = --version ] && echo "Python 3.9.2" && exit 0
[ "$1" = -c ] && exec "{sys.executable}" -c "{pretend}" "$2"
exit 3
''')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}", "study"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    lowest = project["requires-python"].removeprefix(">=")
    assert f"needs Python {lowest} or newer" in done.stderr and "is Python 3.9.2" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_running_python_is_supported(project: dict) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    assert SpecifierSet(project["requires-python"]).contains(version)


def test_the_citation_is_that_of_the_project(repository: Path, project: dict) -> None:
    cited = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert [author["name"] for author in cited["authors"]] == [
        author["name"] for author in project["authors"]
    ]
    same = {"title": "name", "version": "version", "license": "license", "keywords": "keywords"}
    assert {key: cited[key] for key in same} == {k: project[name] for k, name in same.items()}


def test_the_version_has_its_changes(repository: Path, project: dict) -> None:
    heads = re.findall(r"^## \[(.+?)\]", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] in ("Unreleased", project["version"])
