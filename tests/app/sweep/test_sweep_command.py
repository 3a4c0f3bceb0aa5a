"""`deqlab sweep` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

from deqlab.app.cli import main
from deqlab.app.sweep.collect import read

TINY = (
    *("--model", "cascade-net", "--set", "iterations=1", "--set", "denoiser.width=4"),
    *("--set", "denoiser.depth=2", "--epochs", "1", "--steps-per-epoch", "1", "--threads", "1"),
)

ONCE = "--acceleration 4"


def sweep(*words: object) -> int:
    return main(["sweep", *map(str, words)])


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> Path:
    """Small heads, simulated."""
    out = tmp_path_factory.mktemp("heads")
    words = ("--matrix", "24", "--coils", "4", "--slices", "2", "--volumes", "1", "1", "1")
    assert main(["data", "make", "--out", str(out), *words]) == 0
    return out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "--grid", "loss=l1,nonsense"), "cell loss=nonsense: .*nonsense"),
        (("train", "--grid", "denoiser.nonsense=1"), "cell denoiser.nonsense=1: .*nonsense"),
        (("train",), "an empty sweep"),
        (("train", "--grid", "seed="), "NAME=VALUE"),
        (("train", "--grid", "seed=0", "--jobs", 0), "--jobs 0"),
        (("train", "--grid", "seed=0", "--on", "moon"), "moon"),
        (("train", "--grid", "seed=0", "--cluster", "queue"), "NAME=VALUE"),
        (("train", "--grid", "seed=0", "--cluster", "queue=a"), "queue"),
        (("train", "--grid", "seed=0", "--judge", "--acceleration {fast}"), "fast"),
        (("train", "--grid", "seed=0", "--judge", "--nonsense"), "nonsense"),
        (("notebook", "04", "--grid", "nonsense=1"), "nonsense"),
        (("notebook", "nonsense", "--grid", "seed=1"), "nonsense"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(
    tmp_path: Path, capsys, words: tuple, told: str
) -> None:
    import re

    out = tmp_path / "sweep"
    assert sweep(*words, "--out", out) != 0
    errors = capsys.readouterr().err
    assert re.search(told, errors) and "Traceback" not in errors
    assert not out.exists()


def test_a_dry_run_prints_commands_and_runs_nothing(tmp_path: Path, capsys) -> None:
    out = tmp_path / "sweep"
    words = ("--grid", "loss=l1,l2", "--grid", "denoiser.width=4,8", "--validate", "--dry-run")
    judge = ("--judge", "--baselines none --acceleration 4")
    assert sweep("train", *words, *judge, "--out", out, "--", *TINY[:2]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and not out.exists()
    assert lines[1].startswith("deqlab train --model cascade-net --loss l1 --set denoiser.width=8")
    assert lines[1].count("deqlab evaluate") == 2 and "--split val" in lines[1]


def test_trainings_and_their_table(tmp_path: Path, heads: Path, capsys, monkeypatch) -> None:
    out = tmp_path / "sweep"
    monkeypatch.chdir(tmp_path)
    grid = (
        "--grid",
        "loss=l1,l2",
        "--jobs",
        2,
        "--judge",
        f"--data {heads} --baselines none {ONCE}",
    )
    words = ("train", *grid, "--out", out, "--", *TINY, "--data", heads)
    assert sweep(*words) == 0, capsys.readouterr()
    axes, rows = read(out)
    assert axes == ["loss"] and {row["loss"] for row in rows} == {"l1", "l2"}
    capsys.readouterr()
    assert sweep("table", out, "--against", "loss=l1", "--plot", out / "table.png") == 0
    table = capsys.readouterr().out
    for loss in ("l1", "l2"):
        content = json.loads((out / f"loss={loss}" / "evaluation.json").read_text())
        own = [row["psnr"] for row in content["rows"] if not row["method"].startswith("tuned")]
        mean = float(np.mean(own))
        (line,) = [line for line in table.splitlines() if line.startswith(f"| {loss} ")]
        assert f"{mean:.4g}" in line.split()
    assert (out / "table.png").stat().st_size > 1000
    assert sweep(*words) == 0
    assert "all 2 cells are finished already" in capsys.readouterr().err


def test_a_table_of_another_file_is_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "results.parquet"
    assert sweep("table", tmp_path) == 2 and "missing" in capsys.readouterr().err
    path.write_bytes(b"PAR1 nonsense")
    assert sweep("table", path) == 2 and "not a Parquet file" in capsys.readouterr().err
