"""The committed notebooks have the anatomy that makes their regression test compare something.

nbval compares only cells that keep an execution count and outputs: a stripped notebook passes
whatever it says. These tests read the files; `make test` lets nbval run them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deqlab.app.parameters import read_parameters
from deqlab.core.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
LARGEST = 1_500_000
CHECK = "nbval-check-output"
# two parts or more after a space, a quote or a line's beginning; not web addresses, not closing
# HTML tags
ABSOLUTE = re.compile(r"(?:^|[\s\"'(=])(/(?:[\w.~-]+/)+[\w.~-]+|[A-Za-z]:\\\\?\w+)", re.MULTILINE)


def text_of(output: dict) -> str:
    """What a reader can read of an output: streams and text, not pictures."""
    data = output.get("data", {})
    readable = [data[kind] for kind in data if kind in ("text/plain", "text/html", "text/markdown")]
    parts = [output.get("text", ""), *readable]
    return "\n".join("".join(part) for part in parts)


def defects(path: Path) -> list[str]:
    """Everything about a notebook that would make its test hollow or its file unfit to be
    committed.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    found = []
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        found.append("kernel is not python3")
    if "widgets" in notebook["metadata"]:
        found.append("stores widget state")
    if path.stat().st_size > LARGEST:
        found.append("file is too large")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = [cell for cell in code if "".join(cell["source"]).strip()]
    tags = [set(cell["metadata"].get("tags", ())) for cell in code]
    return (
        found
        + _parameter_defects(path, tags)
        + _output_defects(code, tags)
        + _path_defects(notebook)
    )


def _parameter_defects(path: Path, tags: list[set[str]]) -> list[str]:
    import papermill

    if sum("parameters" in names for names in tags) != 1:
        return ["not exactly one cell tagged parameters"]
    if any("injected-parameters" in names for names in tags):
        return ["has injected parameters"]
    try:
        declared = read_parameters(path)
    except InputError as error:
        return [f"parameters cell is unreadable: {error}"]
    shown = papermill.inspect_notebook(path)
    types = {name: parameter["inferred_type_name"] for name, parameter in shown.items()}
    if {name: parameter.type for name, parameter in declared.items()} != types:
        return ["papermill reads other parameters (annotate each one, on one line)"]
    return [] if declared else ["parameters cell declares nothing"]


def _output_defects(code: list[dict], tags: list[set[str]]) -> list[str]:
    found = []
    if any(output["output_type"] == "error" for cell in code for output in cell["outputs"]):
        found.append("stores an error")
    counts = [cell["execution_count"] or 0 for cell in code]
    if 0 in counts or counts != sorted(counts):
        found.append("is not executed from top to bottom")
    checked = [cell for cell, names in zip(code, tags) if CHECK in names]
    if not checked:
        found.append("has no check cell")
    for cell in checked:
        if not cell["execution_count"] or not re.search(
            r"\d", "".join(map(text_of, cell["outputs"]))
        ):
            found.append("a check cell keeps no number to compare")
    return found


def _path_defects(notebook: dict) -> list[str]:
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    texts += [text_of(output) for cell in notebook["cells"] for output in cell.get("outputs", ())]
    texts += [
        json.dumps(notebook["metadata"]),
        *(json.dumps(cell["metadata"]) for cell in notebook["cells"]),
    ]
    return [f"absolute path {match}" for text in texts for match in ABSOLUTE.findall(text)]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_anatomy(path: Path) -> None:
    assert defects(path) == []


@pytest.fixture
def healthy(tmp_path: Path, write_notebook) -> tuple[Path, dict]:
    path = write_notebook(
        tmp_path / "n.ipynb", "x = 1", ("print(30.2)", [CHECK]), parameters="seed: int = 0"
    )
    notebook = json.loads(path.read_text())
    for count, cell in enumerate(notebook["cells"], start=1):
        cell["execution_count"] = count
    notebook["cells"][2]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": ["psnr 30.2\n"]}
    ]
    return path, notebook


def stream(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": [text]}


FAULTS = {
    "kernel is not python3": lambda n: n["metadata"]["kernelspec"].update(name="deq"),
    "stores widget state": lambda n: n["metadata"].update(widgets={}),
    "file is too large": lambda n: n["cells"][1]["outputs"].append(stream("x" * LARGEST)),
    "not exactly one cell tagged parameters": lambda n: n["cells"][0]["metadata"].update(tags=[]),
    "has injected parameters": lambda n: n["cells"][1]["metadata"].update(
        tags=["injected-parameters"]
    ),
    "parameters cell is unreadable": lambda n: n["cells"][0].update(
        source='loss: str = "l3"  # l1 | l2'
    ),
    "papermill reads other parameters": lambda n: n["cells"][0].update(
        source="size: int | None = 3"
    ),
    "parameters cell declares nothing": lambda n: n["cells"][0].update(source="pass"),
    "stores an error": lambda n: n["cells"][1]["outputs"].append(
        {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    ),
    "is not executed from top to bottom": lambda n: n["cells"][1].update(execution_count=9),
    "has no check cell": lambda n: n["cells"][2]["metadata"].update(tags=[]),
    "a check cell keeps no number": lambda n: n["cells"][2].update(outputs=[stream("fine")]),
    "absolute path /there/a.h5": lambda n: n["cells"][1].update(source="open('/there/a.h5')"),
    "absolute path /elsewhere/x": lambda n: n["cells"][1]["outputs"].append(
        stream("saved\n/elsewhere/x")
    ),
    "absolute path /there/in.ipynb": lambda n: n["metadata"].update(
        papermill={"input": "/there/in.ipynb"}
    ),
}


def test_healthy_notebook_has_no_defect(healthy: tuple[Path, dict]) -> None:
    path, notebook = healthy
    notebook["cells"][1]["source"] = "# see https://a.org/b/c, runs/study/x and <td>1</td> at 1/2/3"
    path.write_text(json.dumps(notebook))
    assert defects(path) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_defect_is_found(fault: str, healthy: tuple[Path, dict]) -> None:
    path, notebook = healthy
    FAULTS[fault](notebook)
    path.write_text(json.dumps(notebook))
    assert [defect for defect in defects(path) if defect.startswith(fault)]


def test_stripped_notebook_is_found(healthy: tuple[Path, dict]) -> None:
    path, notebook = healthy
    for cell in notebook["cells"]:
        cell.update(execution_count=None, outputs=[])
    path.write_text(json.dumps(notebook))
    assert "a check cell keeps no number to compare" in defects(path)
