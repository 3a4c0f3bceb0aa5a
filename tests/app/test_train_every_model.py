"""`deqlab train --model NAME` for every name with an objective: two steps, and weights to load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from deqlab.app.cli import main
from deqlab.core.options import default_of, is_options, names_of
from deqlab.recon import METHODS, load
from deqlab.recon.registry import trainable
from deqlab.training.objectives.registry import OBJECTIVES

# Whatever has such an option gets a small one.
SMALL = {"depth": "2", "width": "4", "widths": "4,6", "iterations": "2", "filters": "3,"}
QUICK = {"pretrain_epochs": "1", "max_evaluations": "3", "hinge_iterations": "1"}


def words(kind: type, prefix: str, known: dict[str, str]) -> list[str]:
    """Options of the shell that make a small one of a kind, and of the networks in it."""
    found = [f"{prefix}{name}={known[name]}" for name in names_of(kind) if name in known]
    inside: dict[str, Any] = {name: default_of(kind, name) for name in names_of(kind)}
    for name, value in inside.items():
        if is_options(value):
            found += words(type(value), f"{prefix}{name}.", known)
    return found


@pytest.mark.parametrize("name", trainable())
def test_two_steps_and_weights_to_load(tiny_data, tmp_path: Path, capsys, name: str) -> None:
    objective = OBJECTIVES.options(METHODS[name].trained_by)
    chosen = words(METHODS.options(name), "", SMALL) + words(objective, "objective.", QUICK)
    run = f"train --model {name} --epochs 1 --steps-per-epoch 2 --batch-size 1 --device cpu"
    files = [word for file in tiny_data["train"] for word in ("--data", str(file))]
    sets = [word for pair in chosen for word in ("--set", pair)]
    assert main([*run.split(), *files, *sets, "--out", str(tmp_path)]) == 0
    card = json.loads((tmp_path / f"{name}.json").read_text())
    assert card["model"] == name and card["history"][-1]["skipped"] == 0
    assert card["history"][-1]["gradient"] > 0
    model = load(tmp_path / f"{name}.json")
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    capsys.readouterr()
