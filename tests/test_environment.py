"""pyproject.toml, constraints.txt, environment.yml and the Makefile describe one and the same
environment.
"""

from __future__ import annotations

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


@pytest.mark.skipif(
    sys.platform != "linux", reason="other platforms add packages, which are left unpinned"
)
def test_lock_is_complete(project: dict, pins: dict[str, Version]) -> None:
    extras = project["optional-dependencies"]
    groups = project["dependencies"], extras["lab"], extras["test"]
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


def test_makefile_installs_the_same(repository: Path) -> None:
    for target, work in (("study", "-m deqlab run --budget quick"), ("test", "-m pytest")):
        words = ["make", "--dry-run", "--no-print-directory", "--always-make", target]
        shown = subprocess.run(
            words, cwd=repository, capture_output=True, text=True, check=True
        ).stdout
        assert "pip install -c constraints.txt -e '.[lab,test]'" in shown
        assert shown.index("-m venv") < shown.index("pip install") < shown.index(work)


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
