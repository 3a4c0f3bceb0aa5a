"""Simulated heads: group tissue maps made individual, crisp, and wrapped in skull and scalp.

The MNI152 probability maps that nilearn carries are an average of 152 people, so they are smooth.
Each head bends them by its own affine and elastic deformation, adds band-limited noise to the
probabilities so that every head has its own folds, and sharpens the result to tissue boundaries
about a pixel wide. Maps: Fonov et al., NeuroImage 54:313 (2011).

Over 300 lines: one head is one chain of small steps, and reads best in its order.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage, sparse

from deqlab.core.errors import InputError
from deqlab.signal.scan.bloch import TISSUES, Sequence, Tissue

# Heights of axial slices in mm along z of the maps: from the cerebellum's top to above the
# ventricles.
RICH_HEIGHTS = (62.0, 126.0)
_MARGIN = 32  # mm of air about the maps, room for skull, scalp and deformation


@dataclass(frozen=True)
class TissueMaps:
    """Group maps, float32 (x, y, z).

    white, grey: probabilities at 1 mm; what is left of 1 is CSF.
    distance: to the brain's hull in mm, negative inside, at 2 mm: voxel i of it is voxel 2 i of the
        others.
    """

    white: np.ndarray
    grey: np.ndarray
    distance: np.ndarray


@lru_cache(maxsize=1)
def load_tissue_maps() -> TissueMaps:
    """The MNI152 maps in `_MARGIN` mm of air on every side; nothing is downloaded, it takes about 2
    s.
    """
    from nilearn import datasets  # imported here because it costs more than a second

    grey, white, template = (
        np.asarray(load(resolution=1).dataobj, dtype=np.float32)
        for load in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_template,
        )
    )
    hull = np.pad(template > 0, _MARGIN)
    # Closing bridges the fissures. On every second voxel it is eight times faster and as good for
    # this.
    coarse = hull[::2, ::2, ::2]
    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 4)
    coarse = ndimage.binary_closing(coarse, ball)
    distance = ndimage.distance_transform_edt(~coarse) - ndimage.distance_transform_edt(coarse)
    distance = ndimage.gaussian_filter(2 * distance.astype(np.float32), 1.0)
    grey, white = np.pad(grey, _MARGIN), np.pad(white, _MARGIN)
    return TissueMaps(white, grey, distance)


@dataclass(frozen=True)
class Head:
    """One individual: everything drawn once per volume, so that its slices fit together.

    field_of_view in mm of the square image; rotation in radians (about x, y, z); scale per axis (x,
    y, z);
    elastic: displacement in mm at control points (3, z, y, x); shells: mean thickness in mm of each
    layer about the brain, inside out; lesions: rows of (x, y, z, radius) in mm of the maps.
    sharpness, folding and
    sulci: how crisp tissue boundaries are, how far folds stray from the group's, and how much CSF
    runs in the cortex.
    """

    field_of_view: float
    rotation: tuple[float, float, float]
    scale: tuple[float, float, float]
    elastic: np.ndarray
    shells: dict[str, float]
    lesions: np.ndarray
    sharpness: float
    folding: float
    sulci: float


def draw_head(random: np.random.Generator) -> Head:
    """An individual drawn from `random`."""
    uniform = random.uniform
    scale = tuple(uniform(0.93, 1.07, 3))
    shells = {
        "csf": uniform(0.6, 2.2),
        "inner table": uniform(1.2, 2.2),
        "marrow": uniform(1.0, 3.5),
        "outer table": uniform(1.2, 2.2),
        "muscle": uniform(0.4, 1.5),
        "fat": uniform(1.8, 5.0),
        "skin": uniform(1.2, 2.0),
    }
    count = int(random.choice([0, 0, 1, 3, 6, 12]))
    ranges = ((55, 140), (65, 175), RICH_HEIGHTS, (1.5, 5))
    # The field of view is chosen for the head, as at the scanner: the group's brain is 184 mm long.
    length = (184 + 2 * sum(shells.values())) / scale[1]
    return Head(
        field_of_view=length * uniform(1.08, 1.18),
        rotation=(uniform(-0.12, 0.12), uniform(-0.06, 0.06), uniform(-0.14, 0.14)),
        scale=scale,
        elastic=random.standard_normal((3, 5, 9, 9))
        * np.array([3.2, 4.0, 3.6])[:, None, None, None],
        shells=shells,
        lesions=np.column_stack([uniform(low, high, count) for low, high in ranges]),
        sharpness=uniform(4.5, 14),
        folding=uniform(0.10, 0.22),
        sulci=uniform(0.6, 1.2),
    )


def tissue_fractions(
    head: Head, height: float, matrix: int, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """The tissues of an axial slice: float32 (matrix, matrix) per name in `TISSUES`, summing to 1
    in the head, 0 in air.

    height: mm along z of the maps, see RICH_HEIGHTS. Rows run from the forehead to the back of the
        head.
    """
    if matrix < 8:
        raise InputError(f"matrix: {matrix} given, 8 or more needed")
    maps = load_tissue_maps()
    pixel = head.field_of_view / matrix
    points = _points(head, height, matrix)
    voxels = points + _MARGIN
    distance = ndimage.map_coordinates(maps.distance, voxels / 2, order=1, mode="nearest")
    white = ndimage.map_coordinates(maps.white, voxels, order=1, mode="nearest")
    grey = ndimage.map_coordinates(maps.grey, voxels, order=1, mode="nearest")
    csf = np.clip(1 - white - grey, 0, 1)
    # Individual folds: noise of the width of a gyrus, and of half of it, decides where
    # probabilities are undecided.
    # The deep nuclei are spared, they are no folded sheet.
    depth = np.clip(-distance / 25, 0, 1)
    strength = head.folding * (1 - 0.7 * depth)
    wide, narrow = 3.0 / pixel, 1.3 / pixel
    folds = [_noise(random, matrix, wide) + 0.7 * _noise(random, matrix, narrow) for _ in range(3)]
    # Sulci: the zero lines of smooth noise are thin and winding; those that run in cortex are
    # filled with CSF.
    sulci = np.exp(-((_noise(random, matrix, 3.0 / pixel) / 0.18) ** 2)) * grey * (1 - depth)
    scores = np.stack((white, grey, 1.25 * csf + head.sulci * sulci)) + strength * np.stack(folds)
    scores *= head.sharpness
    weights = np.exp(scores - scores.max(axis=0))
    white, grey, csf = weights / weights.sum(axis=0)

    # The hull of this head: the group's, moved in and out by a millimetre or so.
    distance = distance + 0.8 * _noise(random, matrix, 12.0 / pixel)
    inside = _step(-distance, pixel)
    fractions = {name: np.zeros((matrix, matrix), np.float32) for name in TISSUES}
    fractions["white"], fractions["grey"], fractions["csf"] = (
        white * inside,
        grey * inside,
        csf * inside,
    )
    # A sheet of dura hangs in the fissure between the hemispheres.
    falx = (
        csf
        * np.exp(-(((points[0] - 98) / (0.5 * max(pixel, 1.0))) ** 2))
        * _step(-distance, 3)
        * inside
    )
    fractions["csf"] = fractions["csf"] - falx
    fractions["bone"] = falx
    _add_lesions(fractions, head, points, random, pixel)
    _add_vessels(fractions, distance, random, pixel)
    _add_shells(fractions, head, distance, random, matrix, pixel)
    return {name: fraction.astype(np.float32) for name, fraction in fractions.items()}


def weighted_image(
    fractions: dict[str, np.ndarray],
    sequence: Sequence,
    tissues: dict[str, Tissue],
    random: np.random.Generator,
) -> np.ndarray:
    """The signal of `sequence` from a slice, real float32 (y, x), with a few per cent of
    texture.
    """
    shape = fractions["white"].shape
    image = np.zeros(shape, np.float32)
    for name, fraction in fractions.items():
        image += fraction * np.float32(sequence.signal(tissues[name]))
    fine, coarse = _noise(random, shape[0], 0.7), _noise(random, shape[0], shape[0] / 40)
    return image * (1 + 0.02 * fine + random.uniform(0.02, 0.05) * coarse)


def vary_tissues(random: np.random.Generator, spread: float = 0.05) -> dict[str, Tissue]:
    """`TISSUES` of one individual: t1, t2 and pd vary by a relative `spread`, pd by half of it."""
    return {
        name: Tissue(
            t1=tissue.t1 * float(np.exp(spread * random.standard_normal())),
            t2=tissue.t2 * float(np.exp(spread * random.standard_normal())),
            pd=tissue.pd * float(np.exp(spread / 2 * random.standard_normal())),
        )
        for name, tissue in TISSUES.items()
    }


def bias_field(matrix: int, random: np.random.Generator, strength: float = 0.25) -> np.ndarray:
    """A smooth positive gain, brighter at the rim, as surface coils make it: float32 (y, x)."""
    y, x = _unit_grid(matrix)
    rim = random.uniform(0.2, 1.0) * (x**2 + y**2)
    tilt = random.uniform(-1, 1) * x + random.uniform(-1, 1) * y + random.uniform(-0.7, 0.7) * x * y
    return np.exp(strength * (rim + 0.7 * tilt)).astype(np.float32)


def smooth_phase(matrix: int, random: np.random.Generator, turns: float = 0.35) -> np.ndarray:
    """A smooth phase in radians, (y, x): a polynomial of second order, `turns` or so, and
    undulations.
    """
    y, x = _unit_grid(matrix)
    powers = (np.ones_like(x), x, y, x * y, x**2, y**2)
    widths = np.array([3.0, 1.0, 1.0, 0.8, 0.8, 0.8]) * 2 * np.pi * turns * random.uniform(0.2, 1)
    polynomial = sum(width * random.uniform(-1, 1) * power for width, power in zip(widths, powers))
    return (polynomial + 0.25 * _noise(random, matrix, matrix / 14)).astype(np.float32)


def _points(head: Head, height: float, matrix: int) -> np.ndarray:
    """Where in the maps each pixel of the slice lies: float (3, y, x), in mm along x, y, z."""
    size = head.field_of_view / matrix
    steps = (np.arange(matrix) - matrix // 2) * size
    # The first row is anterior, where y of the maps is largest.
    y, x = np.meshgrid(-steps, steps, indexing="ij")
    a, b, c = head.rotation
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.diag(head.scale) @ turn_x @ turn_y @ turn_z
    # Rotations act about the middle of the slab and of the brain.
    middle = np.array([98.0, 117.0, sum(RICH_HEIGHTS) / 2])
    z = np.full_like(x, height - middle[2])
    points = (
        np.stack([row[0] * x + row[1] * y + row[2] * z for row in affine]) + middle[:, None, None]
    )
    # Elastic part: cubic splines in the plane, linear between the layers of control points.
    layers, controls = head.elastic.shape[1:3]
    share = np.clip((height - RICH_HEIGHTS[0]) / (RICH_HEIGHTS[1] - RICH_HEIGHTS[0]), 0, 1) * (
        layers - 1
    )
    low = min(int(share), layers - 2)
    layer = head.elastic[:, low] * (low + 1 - share) + head.elastic[:, low + 1] * (share - low)
    spline = _spline(matrix, matrix / (controls - 3), 0.0)
    return points + np.stack([spline @ (spline @ part).T for part in layer])


def _add_lesions(
    fractions: dict, head: Head, points: np.ndarray, random: np.random.Generator, pixel: float
) -> None:
    """Replaces white matter by lesion within balls of ragged surface."""
    for x, y, z, radius in head.lesions:
        distance = np.sqrt((points[0] - x) ** 2 + (points[1] - y) ** 2 + (points[2] - z) ** 2)
        if distance.min() > radius + 2:
            continue
        ragged = distance + 0.7 * _noise(random, len(distance), 1.5 / pixel)
        share = _step(radius - ragged, pixel) * fractions["white"]
        fractions["lesion"] = fractions["lesion"] + share
        fractions["white"] = fractions["white"] - share


def _add_vessels(
    fractions: dict, distance: np.ndarray, random: np.random.Generator, pixel: float
) -> None:
    """Punches dark dots a millimetre or two wide, flow voids, into the brain: flowing blood leaves
    before its echo."""
    rows, columns = np.nonzero(distance < -2)
    if not len(rows):
        return
    for _ in range(int(random.integers(3, 18))):
        pick = int(random.integers(len(rows)))
        width = max(0.35, random.uniform(0.3, 0.8) / pixel)
        y, x = rows[pick] + random.uniform(-0.5, 0.5), columns[pick] + random.uniform(-0.5, 0.5)
        reach = int(4 * width) + 2
        window = tuple(
            slice(max(at - reach, 0), min(at + reach + 1, size))
            for at, size in zip((rows[pick], columns[pick]), distance.shape, strict=True)
        )
        v, u = np.mgrid[window]
        keep = 1 - np.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * width**2))
        lost = 0
        for name in ("white", "grey", "csf", "lesion"):
            lost = lost + fractions[name][window] * (1 - keep)
            fractions[name][window] = fractions[name][window] * keep
        fractions["bone"][window] = fractions["bone"][window] + lost


def _add_shells(
    fractions: dict,
    head: Head,
    distance: np.ndarray,
    random: np.random.Generator,
    matrix: int,
    pixel: float,
) -> None:
    """Wraps the brain's hull in layers of slowly varying thickness: meningeal CSF, skull with
    marrow, scalp."""
    outer = np.zeros_like(distance)
    for layer, thickness in head.shells.items():
        tissue = "bone" if "table" in layer else layer
        wave = 0.25 if layer in ("marrow", "fat", "muscle") else 0.15
        inner, outer = (
            outer,
            outer + thickness * np.exp(wave * _noise(random, matrix, 14.0 / pixel)),
        )
        share = _step(distance - inner, pixel) - _step(distance - outer, pixel)
        fractions[tissue] = fractions[tissue] + share
    # Thin septa run through the fat.
    septa = 0.5 * np.clip(_noise(random, matrix, 0.8 / pixel) - 0.8, 0, 1) * fractions["fat"]
    fractions["fat"], fractions["muscle"] = fractions["fat"] - septa, fractions["muscle"] + septa


def _step(distance: np.ndarray, pixel: float) -> np.ndarray:
    """Share of a pixel behind a straight edge, for the distance of its centre from that edge: 0 to
    1.
    """
    return np.clip(distance / pixel + 0.5, 0, 1)


def _noise(random: np.random.Generator, matrix: int, sigma: float) -> np.ndarray:
    """Gaussian noise of unit variance that is smooth over `sigma` pixels: float32 (matrix,
    matrix).
    """
    if sigma < 1:
        smooth = ndimage.gaussian_filter(
            random.standard_normal((matrix, matrix)), sigma, truncate=3
        )
    else:
        # A cubic B-spline is a bell whose standard deviation is its spacing / sqrt(3).
        spacing = np.sqrt(3) * sigma
        rows, columns = (_spline(matrix, spacing, random.uniform()) for _ in range(2))
        smooth = rows @ (columns @ random.standard_normal((columns.shape[1], rows.shape[1]))).T
    return (smooth / smooth.std()).astype(np.float32)


def _spline(matrix: int, spacing: float, shift: float) -> sparse.csr_array:
    """Cubic B-splines through an axis of `matrix` pixels: sparse (matrix, control points), rows
    summing to 1.

    Control points lie `spacing` pixels apart; `shift`, 0 to 1, moves them so that no two fields
    share their grid.
    Sparse on purpose: its products run in one fixed order, so that the bytes do not depend on the
    number of threads.
    """
    place = np.arange(matrix) / spacing + shift
    first = np.floor(place).astype(int)
    t = place - first
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.stack(pieces, axis=1) / 6
    columns = first[:, None] + np.arange(4)
    rows = np.arange(0, 4 * matrix + 1, 4)
    return sparse.csr_array(
        (weights.ravel(), columns.ravel(), rows), shape=(matrix, int(first[-1]) + 4)
    )


def _unit_grid(matrix: int) -> tuple[np.ndarray, np.ndarray]:
    steps = (np.arange(matrix) - matrix // 2) / (matrix / 2)
    return np.meshgrid(steps, steps, indexing="ij")
