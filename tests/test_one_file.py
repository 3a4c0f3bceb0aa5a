"""A stranger's first day: a new method, a new loss and a new metric are one file and one line each,
and everything else follows. Nothing but the package itself is at hand, copied to a folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

METHOD = '''"""The smallest network that reconstructs: one convolution of the zero-filled image."""

from typing import Any, ClassVar

from torch import Tensor, nn

from deqlab.core.options import Options, Positive, option, options
from deqlab.networks.border import to_channels, to_complex
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Model, Outcome


@options
class ToyOptions(Options):
    """The architecture of `Toy`."""

    gain: Positive = option(1.0, "how much of the convolution is added to the image")


class Toy(Model):
    """image = A^H y + gain C A^H y with a convolution C."""

    Options = ToyOptions
    trained_by: ClassVar[str | None] = "supervised"

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self.convolution = nn.Conv2d(2, 2, 3, padding=1)

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x)."""
        image = A.H(kspace)
        change = to_complex(self.convolution(to_channels(image)))
        return Outcome(image + self.options.gain * change)
'''
LOSS = '''"""The mean modulus to a power."""

from torch import Tensor

from deqlab.core.options import Positive, option, options


@options
class ToyLoss:
    """Mean of |difference|^power."""

    power: Positive = option(1.5, "of the modulus")

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar."""
        return (image - reference).abs().pow(self.power).mean()
'''
METRIC = '''"""The mean error, with its sign."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.options import options
from deqlab.metrics.protocol import volumes


@options
class ToyMetric:
    """Mean of image - target in units of the data range."""

    better: ClassVar = "lower"
    title: ClassVar = "toy bias"
    digits: ClassVar = 3

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x)."""
        target, image = volumes(target, image)
        return float(np.mean(image - target) / (target.max() if maximum is None else maximum))
'''
# file -> source; the registry, the import and the line that it gains, and the line they go before.
ADDED = {
    "recon/unrolled/toy.py": (METHOD, "recon/registry.py", "Toy", '"toy": Toy,', '"zero-filled"'),
    "losses/toy_loss.py": (LOSS, "losses/registry.py", "ToyLoss", '"toy": ToyLoss, ', '"l1"'),
    "metrics/toy_metric.py": (
        METRIC,
        "metrics/registry.py",
        "ToyMetric",
        '"toy": ToyMetric, ',
        '"psnr"',
    ),
}
# Asks a notebook's parameters whether they take the new names.
PARAMETERS = """
import sys
from pathlib import Path
from deqlab.app.parameters import read_parameters
declared = read_parameters(Path(sys.argv[1]))
for name in ("model", "loss", "metric"):
    assert declared[name].parse("toy") == "toy", name
    try:
        declared[name].parse("tay")
    except ValueError as error:
        assert "did you mean toy?" in str(error), error
    else:
        raise AssertionError(name)
