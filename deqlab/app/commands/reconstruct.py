"""Reconstructs a k-space file of any known format, on the grid or off it, with a trained model.

IN is masked (it has `mask`), or fully sampled: then it is undersampled first; or it has a
`trajectory` (radial, spiral). OUT receives magnitudes (slices, rows, columns) at the input's own
intensity scale, in the format that its ending names: .h5 has `reconstruction` and per slice the
solver's evaluations, residual and convergence; .npy the array; .nii and .nii.gz a volume with its
voxels' sides in mm; .png a quick look at the middle slice, or at all of a few. Of several models
.h5 has a group `reconstruction` with a data set for each, and .png a row for each. Of several IN,
files or folders, OUT is a folder with a file for each, named alike. How the data were prepared is
printed, and stored in .h5: their noise, whether coils were whitened and why, which coil maps, how
many coils.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from deqlab.app.preparation import PREPARATION
from deqlab.app.reading import SLICES, parse_slices, reading_flags, told_of
from deqlab.app.shell import DEVICE, SET, Command, NameOf, flags, labels, page_of, settings

ACCELERATION = 4.0


def run(
    paths: tuple[Path, ...],
    model: tuple[str, ...],
    words: tuple[str, ...],
    ending: str | None,
    **given: Any,
) -> int:
    """Writes OUT; 1 where some of several files could not be used."""
    from deqlab.app.many_files import folder_for, results_of
    from deqlab.app.reconstruct_file import Request, destinations_of
    from deqlab.core.device import device_by_name
    from deqlab.core.errors import InputError
    from deqlab.data.prepare.stored_maps import coil_maps_by_name
    from deqlab.recon.base import Budget
    from deqlab.recon.weights import ready
    from deqlab.signal.coils.registry import WHITENING

    *sources, destination = paths
    if not sources:
        raise InputError(f"{destination} given; IN and OUT needed")
    args = SimpleNamespace(told=told_of(given), **given)
    results = results_of(sources, destination, ending)
    several = destination not in results.values()
    if several and args.quick_look is not None:
        raise InputError(
            f"--quick-look: {args.quick_look} given, but there are several files; --ending .png"
            " draws one for each"
        )
    for source, target in results.items():
        destinations_of(Request(source, target, quick_look=args.quick_look))
    # What needs no file is refused before one is read.
    device = device_by_name(args.device)
    options, budget = settings(words, model), Budget(args.tolerance, args.max_evaluations)
    methods = {}
    for name, label in labels(model).items():
        methods[name if len(model) == 1 else label] = method = ready(name, options[name])
        method.check(budget)
    args.slices = parse_slices(args.slices)
    args.coil_maps = coil_maps_by_name(args.coil_maps)
    args.whiten = WHITENING.make(args.whiten)
    failed = 0
    with folder_for(results, destination):
        for source, target in results.items():
            try:
                _reconstruct(source, target, args, methods, budget, device)
            except InputError as error:
                if not several:
                    raise
                # One bad file must not cost the others.
                print(f"deqlab: error: {' '.join(str(error).split())}", file=sys.stderr)
                failed += 1
    if several:
        print(f"{len(results) - failed} of {len(results)} files reconstructed")
    return 1 if failed else 0


def _reconstruct(
    source: Path, destination: Path, args: Any, methods: Any, budget: Any, device: Any
) -> None:
    """One file."""
    from deqlab.app.reconstruct_file import Request, side_by_side
    from deqlab.app.reconstructed import prepared, summary

    request = Request(
        source=source,
        destination=destination,
        mask=_mask(source, args),
        slices=args.slices,
        coil_maps=args.coil_maps,
        whiten=args.whiten,
        coils=args.coils,
        attributes={"model": ", ".join(methods)},
        quick_look=args.quick_look,
        told=args.told,
    )
    results = side_by_side(request, methods, budget, device, progress=sys.stderr.isatty())
    for name, result in results.items():
        print(f"{destination}: {f'{name}: ' if len(results) > 1 else ''}{summary(result)}")
    print(f"prepared: {prepared(result)}")
    if "emulated" in result.attributes:
        print(f"emulated: {result.attributes['emulated']}")
    if args.quick_look is not None:
        print(f"quick look: {args.quick_look}")


def _mask(source: Path, args: Any) -> Any:
    """The wished undersampling; None for a file that says itself what was sampled.

    An option given in vain is thus refused and not ignored.
    """
    from deqlab.core.errors import InputError
    from deqlab.data.formats.registry import open_stated
    from deqlab.data.sampling import Seeded
    from deqlab.signal.sampling.masks import MASKS, default_center_fraction

    volume = open_stated(source, args.told)
    options = ("acceleration", "center_fraction", "mask", "seed")
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    if volume.sampled_by == "trajectory":
        for name, value in given.items():
            raise InputError(
                f"--{name.replace('_', '-')}: {value} given, but {source} has a trajectory,"
                " which says what was sampled"
            )
    if volume.sampled_by is not None and not given:
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
    rule = MASKS.make(args.mask or "random", acceleration, fraction)
    return rule if args.seed is None else Seeded(rule, args.seed)


def _command() -> Command:
    from deqlab.recon.base import Budget
    from deqlab.signal.sampling.masks import MASKS

    path = click.Path(path_type=Path)
    return Command(
        "reconstruct",
        callback=run,
        help=__doc__,
        pages=page_of,
        moved={"--option": "--set NAME=VALUE"},
        params=[
            click.Argument(["paths"], type=path, nargs=-1, required=True, metavar="IN... OUT"),
            click.Option(
                ["--model"],
                required=True,
                multiple=True,
                metavar="NAME",
                help="shipped weights by name, the .json of weights of your own, or a method"
                " without weights; several are reconstructed side by side",
            ),
            SET,
            *PREPARATION,
            click.Option(
                ["--acceleration"],
                type=float,
                metavar="R",
                help=f"of a fully sampled IN: keep one column in R (default: {ACCELERATION:g})",
            ),
            click.Option(
                ["--center-fraction"],
                type=float,
                metavar="F",
                help="share of columns kept in the centre (default: 0.08 at 4x, 0.04 at 8x)",
            ),
            click.Option(
                ["--mask"],
                type=NameOf(MASKS),
                help="how the other columns are chosen (default: random)",
            ),
            click.Option(
                ["--seed"],
                type=int,
                metavar="N",
                help="of the mask (default: made from the file's name)",
            ),
            SLICES,
            click.Option(
                ["--quick-look"],
                type=path,
                metavar="FILE.png",
                help="a picture beside OUT: zero-filled image, result, difference, mask, residuals",
            ),
            click.Option(
                ["--ending"],
                metavar=".E",
                help="of the files in OUT, of several IN: .h5 (default), .npy, .nii.gz, .png",
            ),
            *flags(Budget, ("tolerance", "max_evaluations")),
            DEVICE,
            *reading_flags(),
        ],
    )


COMMAND = _command()
