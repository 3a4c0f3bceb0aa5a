"""Everything that takes tensors, once on the CPU and once on a device that is only a label (see
pretended.py).
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

sys.path.insert(0, str(Path(__file__).parent))

from pretended import PretendedDevice


@pytest.fixture
def device() -> Iterator[PretendedDevice]:
    """The pretended device, for as long as the test runs."""
    with PretendedDevice() as device:
        yield device


def on(name: torch.device, value: Any) -> Any:
    """`value` there: a tensor, a copy of a module, method or sample, a container of them, or
    anything else as it is.
    """

    def move(part: Any) -> Any:
        if isinstance(part, Tensor):
            return part.to(name)
        return copy.deepcopy(part).to(name) if hasattr(part, "to") else part

    return tree_map(move, value)


@pytest.fixture
def same(device: PretendedDevice) -> Callable[..., Any]:
    """`same(compute, *inputs)`: compute(*inputs) on the device is on the device, and is what it is
    on the CPU; returned as on the device.
    """

    def check(compute: Callable[..., Any], *inputs: Any, tolerance: float = 1e-10) -> Any:
        moved = on(device.name, inputs)
        torch.manual_seed(1)
        expected = compute(*inputs)
        torch.manual_seed(1)
        found = compute(*moved)
        there, here = (
            [part for part in tree_leaves(result) if isinstance(part, Tensor)]
            for result in (found, expected)
        )
        assert here and len(there) == len(here)
        for one, other in zip(there, here):
            assert one.device == device.name
            torch.testing.assert_close(one.cpu(), other, rtol=tolerance, atol=tolerance)
        return found

    return check
