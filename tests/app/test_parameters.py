"""Parameters whose values are names in a registry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deqlab.app import parameters
from deqlab.app.parameters import REGISTRIES, Parameter, read_parameters
from deqlab.core.errors import InputError
from deqlab.losses.registry import LOSSES
from deqlab.recon.registry import METHODS, learned


@pytest.fixture
def declare(tmp_path: Path, write_notebook):
    """`declare(line)`: the one parameter of a notebook whose parameters cell is that line."""

    def read(line: str) -> Parameter:
        path = write_notebook(tmp_path / "n.ipynb", parameters=line)
        return next(iter(read_parameters(path).values()))

    return read


def test_names_come_from_the_registry(declare) -> None:
    assert declare('loss: str = "l1"  # any of: losses').choices == tuple(LOSSES)
    models = declare('model: str = "de-grad"  # any of: trainable models').choices
    assert models == tuple(name for name in METHODS if learned(name))
    assert "cg-sense" in declare('m: str = "tv"  # any of: models').choices


def test_a_new_name_is_accepted_at_once(declare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES._entries, "cauchy", LOSSES["l1"])
    assert declare('loss: str = "cauchy"  # any of: losses').parse("l2") == "l2"


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_registry_has_names(kind: str, declare) -> None:
    found = parameters._registered(kind)
    assert found and len(set(found)) == len(found) and all(type(name) is str for name in found)
    assert declare(f'x: str = "{found[0]}"  # any of: {kind}').choices == found


@pytest.mark.parametrize("rest", ["", ": of section 2", ", or so", "; of section 2", " (some)"])
def test_help_shows_the_names(rest: str, declare) -> None:
    found = declare(f'loss: str = "l1"  # any of: losses{rest}')
    assert found.help == " | ".join(LOSSES) + rest and found.choices == tuple(LOSSES)


def test_unknown_name_is_refused(declare) -> None:
    found = declare('model: str = "de-grad"  # any of: trainable models')
    with pytest.raises(ValueError, match=r"one of .*de-prox.*, did you mean de-grad\?"):
        found.parse("de-gard")
    with pytest.raises(ValueError, match="must be one of"):
        found.parse("cg-sense")  # nothing trains it


def test_default_must_be_a_name(declare) -> None:
    with pytest.raises(InputError, match="loss = 'l3' is not among its own choices l1"):
        declare('loss: str = "l3"  # any of: losses')


def test_unknown_registry_is_refused(declare) -> None:
    with pytest.raises(InputError, match=r"any of: loses, did you mean losses\?; valid: models,"):
        declare('loss: str = "l1"  # any of: loses')


def test_other_comments_stay_comments(declare) -> None:
    assert declare('note: str = "a"  # not any of: losses').choices == ()
    assert declare('note: str = "a"  # any of them').choices == ()


def test_registries_are_imported_when_a_notebook_asks() -> None:
    code = (
        "import sys, deqlab.app.commands.run, deqlab.app.parameters; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
