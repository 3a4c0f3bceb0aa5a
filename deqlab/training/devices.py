"""Several devices: a process for each, with its share of every batch and the mean of all
gradients.

The objectives ask a model for more than its `forward`, which is all that the wrapper of PyTorch's
DistributedDataParallel listens to; so the gradients are averaged after the backward pass, at once.
"""

import os
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing import parent_process
from threading import Thread
from typing import Any, Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessRaisedException

from deqlab.core.device import device_by_name
from deqlab.core.errors import InputError, one_line_warnings
from deqlab.training.config import TrainingConfig


def fabric_of(config: TrainingConfig, devices: int = 1) -> Fabric:
    """The device of a run, or several. InputError where there are fewer, or where they cannot share
    a batch evenly. On the CPU a device is a process, and there may be any number.
    """
    kind = device_by_name(config.device).type
    there = torch.cuda.device_count() if kind == "cuda" else devices
    if not 1 <= devices <= there:
        raise InputError(f"devices: {devices} given, 1 to {max(there, 1)} needed ({kind})")
    if config.batch_size % devices:
        raise InputError(
            f"devices: {devices} given, a divisor of batch_size ({config.batch_size}) needed"
        )
    precision: Literal["bf16-mixed", "32-true"] = (
        "bf16-mixed" if config.precision == "bf16" else "32-true"
    )
    if devices == 1:
        return Fabric(accelerator=kind, devices=1, precision=precision)
    # Others wait while the first validates; one that fails ends all, without any time limit.
    strategy = DDPStrategy(start_method="spawn", timeout=timedelta(days=1))
    return Fabric(
        accelerator=kind,
        devices=devices,
        precision=precision,
        strategy=strategy,
        plugins=LightningEnvironment(),
    )


def launch(fabric: Fabric, work: Callable[[Fabric], Any]) -> None:
    """Call `work(fabric)` in a new process for each device, and wait; an InputError there is one
    here. `work` is pickled, and what it returns is lost. The CPU's threads are shared.
    """
    threads = max(1, torch.get_num_threads() // fabric.world_size)
    try:
        fabric.launch(partial(_in_process, work, threads))
    except ProcessRaisedException as error:
        told = f"{InputError.__module__}.{InputError.__qualname__}: "
        _, found, message = str(error).rpartition(told)
        if not found:
            raise
        raise InputError(message.strip()) from None


def _in_process(work: Callable[[Fabric], Any], threads: int, fabric: Fabric) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    one_line_warnings()
    if fabric.global_rank > 0:
        warnings.simplefilter("ignore")
    work(fabric)


def _end_with_parent() -> None:
    """A run that was killed shall not go on, and write, beside the one that continues it."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@torch.no_grad()
def average_gradients(fabric: Fabric, model: nn.Module) -> None:
    """Every gradient becomes its mean over the processes, the same bits in each of them."""
    if fabric.world_size == 1:
        return
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    mean = _mean(fabric, torch.cat([slope.flatten() for slope in slopes]))
    for slope, part in zip(slopes, mean.split([slope.numel() for slope in slopes])):
        slope.copy_(part.view_as(slope))


def average_logs(fabric: Fabric, logs: dict[str, float]) -> dict[str, float]:
    """The mean over the processes of each number."""
    if fabric.world_size == 1:
        return logs
    values = torch.tensor(list(logs.values()), dtype=torch.float64, device=fabric.device)
    return dict(zip(logs, _mean(fabric, values).tolist()))


def _mean(fabric: Fabric, values: Tensor) -> Tensor:
    mean = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean
