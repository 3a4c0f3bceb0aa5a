"""Several files in one call: which they are, and where the result of each one goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deqlab.app.image_files.registry import written_as
from deqlab.core.errors import InputError
from deqlab.data.dataset import find_files

ENDING = ".h5"


def results_of(sources: Sequence[Path], out: Path, ending: str | None = None) -> dict[Path, Path]:
    """The file to be written for each file that `sources` name, files or folders.

    Of one file it is `out` itself, of a folder or several files one of its own name in the folder
    `out`, with `ending`, which names the format, .h5 where None. InputError where two would be
    written alike, one would replace a source, or `out` or `ending` is of the wrong kind.
    """
    if len(sources) == 1 and not sources[0].is_dir():
        if ending is not None:
            raise InputError(f"--ending: {ending} given, but {out} is the name of the one output")
        return {sources[0]: out}
    ending = ENDING if ending is None else ending
    if not ending.startswith("."):
        raise InputError(f"--ending: {ending!r} given; one with its dot needed, such as {ENDING}")
    written_as(Path(f"image{ending}"))
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; a folder needed for the results of several files")
    found: dict[Path, Path] = {}
    for source in find_files(list(sources)):
        result = out / f"{Path(source.name.removesuffix('.gz')).stem}{ending}"
        twin = next((other for other, taken in found.items() if taken == result), None)
        if twin is not None:
            raise InputError(f"{result}: would be the result of {twin} and of {source}")
        found[source] = result
    own = {source.resolve() for source in found}
    for result in found.values():
        if result.resolve() in own:
            raise InputError(f"{result}: is among the inputs; another folder for the output needed")
    return found


@contextmanager
def folder_for(results: dict[Path, Path], out: Path) -> Iterator[None]:
    """Within, the folder of several results is there; afterwards it is gone again where nothing was
    written into a new one.
    """
    made = out not in results.values() and not out.is_dir()
    if made:
        try:
            out.mkdir()
        except OSError as error:
            raise InputError(f"{out}: cannot be made ({error.strerror})") from None
    try:
        yield
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()
