"""What `benchmarks/alike.py` counts by: which weights it finds, what is paired with what, and how
many steps are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data.simulated import SimulationConfig, make
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.recon.weights import save

Part = Callable[[str], ModuleType]
CASCADE = {"iterations": 2, "denoiser": {"name": "dncnn", "depth": 2, "width": 2}}
PROX = {"denoiser": {"name": "dncnn", "depth": 2, "width": 2}}


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch, repository: Path) -> Part:
    """A module of the benchmarks by its name."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two seeds of a cascade and one of an equilibrium, each beside its run's configuration."""
    for seed in (0, 1):
        path = tmp_path / f"seed-{seed}" / "cascade-net" / "cascade-net"
        path.parent.mkdir(parents=True)
        (path.parent / "config.json").write_text("{}")
        save(create("cascade-net", **CASCADE), path, {})
    (tmp_path / "seed-0" / "de-prox").mkdir()
    trained = {"training": {"objective": {"max_evaluations": 7}}}
    save(create("de-prox", **PROX), tmp_path / "seed-0" / "de-prox" / "de-prox", trained)
    return tmp_path


def test_networks_are_found_by_folder_by_pattern_and_by_name(part: Part, runs: Path) -> None:
    alike = part("alike")
    found = alike.networks([f"{runs}/seed-*", "de-ridge"])
    names = [(one.name, one.seed, one.steps) for one in found]
    assert names == [
        ("cascade-net", "seed-0", 2),
        ("de-prox", "seed-0", 7),
        ("cascade-net", "seed-1", 2),
        ("de-ridge", "", 80),
    ]
    assert [one.seed for one in alike.networks([str(runs / "seed-1")])] == ["seed-1"]


def test_words_that_stand_for_nothing_are_refused(part: Part, runs: Path, tmp_path: Path) -> None:
    alike = part("alike")
    (tmp_path / "empty").mkdir()
    for word in (str(tmp_path / "empty"), f"{runs}/sed-*"):
        with pytest.raises(InputError, match="no NAME/NAME.json in it"):
            alike.networks([word])
    with pytest.raises(InputError, match="unknown model 'cascade'"):
        alike.networks(["cascade"])
    with pytest.raises(InputError, match="another name for each needed"):
        alike.networks([str(runs / "seed-0"), str(runs / "seed-0")])


def scores(*values: float) -> dict[str, np.ndarray]:
    return {"psnr": np.array(values)}


def test_differences_are_those_of_the_same_seed_and_slice(part: Part) -> None:
    differences = part("alike").differences
    one = {"seed-0": scores(30, 40), "seed-1": scores(31, 42), "seed-2": scores(0, 0)}
    other = {"seed-1": scores(29, 39), "seed-0": scores(25, 30)}
    np.testing.assert_array_equal(differences(one, other), [[5, 10], [2, 3]])
    np.testing.assert_array_equal(differences(one, {"": scores(20, 20)})[:2], [[10, 20], [11, 22]])
    np.testing.assert_array_equal(differences({"": scores(20, 20)}, other), [[-9, -19], [-5, -10]])
    assert differences(one, {"seed-9": scores(1, 1)}) is None


def test_a_row_shows_means_over_seeds_and_both_rivals(part: Part) -> None:
    alike = part("alike")
    found = {
        "tv": {"": scores(30, 32)},
        "unet": {"seed-0": scores(31, 33)},
        "modl": {"seed-0": scores(33, 35), "seed-1": scores(35, 37)},
        "broken": {"seed-0": scores(np.nan, 1)},
    }
    name, seeds, mean, over_unet, over_tv = alike.row("modl", found, ["psnr"])
    assert (name, seeds, mean) == ("modl", "2", "35.00 ± 1.41")
    assert over_unet == "+2.00 [+2.00, +2.00]"
    assert over_tv.startswith("+4.00 [+3.00, +5.00")
    assert alike.row("tv", found, ["psnr"]) == ["tv", "-", "31.00", "-1.00 [-1.00, -1.00]", "-"]
    assert alike.row("broken", found, ["psnr"])[-2:] == ["-", "-"]


def test_depths_are_multiples_of_each_ones_own_steps(part: Part, runs: Path) -> None:
    """Of an unrolled network and of an equilibrium that no residual stops."""
    alike = part("alike")
    A = CartesianOperator(torch.arange(12) % 2 == 0)
    kspace = A(torch.randn(1, 8, 12, dtype=torch.complex64))
    asked: list[tuple[str, int]] = []

    def judged(method, budget) -> dict[str, np.ndarray]:
        solution = method.run(kspace, A, budget).solution
        taken = budget.max_evaluations if solution is None else int(solution.evaluations)
        asked.append((type(method).__name__, taken))
        return scores(float(taken))

    slices = SimpleNamespace(title="", scores=judged)
    chosen = alike.networks([str(runs / "seed-0")])
    before = chosen[1].model.tolerance
    heading, *rows = alike.deeper(chosen, slices, [1, 3])
    assert heading == ["method", "steps", "1x", "3x"]
    assert rows == [
        ["cascade-net", "2", "2.00", "6.00 (+4.00)"],
        ["de-prox", "7", "7.00", "21.00 (+14.00)"],
    ]
    assert asked == [("CascadeNet", 2), ("CascadeNet", 6), ("DEProx", 7), ("DEProx", 21)]
    assert chosen[1].model.tolerance == before > 0


def test_heads_are_judged_slice_by_slice(
    part: Part, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = SimulationConfig(matrix=32, coils=2, slices=2, volumes=(0, 0, 2), noise=0.001)
    files = make(tmp_path, config, ("test",), progress=False)
    slice_sets = part("scans.slice_sets")
    monkeypatch.setattr(slice_sets, "builtin", lambda split: files)
    heads = slice_sets.Heads(4.0)
    found = heads.scores(create("zero-filled"))
    assert found["psnr"].shape == found["ssim"].shape == (4,)
    assert [(b.file, b.slice) for b in heads.batches][1] == ([files[0].name], [1])
    few = slice_sets.Heads(4.0, 2)
    assert [b.file[0] for b in few.batches] == [file.name for file in files]
    np.testing.assert_allclose(few.scores(create("zero-filled"))["psnr"], found["psnr"][[0, 3]])
