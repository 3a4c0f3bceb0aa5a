"""Training state as one safetensors file, written atomically and read without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
    average: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write model, optimiser, `progress` (JSON values) and averaged weights by name so that `path`
    is always either the old or the new state, whole.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in (average or {}).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()
        }
    with atomic_path(path) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            temporary,
            {"progress": json.dumps(progress)},
        )


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, Any]:
    """Bring model, optimiser and the averaged weights to the saved state and return `progress`;
    InputError where the file does not fit the model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            progress = json.loads(file.metadata()["progress"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a training checkpoint ({error}); remove it to start anew"
        ) from None
    try:
        model.load_state_dict(
            {
                name.removeprefix("model."): t
                for name, t in tensors.items()
                if name.startswith("model.")
            }
        )
    except RuntimeError as error:
        raise InputError(
            f"{path}: does not fit the model: {str(error).splitlines()[-1].strip()}"
        ) from None
    for name, weight in (average or {}).items():
        if f"average.{name}" not in tensors:
            raise InputError(f"{path}: holds no average of {name}; remove it to start anew")
        weight.copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    if state:
        optimizer.load_state_dict(
            {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
        )
    return progress
