"""A budget is honoured by every method that iterates and refused by every other before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from deqlab.app.cli import main
from deqlab.core.errors import InputError
from deqlab.networks import AdaptiveRidge, DnCNN, Ridge
from deqlab.recon import METHODS, Budget, create
from deqlab.recon.registry import learned
from deqlab.recon.unrolled.base import Unrolled
from deqlab.recon.weights import save

ITERATING = [name for name in METHODS if METHODS[name].iterates]
OTHERS = [name for name in METHODS if name not in ITERATING]
# A number of steps is all that these can be asked for.
STEPPED = [name for name in OTHERS if issubclass(METHODS[name], Unrolled)]
SOLVERLESS = [name for name in OTHERS if name not in STEPPED]
PLAIN = [name for name in OTHERS if not learned(name)]


def made(name: str) -> Any:
    """A small reconstructor that needs some evaluations."""
    # Fresh weights: the identity, of which some evaluations are needed, but zero for MOL.
    bound = {"lipschitz": 0.9, "residual": False} if name == "mol" else {}
    network: Any = DnCNN.Options(depth=2, width=2, **bound)
    if name == "de-ridge":
        network = Ridge.Options(filters=(2,))
    if name == "de-ridge-adaptive":
        network = AdaptiveRidge.Options(filters=(2,), groups=2)
    if name == "pnp":
        return create(name, denoiser=DnCNN(network), step=0.5)
    if learned(name) and name in ITERATING:
        return create(name, denoiser=network, step=0.2).requires_grad_(False)
    return create(name)


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`model_of(name)`: words of the shell that mean a method, with weights where it has some."""
    folder = tmp_path_factory.mktemp("weights")

    def words(name: str) -> str:
        if not learned(name):
            return name
        path = folder / f"{name}.json"
        if not path.exists():
            torch.manual_seed(0)
            save(made(name), path, {})
        return str(path)

    return words


def test_every_method_says_whether_it_iterates() -> None:
    known = {"cg-sense", "wavelet", "tv", "pnp", "de-prox", "de-grad", "de-admm", "mol", "de-ridge"}
    known |= {"de-ridge-adaptive"}
    assert known <= set(ITERATING) and not {"zero-filled", "sense", "grappa", "unet", "pdnet"} & {
        *ITERATING
    }
    assert PLAIN == ["zero-filled", "sense", "grappa"]


@pytest.mark.parametrize("name", ITERATING)
@torch.no_grad()
def test_who_iterates_stops_where_the_budget_says(measure, name: str) -> None:
    data, method = measure(2, dtype=torch.complex64), made(name)
    own = method.run(data.kspace, data.A).solution
    few = method.run(data.kspace, data.A, Budget(max_evaluations=1)).solution
    assert few.evaluations.tolist() == [1, 1]
    assert bool((own.evaluations > 1).all())
    loose = method.run(data.kspace, data.A, Budget(tolerance=0.3)).solution
    assert loose.converged.all() and bool((loose.residual <= 0.3).all())
    assert bool((loose.evaluations < own.evaluations).all())
    # Nothing of it stays behind.
    again = method.run(data.kspace, data.A)
    assert torch.equal(again.solution.evaluations, own.evaluations)
    assert torch.equal(again.image, method(data.kspace, data.A))


@pytest.mark.parametrize("name", SOLVERLESS)
@pytest.mark.parametrize("budget", [Budget(0.1), Budget(max_evaluations=3)], ids=str)
def test_who_does_not_iterate_refuses_it(measure, name: str, budget: Budget) -> None:
    data = measure(1, dtype=torch.complex64)
    with pytest.raises(InputError, match="has no solver, so tolerance and max_evaluations do not"):
        made(name).run(data.kspace, data.A, budget)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"tolerance": 0}, "tolerance: 0 given, a finite number > 0 and < 1 or None needed"),
        ({"tolerance": 1.0}, "tolerance: 1.0 given"),
        ({"tolerance": float("nan")}, "tolerance: nan given"),
        ({"max_evaluations": 0}, "max_evaluations: 0 given, a whole number >= 1 or None needed"),
    ],
)
def test_a_budget_that_cannot_be(values: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        Budget(**values)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ITERATING)
def test_the_shell_passes_it_on(model_of, tiny_data, tmp_path: Path, capsys, name: str) -> None:
    source, table, out = tiny_data["test"][0], tmp_path / "table.json", tmp_path / "out.h5"
    model = ["--model", model_of(name), "--max-evaluations", "2"]
    data = ["--data", str(source), "--acceleration", "4", "--slices", "0", "--json", str(table)]
    data += ["--baselines", "none"]
    assert main(["evaluate", *model, *data]) == 0
    (row,) = json.loads(table.read_text())["rows"]
    assert row["evaluations"] == [2]
    assert main(["reconstruct", str(source), str(out), *model, "--slices", "0"]) == 0
    with h5py.File(out) as file:
        assert file["reconstruction"].attrs["evaluations"].tolist() == [2]
    assert main(["evaluate", *model[:2], "--tolerance", "0.9", *data]) == 0
    (row,) = json.loads(table.read_text())["rows"]
    assert row["converged"] == [True] and row["residual"] <= 0.9
    capsys.readouterr()


@pytest.mark.parametrize("name", SOLVERLESS)
@pytest.mark.parametrize("words", [["--tolerance", "0.1"], ["--max-evaluations", "3"]], ids=str)
def test_the_shell_refuses_it_before_any_data_is_read(
    model_of, tmp_path: Path, capsys, name: str, words: list[str]
) -> None:
    """The file does not exist, which nobody finds out."""
    missing, model = str(tmp_path / "missing.h5"), ["--model", model_of(name)]
    commands = [
        ["evaluate", "--data", missing, *model, *words],
        ["evaluate", "--data", missing, "--model", "cg-sense", model[1], *words],
        ["reconstruct", missing, str(tmp_path / "out.h5"), *model, *words],
    ]
    for command in commands:
        assert main(command) == 2
        line = capsys.readouterr().err
        assert "has no solver, so tolerance and max_evaluations do not apply" in line, line
        assert "missing.h5" not in line and line.count("\n") == 1


@pytest.mark.parametrize("name", STEPPED)
def test_the_shell_refuses_a_tolerance_of_what_takes_steps(
    model_of, tmp_path: Path, capsys, name: str
) -> None:
    missing, model = str(tmp_path / "missing.h5"), ["--model", model_of(name)]
    assert main(["reconstruct", missing, str(tmp_path / "out.h5"), *model, "--tolerance", "0.1"])
    line = capsys.readouterr().err
    assert "takes a fixed number of steps, so tolerance does not apply" in line, line
    assert "missing.h5" not in line and line.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "reconstruct"])
def test_the_shell_refuses_a_budget_that_cannot_be(tmp_path: Path, capsys, command: str) -> None:
    missing = str(tmp_path / "missing.h5")
    where = ["--data", missing] if command == "evaluate" else [missing, str(tmp_path / "out.h5")]
    for words in (["--tolerance", "2"], ["--max-evaluations", "0"]):
        assert main([command, *where, "--model", "cg-sense", *words]) == 2
        line = capsys.readouterr().err
        assert words[0].removeprefix("--").replace("-", "_") in line and "missing" not in line