"""
NOTEBOOK = '''"""What may be set."""
model: str = "de-grad"  # any of: models
loss: str = "l1"  # any of: losses
metric: str = "psnr"  # any of: metrics
'''


@pytest.fixture(scope="module")
def stranger(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`stranger(words...)` runs Python in a folder with the package and the three additions."""
    folder = tmp_path_factory.mktemp("stranger")
    package = folder / "deqlab"
    shutil.copytree(
        repository / "deqlab", package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    before = {path: path.read_bytes() for path in package.rglob("*.py")}
    for name, (source, registry, made, line, anchor) in ADDED.items():
        (package / name).write_text(source)
        at, text = package / registry, (package / registry).read_text()
        module = "deqlab." + name.removesuffix(".py").replace("/", ".")
        first = "from deqlab.core.registry import Registry\n"
        assert text.count(first) == 1 and text.count(anchor) == 1
        text = text.replace(first, f"{first}from {module} import {made}\n")
        at.write_text(text.replace(anchor, f"{line}{anchor}"))
    after = {path: path.read_bytes() for path in package.rglob("*.py")}
    touched = {path.relative_to(package).as_posix() for path in after if path not in before}
    assert touched == set(ADDED)
    changed = {
        path.relative_to(package).as_posix() for path in before if after[path] != before[path]
    }
    assert changed == {registry for _, registry, *_ in ADDED.values()}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    where = run("-c", "import deqlab; print(deqlab.__path__[0])").stdout.strip()
    assert Path(where).resolve() == package.resolve()
    return run


@pytest.fixture(scope="module")
def run_folder(stranger, tiny_data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the new method with an option of its own, by the new loss."""
    out = tmp_path_factory.mktemp("run")
    words = ["--model", "toy", "--set", "gain=0.5", "--loss", "toy", "--data", *tiny_data["train"]]
    words += ["--epochs", 1, "--steps-per-epoch", 3]
    done = stranger("-m", "deqlab", "train", *words, "--device", "cpu", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_new_method_is_trained_by_the_new_loss_and_says_so(run_folder: Path) -> None:
    card = json.loads((run_folder / "toy.json").read_text())
    assert card["model"] == "toy" and card["options"] == {"gain": 0.5}
    assert card["training"]["loss"] == {"name": "toy", "power": 1.5}
    assert card["training"]["objective"]["name"] == "supervised"
    assert card["steps"] == {"train": 3} and len(card["history"]) == 1


def test_the_new_method_is_judged_by_the_new_metric(
    stranger, run_folder: Path, tiny_data, tmp_path: Path
) -> None:
    table = tmp_path / "table.json"
    words = ["--model", run_folder / "toy.json", "zero-filled", "--acceleration", 4]
    words += ["--baselines", "none", "--metrics", "toy"]
    done = stranger(
        "-m", "deqlab", "evaluate", *words, "--data", *tiny_data["test"], "--json", table
    )
    assert done.returncode == 0, done.stderr
    heads, first, second = done.stdout.splitlines()
    assert "toy bias" in heads and " toy " in first and " zero-filled " in second
    written = json.loads(table.read_text())
    for row in written["rows"]:
        assert abs(row["toy"]) < 1 and "psnr" in row
    entry = written["summary"][0]
    assert f"{entry['toy']:.3f}" in first and "toy_std" in entry


def test_the_new_method_reconstructs_a_file(
    stranger, run_folder: Path, tiny_data, tmp_path: Path
) -> None:
    out = tmp_path / "out.h5"
    source = tiny_data["test"][0]
    done = stranger("-m", "deqlab", "reconstruct", source, out, "--model", run_folder / "toy.json")
    assert done.returncode == 0, done.stderr
    with h5py.File(out) as file:
        assert file["reconstruction"].shape == (2, 32, 32)


def test_help_explains_the_new_option_and_errors_know_the_new_names(stranger) -> None:
    tries = [["--model", "toy", *words] for words in (["--help"], ["--set", "gian=2"])]
    tries += [["--model", "toy", "--set", "gain=-1"], ["--model", "tay"], ["--loss", "tay"]]
    script = f"from deqlab.app.cli import main; print(*[main(['train', *w]) for w in {tries!r}])"
    done = stranger("-c", script)
    assert done.stdout.splitlines()[-1] == "0 2 2 2 2", done.stderr
    assert "gain: how much of the convolution is added to the image" in done.stdout
    assert "toy" in done.stdout.split("--loss")[1][:40]
    misspelt, negative, model, loss = done.stderr.splitlines()
    assert "did you mean gain?" in misspelt and "gain: -1 given" in negative
    assert "unknown model 'tay', did you mean toy?" in model
    assert "unknown loss 'tay', did you mean toy?" in loss


def test_notebooks_take_the_new_names(
    stranger, write_notebook: Callable[..., Path], tmp_path: Path
) -> None:
    notebook = write_notebook(tmp_path / "01_try.ipynb", "pass", parameters=NOTEBOOK)
    done = stranger("-c", PARAMETERS, notebook)
    assert done.returncode == 0, done.stderr
