"""Reconstructs a k-space file in fastMRI's schema, or one of samples off the grid, with a trained
model.

IN is masked (it has `mask`), or fully sampled: then it is undersampled first; or it has a
`trajectory` (radial, spiral). OUT receives `reconstruction` (slices, rows, columns), magnitudes at
the input's own intensity scale, and per slice the solver's evaluations, residual and convergence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

ACCELERATION = 4.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the options of `deqlab reconstruct`."""
    parser.add_argument(
        "source",
        metavar="IN.h5",
        type=Path,
        help="k-space in fastMRI's schema, one coil or many, or with a trajectory",
    )
    parser.add_argument(
        "destination", metavar="OUT.h5", type=Path, help="file to write; replaced when complete"
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        required=True,
        help=(
            "shipped weights by name, the .json of weights of your own, or a method without weights"
            " (zero-filled, cg-sense, sense, grappa, wavelet, tv, pnp)"
        ),
    )
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="of a method without weights, such as weight=0.003; may be repeated",
    )
    parser.add_argument(
        "--coil-maps",
        metavar="HOW",
        help=(
            "lowres, espirit, espirit-cropped (zero in air), walsh, or an HDF5 file with"
            " `coil_maps` (slices, coils, rows, columns) (default: lowres)"
        ),
    )
    full = parser.add_argument_group("for a fully sampled IN")
    full.add_argument(
        "--acceleration",
        metavar="R",
        type=float,
        help=f"keep one column in R (default: {ACCELERATION:g})",
    )
    full.add_argument(
        "--center-fraction",
        metavar="F",
        type=float,
        help="share of columns kept in the centre (default: 0.08 at 4x, 0.04 at 8x)",
    )
    full.add_argument(
        "--mask",
        choices=("random", "equispaced"),
        help="how the other columns are chosen (default: random)",
    )
    full.add_argument(
        "--seed", metavar="N", type=int, help="of the mask (default: made from the file's name)"
    )
    parser.add_argument(
        "--slices",
        metavar="S",
        default="all",
        help="all, START:STOP, or numbers such as 3,5,8 (default: %(default)s)",
    )
    parser.add_argument(
        "--tolerance",
        metavar="T",
        type=float,
        help="relative residual at which the solver stops (default: the model's)",
    )
    parser.add_argument(
        "--max-evaluations",
        metavar="N",
        type=int,
        help="most evaluations of a slice (default: the model's)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    """0 when OUT holds the reconstruction."""
    import sys

    from deqlab.app.options import read_options, reconstructor
    from deqlab.app.reconstruct_file import reconstruct_file, set_solver, summary
    from deqlab.app.reconstruction_off_grid import reconstruct_noncartesian_file
    from deqlab.data.formats.trajectory_layout import is_noncartesian
    from deqlab.data.prepare.stored_maps import coil_maps_by_name

    off_grid = is_noncartesian(args.source)
    coil_maps = coil_maps_by_name(args.coil_maps or "lowres")
    undersampling, slices = (
        _no_undersampling(args) if off_grid else _undersampling(args),
        parse_slices(args.slices),
    )
    device = _device(args.device)
    model = reconstructor(args.model, read_options(args.option, [args.model])[args.model])
    set_solver(model, args.model, args.tolerance, args.max_evaluations)
    files, attributes, progress = (
        (args.source, args.destination),
        {"model": args.model},
        sys.stderr.isatty(),
    )
    if off_grid:
        result = reconstruct_noncartesian_file(
            *files, model, slices, device, attributes, progress, coil_maps
        )
    else:
        result = reconstruct_file(
            *files, model, undersampling, slices, device, attributes, progress, coil_maps
        )
    print(f"{args.destination}: {summary(result)}")
    return 0


def _undersampling(args: argparse.Namespace):
    """The wished undersampling; None for a masked file.

    An option given in vain is thus refused and not ignored.
    """
    from deqlab.app.reconstruct_file import Undersampling
    from deqlab.core.errors import InputError
    from deqlab.data.dataset import open_volume
    from deqlab.signal.sampling.masks import MASKS, default_center_fraction

    options = (args.acceleration, args.center_fraction, args.mask, args.seed)
    if all(option is None for option in options) and open_volume(args.source).mask is not None:
        return None
    if args.seed is not None and not 0 <= args.seed < 2**63:
        raise InputError(f"--seed: {args.seed} given; 0 or more, below 2^63, needed")
    acceleration = ACCELERATION if args.acceleration is None else args.acceleration
    if not 1 <= acceleration < float("inf"):
        raise InputError(f"--acceleration: {acceleration:g} given; a number of 1 or more needed")
    fraction = (
        default_center_fraction(acceleration)
        if args.center_fraction is None
        else args.center_fraction
    )
    return Undersampling(MASKS[args.mask or "random"](acceleration, fraction), args.seed)


def _no_undersampling(args: argparse.Namespace) -> None:
    """None for a file with a trajectory; an option given in vain is refused and not ignored."""
    from deqlab.core.errors import InputError

    for option in ("acceleration", "center_fraction", "mask", "seed"):
        value = getattr(args, option)
        if value is not None:
            raise InputError(
                f"--{option.replace('_', '-')}: {value} given, but {args.source} has a trajectory,"
                " which says what was sampled"
            )


def _device(name: str) -> str:
    import torch

    from deqlab.core.errors import InputError

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: cuda given, but no CUDA device is here; cpu or auto needed")
    return name


def parse_slices(text: str):
    """The slices that `text` names: "all", (start, stop) from START:STOP, or a list from 3,5,8.

    Raises InputError for anything else.
    """
    from deqlab.core.errors import InputError

    try:
        if text == "all":
            return text
        if ":" in text:
            start, stop = text.split(":")
            return int(start), int(stop)
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(
            f"--slices: {text!r} given; all, START:STOP, or 3,5,8 and so on needed"
        ) from None
