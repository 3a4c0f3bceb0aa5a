"""Makes, lists and checks data sets.

`make` simulates heads as fastMRI files, `list` shows what files hold, `check` names every defect of
a file in plain words.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the options of `deqlab data make`, `list` and `check`."""
    from deqlab.data.simulated import SPLITS, SimulationConfig

    default = SimulationConfig()
    commands = parser.add_subparsers(dest="action", required=True, metavar="make|list|check")

    make = commands.add_parser(
        "make", help="simulate a data set; files that are there already are kept"
    )
    make.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder to fill (default: the cache that notebooks and training use)",
    )
    make.add_argument(
        "--split",
        choices=SPLITS,
        action="append",
        help="only this part; may be repeated (default: all three)",
    )
    make.add_argument(
        "--matrix",
        metavar="N",
        type=int,
        default=default.matrix,
        help="rows and columns of an image (default: %(default)s)",
    )
    make.add_argument(
        "--coils",
        metavar="N",
        type=int,
        default=default.coils,
        help="1 makes single-coil files (default: %(default)s)",
    )
    make.add_argument(
        "--slices",
        metavar="N",
        type=int,
        default=default.slices,
        help="per volume (default: %(default)s)",
    )
    make.add_argument(
        "--volumes",
        metavar="N",
        type=int,
        nargs=3,
        default=default.volumes,
        help=f"how many for {', '.join(SPLITS)} (default: {' '.join(map(str, default.volumes))})",
    )
    make.add_argument(
        "--noise",
        metavar="STD",
        type=float,
        nargs="+",
        default=default.noise,
        help=(
            "relative to the image's maximum, or the two ends of a range to draw it from "
            f"(default: {' '.join(map(str, default.noise))})"
        ),
    )
    make.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=default.seed,
        help="another seed, other heads (default: %(default)s)",
    )
    make.add_argument(
        "--oversampling",
        metavar="N",
        type=int,
        default=default.oversampling,
        help="of the readout (default: %(default)s)",
    )

    listing = commands.add_parser("list", help="one line for every file")
    listing.add_argument(
        "paths", metavar="PATH", type=Path, nargs="*", help="files or folders (default: the cache)"
    )

    check = commands.add_parser(
        "check", help="name every defect; the exit status is 1 if there is one"
    )
    check.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="files or folders")


def main(args: argparse.Namespace) -> int:
    """0 when all is well, 1 when `check` found a defect."""
    return {"make": _make, "list": _list, "check": _check}[args.action](args)


def _make(args: argparse.Namespace) -> int:
    from deqlab.core.errors import InputError
    from deqlab.data import simulated

    if len(args.noise) > 2:
        raise InputError(
            f"--noise: {len(args.noise)} numbers given; one, or the two ends of a range, needed"
        )
    config = simulated.SimulationConfig(
        matrix=args.matrix,
        coils=args.coils,
        slices=args.slices,
        volumes=tuple(args.volumes),
        noise=args.noise[0] if len(args.noise) == 1 else tuple(args.noise),
        seed=args.seed,
        oversampling=args.oversampling,
    )
    progress = sys.stderr.isatty()
    splits = [split for split in simulated.SPLITS if split in (args.split or simulated.SPLITS)]
    files: list[Path] = []
    for split in splits:
        files += (
            simulated.builtin(split, config, progress=progress)
            if args.out is None
            else simulated.make(args.out, config, (split,), progress)
        )
    folders = sorted({str(file.parent) for file in files})
    print(
        f"{len(files)} volume{'s' * (len(files) != 1)} in "
        f"{', '.join(folders) or 'no folder: no volume was asked for'}"
    )
    return 0


def _list(args: argparse.Namespace) -> int:
    import warnings

    from deqlab.core.errors import DeqlabWarning, InputError
    from deqlab.core.text_table import table
    from deqlab.data.dataset import find_files, open_volume

    paths = args.paths or _cached_folders()
    if not paths:
        print("no simulated data set in the cache yet; `deqlab data make` makes one")
        return 0
    rows = [["file", "contrast", "slices", "coils", "k-space", "image", "sampling", "MB"]]
    for path in find_files(paths):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeqlabWarning)
                volume = open_volume(path)
        except InputError as error:
            # One bad file must not hide the others; its defect stands in its line.
            rows.append([str(path), str(error).removeprefix(f"{path}: "), "", "", "", "", "", ""])
            continue
        slices, coils, height, width = volume.shape
        sampling = "full" if volume.mask is None else f"mask, {1 / volume.mask.mean():.1f}x"
        image = "x".join(map(str, volume.recon_shape))
        size = f"{path.stat().st_size / 1e6:.1f}"
        rows.append(
            [
                str(path),
                volume.contrast,
                str(slices),
                str(coils),
                f"{height}x{width}",
                image,
                sampling,
                size,
            ]
        )
    print(table(rows))
    return 0


def _check(args: argparse.Namespace) -> int:
    from deqlab.data.check import check
    from deqlab.data.dataset import find_files

    bad = 0
    files = find_files(args.paths)
    for path in files:
        defects = check(path)
        bad += bool(defects)
        print(
            f"{path}:"
            f" {'sound' if not defects else f'{len(defects)} defect' + 's' * (len(defects) > 1)}"
        )
        for defect in defects:
            print(f"  - {defect}")
    if len(files) > 1:
        print(f"{len(files) - bad} of {len(files)} files are sound")
    return 1 if bad else 0


def _cached_folders() -> list[Path]:
    root = Path(os.environ.get("DEQLAB_CACHE") or Path.home() / ".cache" / "deqlab")
    return sorted(folder for folder in root.glob("simulated-*") if any(folder.glob("*.h5")))
