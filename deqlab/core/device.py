"""Which device computes."""

import torch

from deqlab.core.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def device_by_name(name: str) -> torch.device:
    """The device "auto" (a GPU where there is one), "cpu" or "cuda"."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device: 'cuda' given, but no CUDA device is to be had; choose cpu or auto"
        )
    found = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if found else "cpu")
