"""Makes, lists, checks and shows data.

`make` simulates heads as fastMRI files, `list` shows what files hold, `check` names every defect of
a file in plain words, `look` draws what is in one, `convert` writes a file of any known format as
HDF5, `draws` shows what `deqlab train --data varied` learns from.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deqlab.app.commands.data_convert import CONVERT
from deqlab.app.commands.data_look import LOOK
from deqlab.app.reading import reading_flags, told_of
from deqlab.app.shell import Command, Group, OneOf
from deqlab.app.varied import ANATOMY, SET_DRAWS
from deqlab.core.cache import cache_folder
from deqlab.core.errors import InputError

if TYPE_CHECKING:
    from deqlab.data.sample import Sample


def _make(
    out: Path | None,
    split: tuple[str, ...],
    volumes: tuple[int, int, int],
    noise: tuple[float, ...],
    **chosen: Any,
) -> int:
    from deqlab.data import simulated

    if len(noise) > 2:
        raise InputError(
            f"--noise: {len(noise)} numbers given; one, or the two ends of a range, needed"
        )
    given = {name: value for name, value in chosen.items() if value is not None}
    if noise:
        given["noise"] = noise[0] if len(noise) == 1 else tuple(noise)
    if volumes:
        given["volumes"] = volumes
    config = simulated.SimulationConfig(**given)
    progress = sys.stderr.isatty()
    splits = [part for part in simulated.SPLITS if part in (split or simulated.SPLITS)]
    files: list[Path] = []
    for part in splits:
        files += (
            simulated.builtin(part, config, progress=progress)
            if out is None
            else simulated.make(out, config, (part,), progress)
        )
    folders = sorted({str(file.parent) for file in files})
    print(
        f"{len(files)} volume{'s' * (len(files) != 1)} in "
        f"{', '.join(folders) or 'no folder: no volume was asked for'}"
    )
    return 0


def _list(paths: tuple[Path, ...]) -> int:
    import warnings

    from deqlab.core.errors import DeqlabWarning
    from deqlab.core.text_table import table
    from deqlab.data import find_files
    from deqlab.data.formats.registry import open_stated
    from deqlab.data.sampling import describe

    found = list(paths) or _cached_folders()
    if not found:
        print("no simulated data set in the cache yet; `deqlab data make` makes one")
        return 0
    rows = [["file", "contrast", "slices", "coils", "k-space", "image", "sampling", "MB"]]
    for path in find_files(found):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeqlabWarning)
                volume = open_stated(path)
        except InputError as error:
            # One bad file must not hide the others; its defect stands in its line.
            rows.append([str(path), str(error).removeprefix(f"{path}: "), "", "", "", "", "", ""])
            continue
        slices, coils, *size = volume.shape
        image = "x".join(map(str, volume.recon_shape))
        megabytes = f"{path.stat().st_size / 1e6:.1f}"
        rows.append(
            [
                str(path),
                volume.contrast,
                str(slices),
                str(coils),
                "x".join(map(str, size)),
                image,
                describe(volume),
                megabytes,
            ]
        )
    print(table(rows))
    return 0


def _check(paths: tuple[Path, ...], **given: Any) -> int:
    from deqlab.data import find_files
    from deqlab.data.check import check

    bad, told = 0, told_of(given)
    files = find_files(list(paths))
    for path in files:
        defects = check(path, told)
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


def _draws(
    out: Path,
    count: int,
    seed: int,
    windows: bool,
    words: tuple[str, ...],
    anatomy: tuple[str, ...],
) -> int:
    from deqlab.app.varied import varied_options
    from deqlab.core.atomic import atomic_path
    from deqlab.data.varied.draws import Varied
    from deqlab.show import gallery

    kind = out.suffix.removeprefix(".")
    if kind not in PICTURES:
        raise InputError(f"{out}: a name that ends in {' or '.join(PICTURES)} needed")
    chosen = varied_options(words, anatomy)
    images = {}
    with atomic_path(out) as temporary:
        draws = Varied(chosen)
        for step in range(count):
            if windows:
                images[f"{step}"] = draws.window(seed, step, 0).known("reference")
                continue
            sample = draws.scan(seed, step, 0)
            rows, columns = sample.crop
            name = f"{step}: {rows}x{columns}, {len(sample.kspace)} coils, {_undersampled(sample)}"
            images[name] = sample.known("reference")
        figure = gallery(images, title=f"Draws 0 to {count - 1} of seed {seed}")
        figure.savefig(temporary, format=kind, dpi=120)
    print(out)
    return 0


def _undersampled(sample: Sample) -> str:
    """By how much: columns over measured ones, or pixels over samples off the grid."""
    from deqlab.operators import CartesianOperator

    A, (rows, columns) = sample.operator, sample.crop
    if isinstance(A, CartesianOperator):
        return f"{columns / int(A.mask.sum()):.1f}x"
    return f"{rows * columns / sample.kspace.shape[-1]:.1f}x off the grid"


def _cached_folders() -> list[Path]:
    return sorted(
        folder for folder in cache_folder().glob("simulated-*") if any(folder.glob("*.h5"))
    )


PATH = click.Path(path_type=Path)
PICTURES = ("png", "pdf", "svg")


def _number(name: str, kind: Any, text: str) -> click.Option:
    return click.Option([f"--{name}"], type=kind, help=f"{text}")


MAKE = Command(
    "make",
    callback=_make,
    help="Simulates a data set; files that are there already are kept.",
    params=[
        click.Option(
            ["--out"],
            type=PATH,
            metavar="DIR",
            help="folder to fill (default: the cache that notebooks and training use)",
        ),
        click.Option(
            ["--split"],
            type=OneOf(["train", "val", "test"]),
            multiple=True,
            help="only this part; may be repeated (default: all three)",
        ),
        _number("matrix", int, "rows and columns of an image"),
        _number("coils", int, "1 makes single-coil files"),
        _number("slices", int, "per volume"),
        click.Option(
            ["--volumes"], type=int, nargs=3, metavar="N N N", help="how many for train, val, test"
        ),
        click.Option(
            ["--noise"],
            type=float,
            multiple=True,
            metavar="STD",
            help="relative to the image's maximum, or the two ends of a range to draw it from",
        ),
        _number("seed", int, "another seed, other heads"),
        _number("oversampling", int, "of the readout"),
    ],
)
LIST = Command(
    "list",
    callback=_list,
    help="One line for every file.",
    params=[click.Argument(["paths"], nargs=-1, type=PATH, metavar="[PATH]...")],
)
CHECK = Command(
    "check",
    callback=_check,
    help="Names every defect; the exit status is 1 if there is one.",
    params=[click.Argument(["paths"], nargs=-1, type=PATH, required=True, metavar="PATH...")],
    later=reading_flags,
)
DRAWS = Command(
    "draws",
    callback=_draws,
    help="Shows magnitude and phase of the first draws that `deqlab train --data varied` makes.",
    params=[
        click.Argument(["out"], type=PATH, metavar="OUT.png"),
        click.Option(
            ["--count"], type=click.IntRange(1), default=30, show_default=True, help="draws to show"
        ),
        click.Option(
            ["--seed"], type=click.IntRange(0), default=0, show_default=True, help="of the draws"
        ),
        click.Option(
            ["--windows"],
            is_flag=True,
            help="the images that a denoiser learns from, in place of scans, whose maps have taken"
            " most of the phase along",
        ),
        ANATOMY,
        SET_DRAWS,
    ],
)
COMMANDS: dict[str, click.Command] = {
    "make": MAKE,
    "list": LIST,
    "check": CHECK,
    "look": LOOK,
    "convert": CONVERT,
    "draws": DRAWS,
}


def _which() -> None:
    """One line instead of the whole help where no part was named."""
    if click.get_current_context().invoked_subcommand is None:
        raise InputError(f"deqlab data: {'|'.join(COMMANDS)} needed")


COMMAND = Group(
    "data", help=__doc__, commands=COMMANDS, invoke_without_command=True, callback=_which
)
