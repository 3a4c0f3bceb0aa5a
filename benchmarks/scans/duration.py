"""How long does `deqlab reconstruct` take with a model, with total variation and with wavelets?"""

import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.core.errors import DeqlabWarning
from deqlab.data.simulated import SimulationConfig, builtin
from deqlab.recon import create
from deqlab.signal.sampling.masks import mask_rules
from scans.cases import Effort, Row
from scans.judging import Models

TITLE = "seconds of `deqlab reconstruct`, 256x256, 8 coils (at most 1.5 times the faster wanted)"
NEEDS_SCANS = False
SLICES = 2
NOTES = (
    "What the command does from the file to the file, without the start of Python. Every method"
    " stops by its own tolerance and takes its turn in every round; medians over the rounds, and of"
    " the ratio to the faster of tv and wavelet within a round.",
)


def rows(models: Models, folder: Path | None, effort: Effort) -> Iterator[Row]:
    """A row for every acceleration."""
    config = SimulationConfig(matrix=256, coils=8, slices=SLICES, volumes=(0, 0, 1))
    (source,) = builtin("test", config)
    methods = {"tv": create("tv"), "wavelet": create("wavelet"), **models}
    for acceleration in effort.accelerations:
        (rule,) = mask_rules(["random"], [acceleration])
        rounds = []
        for _ in range(effort.repeats):
            taken = {name: _seconds(source, rule, method) for name, method in methods.items()}
            faster = min(taken["tv"], taken["wavelet"])
            rounds.append(taken | {f"{name} / faster": taken[name] / faster for name in models})
        values = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        yield Row(f"{acceleration:g}x", f"{source.stem} {acceleration:g}x", values)


def _seconds(source: Path, rule, method) -> float:
    """Of a slice."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)  # a budget that ends first is its own end
        begin = time.perf_counter()
        reconstruct_file(Request(source, Path(folder) / "out.h5", rule), method)
        return (time.perf_counter() - begin) / SLICES
