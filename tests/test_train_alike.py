"""The networks that are trained alike have parameters alike, and their commands are ones that
`deqlab train` takes.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from deqlab.app.commands import train
from deqlab.training import trainer


@pytest.fixture(scope="module")
def alike(repository: Path) -> ModuleType:
    path = repository / "benchmarks" / "train_alike.py"
    spec = importlib.util.spec_from_file_location("train_alike", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_commands_are_taken_and_make_models_of_one_size(alike, monkeypatch, tmp_path) -> None:
    """0.3 to 0.45 million numbers, but of the recurrent one; all flags but those of the network
    are the same, and so is the number of steps, piece by piece or at once.
    """

    class Enough(Exception):
        pass

    configs = {}

    def seen(config, *_, **__):
        configs[name] = config
        raise Enough

    monkeypatch.setattr(trainer, "train", seen)
    monkeypatch.setattr("deqlab.data.varied.draws.Varied", lambda *_: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    chosen = argparse.Namespace(steps=800, anatomy=[], pixels=20_000, precision="32", threads=1)
    for name in alike.NETWORKS:
        words = alike.command(name, 3, tmp_path / name, chosen)
        with pytest.raises(Enough):
            train.COMMAND.main(words[1:], standalone_mode=False)
    counts = {n: sum(p.numel() for p in c.build().parameters()) for n, c in configs.items()}
    recurrent = counts.pop("rim")
    assert all(300_000 <= count <= 450_000 for count in counts.values()), counts
    assert 200_000 <= recurrent <= 450_000
    shared = {(c.loss, c.batch_size, c.average, c.seed, c.precision) for c in configs.values()}
    assert len(shared) == 1
    epochs = {name: c.epochs * alike.PIECES.get(name, 1) for name, c in configs.items()}
    assert set(epochs.values()) == {8}
    assert configs["kiki-net"].build().depth == alike.PIECES["kiki-net"]
