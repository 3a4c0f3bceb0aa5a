"""The ISMRMRD header of a fastMRI file: matrix encoded, matrix shown, columns acquired.

XML of a stranger is parsed with defusedxml: a header needs neither a document type nor entities, so
    both are refused.
Axes: `x` is the readout (rows of k-space), `y` the phase-encode direction (columns), as the scanner
    names them.
"""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import defusedxml
from defusedxml.ElementTree import fromstring

from deqlab.core.errors import InputError

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
LARGEST_HEADER = 4 * 1024 * 1024  # bytes; real ones have 10 to 60 thousand
LARGEST_LINE = 65_536  # samples along one axis
# Sides of a voxel in mm between which a header is believed.
SMALLEST, LARGEST = 1e-4, 1e4
# What a header of ours says of its field of view, since nothing was measured.
NOMINAL = ("fieldOfView_note", "nominal 1 mm pixels")
# Sizes along (slice, row, column) in mm; None where nothing says them.
Voxel = tuple[float | None, float | None, float | None]
UNKNOWN: Voxel = (None, None, None)


@dataclass(frozen=True)
class Header:
    """What the reader needs of an ISMRMRD header.

    encoded, recon: (rows, columns) of the encoded and of the shown matrix.
    center, maximum: of `kspace_encoding_step_1`, in columns; None where the header gives no limits.
    row_center, row_maximum: the same of `kspace_encoding_step_0`. receivers: how many coils; None
    where it does not say. voxel: sides along (slice, row, column) in mm of the encoded matrix, as a
    crop of the image keeps them; along the slices without the gap between them, which is not told.
    """

    encoded: tuple[int, int]
    recon: tuple[int, int]
    center: int | None = None
    maximum: int | None = None
    row_center: int | None = None
    row_maximum: int | None = None
    receivers: int | None = None
    voxel: Voxel = UNKNOWN

    def padding(self, rows: int, columns: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """How many lines are missing (before, after) the rows and the columns of a k-space that
        holds the acquired ones alone, as partial Fourier and asymmetric echoes are often stored.

        That is so where an axis has as many lines as the limits count, fewer than are encoded, and
        the zero frequency among them. 0 otherwise.
        """
        return (
            _missing(rows, self.encoded[0], self.row_center, self.row_maximum),
            _missing(columns, self.encoded[1], self.center, self.maximum),
        )

    def acquired(self, columns: int) -> tuple[int, int]:
        """First and one past the last acquired column of a k-space with `columns` columns.

        padding_left = encoded_columns // 2 - center and padding_right = padding_left + maximum + 1,
        fastMRI's rule. Raises InputError where the limits leave no column inside the k-space.
        """
        if self.center is None or self.maximum is None or self.encoded[1] != columns:
            return 0, columns
        left = self.encoded[1] // 2 - self.center
        right = left + self.maximum + 1
        if right <= max(left, 0) or left >= columns:
            raise InputError(
                f"ismrmrd_header: encodingLimits center {self.center} and maximum {self.maximum}"
                f" place the acquired columns at {left} to {right}, outside the {columns} columns"
                " of kspace"
            )
        return max(left, 0), min(right, columns)


def parse_header(text: bytes | str) -> Header:
    """The facts of an ISMRMRD header.

    Raises InputError with what is wrong: not XML, an entity, a field missing or not a number.
    """
    if isinstance(text, str):
        text = text.encode()
    if len(text) > LARGEST_HEADER:
        raise InputError(f"ismrmrd_header: {len(text)} bytes, at most {LARGEST_HEADER} are read")
    try:
        root = fromstring(
            text.rstrip(b"\0"), forbid_dtd=True, forbid_entities=True, forbid_external=True
        )
    except defusedxml.DefusedXmlException:
        raise InputError(
            "ismrmrd_header: holds a document type or an entity, which a header never needs;"
            " refused"
        ) from None
    except (
        ElementTree.ParseError,
        ValueError,
        LookupError,
    ) as error:  # the last two: an unknown encoding
        raise InputError(f"ismrmrd_header: not well-formed XML ({_one_line(error)})") from None

    encoded = _matrix(root, "encodedSpace")
    recon = _matrix(root, "reconSpace")
    limits = "encoding/encodingLimits/kspace_encoding_step_1"
    along_rows = "encoding/encodingLimits/kspace_encoding_step_0"
    known: dict[str, Any] = {
        "row_center": _number(root, f"{along_rows}/center"),
        "row_maximum": _number(root, f"{along_rows}/maximum"),
        "receivers": _number(root, "acquisitionSystemInformation/receiverChannels") or None,
        "voxel": _voxel(root),
    }
    if _find(root, limits) is None:
        return Header(encoded, recon, **known)
    return Header(
        encoded,
        recon,
        _integer(root, f"{limits}/center", 0),
        _integer(root, f"{limits}/maximum", 0),
        **known,
    )


def build_header(
    encoded: tuple[int, int],
    recon: tuple[int, int],
    acquired: tuple[int, int],
    coils: int,
    voxel: Voxel = UNKNOWN,
) -> bytes:
    """A minimal ISMRMRD header as UTF-8 bytes.

    Sizes are (rows, columns); `acquired` is (first, one past the last) column. voxel: sides along
    (slice, row, column) in mm. Where one of them is not known, sizes in millimetres state 1 mm
    pixels: the file says so in `userParameters`, since nothing was measured.
    """
    known = [side or 1.0 for side in voxel] if None not in voxel else [1.0] * 3
    root = ElementTree.Element("ismrmrdHeader", xmlns=NAMESPACE)
    _leaf(root, "acquisitionSystemInformation/receiverChannels", coils)
    _leaf(root, "experimentalConditions/H1resonanceFrequency_Hz", 0)
    encoding = ElementTree.SubElement(root, "encoding")
    for name, (rows, columns) in (("encodedSpace", encoded), ("reconSpace", recon)):
        sizes = list(zip("xyz", (rows, columns, 1), (*known[1:], known[0])))
        for axis, size, _ in sizes:
            _leaf(encoding, f"{name}/matrixSize/{axis}", size)
        for axis, size, side in sizes:
            _leaf(encoding, f"{name}/fieldOfView_mm/{axis}", f"{size * side:g}")
    limits = {
        "minimum": 0,
        "maximum": acquired[1] - acquired[0] - 1,
        "center": encoded[1] // 2 - acquired[0],
    }
    for name, value in limits.items():
        _leaf(encoding, f"encodingLimits/kspace_encoding_step_1/{name}", value)
    _leaf(encoding, "trajectory", "cartesian")
    for name, text in zip(("name", "value"), NOMINAL if None in voxel else ()):
        _leaf(root, f"userParameters/userParameterString/{name}", text)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _find(root: ElementTree.Element, path: str) -> ElementTree.Element | None:
    """The element at `path`, in ISMRMRD's namespace or in none."""
    for prefix in (f"{{{NAMESPACE}}}", ""):
        found = root.find("/".join(prefix + step for step in path.split("/")))
        if found is not None:
            return found
    return None


def _integer(root: ElementTree.Element, path: str, smallest: int) -> int:
    element = _find(root, path)
    if element is None:
        raise InputError(f"ismrmrd_header: no {path}")
    text = (element.text or "").strip()
    # The length comes before int(), which refuses numbers of thousands of digits with an error of
    # its own.
    if not text.isdecimal() or len(text) > 9 or not smallest <= int(text) <= LARGEST_LINE:
        wanted = f"a whole number from {smallest} to {LARGEST_LINE} needed"
        raise InputError(f"ismrmrd_header: {path} is {text[:20]!r}, {wanted}")
    return int(text)


def _number(root: ElementTree.Element, path: str) -> int | None:
    """What a reader can do without: None where it is absent or no such number."""
    try:
        return _integer(root, path, 0)
    except InputError:
        return None


def _missing(lines: int, encoded: int, center: int | None, maximum: int | None) -> tuple[int, int]:
    """Lines (before, after) those that are there, along one axis."""
    if center is None or maximum is None or not lines == maximum + 1 < encoded:
        return 0, 0
    before = encoded // 2 - center
    after = encoded - lines - before
    return (before, after) if center < lines and before >= 0 and after >= 0 else (0, 0)


def _matrix(root: ElementTree.Element, space: str) -> tuple[int, int]:
    x, y = (_integer(root, f"encoding/{space}/matrixSize/{axis}", 1) for axis in ("x", "y"))
    return x, y


def _voxel(root: ElementTree.Element) -> Voxel:
    """Field of view over matrix along z, x and y of the encoded space."""
    note = _find(root, "userParameters/userParameterString/name")
    if note is not None and note.text == NOMINAL[0]:
        return UNKNOWN
    z, x, y = (_spacing(root, axis) for axis in "zxy")
    return z, x, y


def _spacing(root: ElementTree.Element, axis: str) -> float | None:
    """In mm; None where the header gives no length and number that make sense."""
    element = _find(root, f"encoding/encodedSpace/fieldOfView_mm/{axis}")
    count = _number(root, f"encoding/encodedSpace/matrixSize/{axis}")
    try:
        length = float("nan" if element is None else element.text or "nan")
    except ValueError:
        return None
    return length / count if count and SMALLEST < length / count < LARGEST else None


def _leaf(parent: ElementTree.Element, path: str, value: object) -> None:
    *branches, name = path.split("/")
    for branch in branches:
        found = parent.find(branch)
        parent = found if found is not None else ElementTree.SubElement(parent, branch)
    ElementTree.SubElement(parent, name).text = str(value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
