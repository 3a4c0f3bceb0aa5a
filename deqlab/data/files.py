"""Which files a run trains on, validates on and tests on."""

from collections.abc import Sequence
from pathlib import Path

from deqlab.data.dataset import find_files
from deqlab.data.simulated import SimulationConfig, builtin

BUILTIN = "builtin"


def split_files(
    paths: Sequence[str | Path], split: str, simulation: SimulationConfig = SimulationConfig()
) -> list[Path]:
    """The files of `split` (train, val or test) that `paths` name, in order.

    "builtin" is the simulated data set, made on the spot where it is not cached. A folder that
    `deqlab data make` filled holds all splits, told apart by the file names; of any other folder,
    and of files named one by one, all belong to the split that was asked for.
    """
    found: list[Path] = []
    for path in paths:
        if str(path) == BUILTIN:
            found += builtin(split, simulation)
            continue
        inside = find_files(path)
        if Path(path).is_dir() and (Path(path) / "simulation.json").exists():
            inside = [file for file in inside if file.name.startswith(f"{split}_")]
        found += inside
    return found
