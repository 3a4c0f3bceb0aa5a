"""The rival: which method it is, and how far the others stand from it, volume by volume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deqlab.app.cli import main
from deqlab.evaluation.judge import Row, best_of, summarise, table_text
from deqlab.evaluation.paired import mean_difference


def row(method: str, psnr: float, file: str = "f.h5", acceleration: float = 4.0) -> Row:
    scores = {"psnr": psnr, "ssim": 0.5, "nmse": 0.1}
    return Row(method, file, "AXT2", acceleration, scores, seconds=0.5)


def test_differences_to_the_rival_are_taken_volume_by_volume() -> None:
    """Two files share a name, and the model was judged on fewer volumes than the rival."""
    easy, hard, again = "easy.h5", "hard.h5", "easy.h5"
    rows = [
        row("tv", 9, easy),
        row("cg", 1, easy),
        row("tv", -5, hard),
        row("tv", 7, again),
        row("net", 10, easy),
        row("net", 10, again),
        row("net", 2, hard, 8.0),
    ]
    rivals = best_of(rows, ("tv", "cg", "never judged"))
    assert rivals == {4.0: "tv"}
    tv, cg, net, alone = summarise(rows, rivals)
    found = mean_difference([1.0, 3.0])
    assert net["rival"] == "tv" and net["over_rival"] == pytest.approx(2.0)
    assert net["over_rival_interval"] == pytest.approx([found.low, found.high])
    assert cg["over_rival"] == pytest.approx(-8.0) and cg["over_rival_interval"] is None
    assert "over_rival" not in tv and "rival" not in alone
    head, *lines = table_text([tv, cg, net, alone]).splitlines()
    assert "PSNR over the rival" in head
    for line, cell in zip(
        lines, ("  the rival  ", "  -8.00  ", "+2.00 [+1.00, +3.00]  ", "   -  "), strict=True
    ):
        assert cell in line and len(line) == len(lines[0])
    assert "rival" not in table_text(summarise(rows))


def test_the_rival_is_the_best_on_average_at_each_acceleration() -> None:
    rows = [row("cg", v, acceleration=rate) for rate, v in ((4.0, 1), (4.0, 8), (8.0, 3))]
    rows += [row("tv", v, acceleration=rate) for rate, v in ((4.0, 2), (4.0, 6), (8.0, 4))]
    assert best_of(rows, ("cg", "tv")) == {4.0: "cg", 8.0: "tv"}


def test_the_shell_compares_with_the_first_model_where_nothing_is_tuned(
    tiny_data, tmp_path: Path, capsys
) -> None:
    words = ["--model", "cg-sense", "zero-filled", "--acceleration", "4", "--baselines", "none"]
    paths = list(map(str, tiny_data["test"]))
    json_file = tmp_path / "table.json"
    assert main(["evaluate", *words, "--data", *paths, "--json", str(json_file)]) == 0
    content = json.loads(json_file.read_text())
    by = {name: [r["psnr"] for r in content["rows"] if r["method"] == name] for name in words[1:3]}
    found = mean_difference(np.subtract(by["zero-filled"], by["cg-sense"]))
    entry = next(e for e in content["summary"] if e["method"] == "zero-filled")
    assert entry["rival"] == "cg-sense"
    assert entry["over_rival_interval"] == pytest.approx([found.low, found.high])
    assert str(found) in capsys.readouterr().out
