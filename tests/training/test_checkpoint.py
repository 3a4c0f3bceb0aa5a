"""A checkpoint brings everything back, is whole or not there, and says when it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deqlab.core.errors import InputError
from deqlab.training import checkpoint
from deqlab.training.checkpoint import load_checkpoint, save_checkpoint

PROGRESS = {"epochs": 3, "history": [{"phase": "train", "loss": 0.25}], "seconds": 1.5}


class Training:
    """A model and an Adam, stepped on a fixed problem."""

    def __init__(self, seed: int = 0, width: int = 4):
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)

    def steps(self, count: int) -> Training:
        for k in range(count):
            self.optimizer.zero_grad()
            self.model(torch.arange(3.0) + k).square().sum().backward()
            self.optimizer.step()
        return self

    def weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.model.parameters()).detach()


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Training]:
    training = Training().steps(4)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, training.model, training.optimizer, PROGRESS)
    return path, training


def test_training_goes_on_as_if_nothing_had_happened(saved) -> None:
    """Weights, momenta and step counts: bitwise the same after further steps."""
    path, training = saved
    other = Training(seed=1)
    assert load_checkpoint(path, other.model, other.optimizer) == PROGRESS
    assert torch.equal(other.weights(), training.weights())
    assert torch.equal(other.steps(3).weights(), training.steps(3).weights())
    fresh = Training(seed=1)
    fresh.model.load_state_dict(Training().steps(4).model.state_dict())
    assert not torch.equal(fresh.steps(3).weights(), training.weights())


def test_before_the_first_step_there_are_no_momenta(tmp_path: Path) -> None:
    path, training, other = tmp_path / "c.safetensors", Training(), Training(seed=1)
    save_checkpoint(path, training.model, training.optimizer, {})
    assert load_checkpoint(path, other.model, other.optimizer) == {}
    assert torch.equal(other.steps(2).weights(), training.steps(2).weights())


@pytest.mark.parametrize("where", ["save_file", "os.replace"])
def test_a_write_that_fails_leaves_the_old_state(
    saved, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path, training = saved
    before, content = training.weights(), path.read_bytes()

    def fail(*args):
        # Half a file, as a full disk or a kill leaves it.
        if where == "save_file":
            args[1].write_bytes(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"{checkpoint.__name__}.save_file" if where == "save_file" else where, fail)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint(path, training.steps(1).model, training.optimizer, {})
    monkeypatch.undo()
    other = Training(seed=1)
    assert load_checkpoint(path, other.model, other.optimizer) == PROGRESS and torch.equal(
        other.weights(), before
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a checkpoint at all"),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: save_file({"model.0.weight": torch.zeros(4, 3)}, path),
        lambda path: save_file({"model.0.weight": torch.zeros(4, 3)}, path, {"progress": "{"}),
        lambda path: save_file({}, path, {"progress": "{}"}),
    ],
    ids=["empty", "text", "header cut", "tail cut", "no progress", "progress cut", "no weights"],
)
def test_what_is_no_checkpoint_is_named(saved, spoil) -> None:
    path, _ = saved
    spoil(path)
    training = Training()
    with pytest.raises(InputError) as error:
        load_checkpoint(path, training.model, training.optimizer)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_weights_of_another_shape_are_named(saved) -> None:
    training = Training(width=5)
    with pytest.raises(InputError, match="does not fit the model"):
        load_checkpoint(saved[0], training.model, training.optimizer)
