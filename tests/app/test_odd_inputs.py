"""Words that are not what they should be: each ends in one line that names the option and what is
wrong with its value, never in a traceback or a half file.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.torch import save

from deqlab.data import write_volume


def echo(*shape: int) -> np.ndarray:
    """k-space of weak noise and a disc's echo, complex64."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1 : 1 : shape[-2] * 1j, -1 : 1 : shape[-1] * 1j]
    disc = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift((y**2 + x**2 < 0.5).astype(float))))
    noise = 0.1 * rng.standard_normal((*shape, 2)) @ (1, 1j)
    return (disc + noise).astype(np.complex64)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with a full and a masked file, a card with weights, and cards without."""
    full = echo(2, 3, 32, 24)
    mask = np.arange(24) % 4 == 0
    mask[8:16] = True
    write_volume(tmp_path / "full.h5", full, "AXT2", (32, 24))
    write_volume(tmp_path / "masked.h5", full * mask, "AXT2", (32, 24), mask=mask)
    bare, pickled = save({}), pickle.dumps({"weights": 1})
    digest, other = (hashlib.sha256(data).hexdigest() for data in (bare, pickled))
    for name, text in {
        "prose": "what?",
        "list": "[1, 2]",
        "empty": "",
        "deep": "[" * 10**5,
        "unknown": f'{{"model": "de-wonder", "options": {{}}, "sha256": "{digest}"}}',
        "options": f'{{"model": "de-grad", "options": {{"weight": "x"}}, "sha256": "{digest}"}}',
        "names": '{"model": 3, "options": {}, "sha256": ""}',
        "words": '{"model": "de-grad", "options": [], "sha256": ""}',
        "schema": '{"model": "de-grad", "options": {}, "sha256": "", "schema": {}}',
        "number": '{"model": "de-grad", "options": {}, "sha256": 4}',
        "other": '{"model": "de-grad", "options": {}, "sha256": "00"}',
        "alone": '{"model": "de-grad", "options": {}, "sha256": ""}',
        "pickled": f'{{"model": "de-grad", "options": {{}}, "sha256": "{other}"}}',
    }.items():
        (tmp_path / f"{name}.json").write_text(text)
        if name != "alone":
            (tmp_path / f"{name}.safetensors").write_bytes(bare)
    (tmp_path / "pickled.safetensors").write_bytes(pickled)
    (tmp_path / "weights.pt").write_bytes(pickled)
    (tmp_path / "none").mkdir()
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["coil_maps"] = np.ones((3, 5, 5), np.complex64)
    return tmp_path


RECONSTRUCT = "reconstruct full.h5 out.h5 --model cg-sense "
SET = RECONSTRUCT + "--set "
WORDS = {
    # how to undersample
    RECONSTRUCT + "--acceleration 0": "--acceleration: 0 given",
    RECONSTRUCT + "--acceleration -4": "--acceleration: -4 given",
    RECONSTRUCT + "--acceleration nan": "--acceleration: nan given",
    RECONSTRUCT + "--acceleration inf": "--acceleration: inf given",
    RECONSTRUCT + "--acceleration four": "'four' is not a valid float",
    RECONSTRUCT + "--acceleration 1e9": "acceleration: 1e+09 given, 24 columns allow at most 24",
    RECONSTRUCT + "--center-fraction -1": "center_fraction: -1",
    RECONSTRUCT + "--center-fraction 2": "center_fraction: 2",
    RECONSTRUCT + "--center-fraction nan": "center_fraction: nan",
    RECONSTRUCT + "--mask rnadom": "did you mean random?",
    RECONSTRUCT + "--seed -1": "--seed: -1 given",
    RECONSTRUCT + "--seed 99999999999999999999999": "--seed: 99999999999999999999999 given",
    RECONSTRUCT + "--seed 1.5": "'1.5' is not a valid integer",
    "reconstruct masked.h5 out.h5 --model cg-sense --seed 1": "is undersampled already",
    # which slices and coils
    RECONSTRUCT + "--slices 5:2": "full.h5: ",
    RECONSTRUCT + "--slices -1": "full.h5: has no slice -1",
    RECONSTRUCT + "--slices 1.5": "--slices: '1.5' given",
    RECONSTRUCT + "--slices 0:1:2": "--slices: '0:1:2' given",
    RECONSTRUCT + "--slices 99": "full.h5: has no slice 99",
    RECONSTRUCT + "--slices ,": "--slices: ',' given",
    RECONSTRUCT + "--slices 99999999999999999999": "full.h5: has no slice",
    RECONSTRUCT + "--coils 0": "coils: 0 given",
    RECONSTRUCT + "--coils -3": "coils: -3 given",
    RECONSTRUCT + "--whiten maybe": "unknown whitening 'maybe'",
    RECONSTRUCT + "--coil-maps espirt": "did you mean espirit?",
    RECONSTRUCT + "--coil-maps gone.h5": "'gone.h5' is no file and no method",
    RECONSTRUCT + "--coil-maps maps.h5": "maps.h5: ",
    RECONSTRUCT + "--coil-maps prose.json": "prose.json: ",
    # what the file is told to be
    RECONSTRUCT + "--axes y,x": "--axes: y,x given, but full.h5 is in the format fastmri",
    RECONSTRUCT + "--spokes golden": "--spokes: golden given, but full.h5 is in the format fastmri",
    RECONSTRUCT + "--matrix -5": "--matrix",
    RECONSTRUCT + "--preset cmrx": "--preset",
    # the solver
    RECONSTRUCT + "--tolerance 0": "tolerance: 0.0 given",
    RECONSTRUCT + "--tolerance -1": "tolerance: -1.0 given",
    RECONSTRUCT + "--tolerance nan": "tolerance: nan given",
    RECONSTRUCT + "--max-evaluations 0": "max_evaluations: 0 given",
    RECONSTRUCT + "--max-evaluations 1e3": "'1e3' is not a valid integer",
    "reconstruct full.h5 out.h5 --model zero-filled --tolerance 1e-3": "has no solver",
    # options of a model
    SET + "weight": "--set weight: NAME=VALUE needed",
    SET + "=1": "--set =1: NAME=VALUE needed",
    SET + "weight=": "weight",
    SET + "weight=nan": "weight: 'nan' given",
    SET + "weight=-1": "weight: -1",
    SET + "weight=1e999": "weight: inf given",
    SET + "weight=heavy": "weight: 'heavy' given",
    SET + "weight=[1": "weight: '[1' given",
    SET + "weight=" + "[" * 10**5: "weight: ",
    SET + 'weight={"a":1}': "weight: ",
    SET + "wieght=1": "did you mean weight?",
    SET + "a.b.c=1": "unknown option 'a'",
    SET + "tv.weight=1": "tv",
    "reconstruct full.h5 out.h5 --model tv cg-sense --set weight=1": "of which of tv, cg-sense?",
    # models
    "reconstruct full.h5 out.h5 --model cg-sence": "'cg-sence', did you mean cg-sense?",
    "reconstruct full.h5 out.h5": "--model",
    "reconstruct full.h5 out.h5 --model gone.json": "gone.json: missing",
    "reconstruct full.h5 out.h5 --model prose.json": "prose.json: ",
    "reconstruct full.h5 out.h5 --model list.json": "list.json: ",
    "reconstruct full.h5 out.h5 --model empty.json": "empty.json: ",
    "reconstruct full.h5 out.h5 --model deep.json": "deep.json: ",
    "reconstruct full.h5 out.h5 --model unknown.json": "unknown.json: ",
    "reconstruct full.h5 out.h5 --model options.json": "options.json: ",
    "reconstruct full.h5 out.h5 --model names.json": "names.json: model is 3; a name needed",
    "reconstruct full.h5 out.h5 --model words.json": "words.json: options is []; an object needed",
    "reconstruct full.h5 out.h5 --model number.json": "number.json: sha256 is 4; a text needed",
    "reconstruct full.h5 out.h5 --model other.json": "differs from 00... in other.json",
    "reconstruct full.h5 out.h5 --model schema.json": "schema.json: ",
    "reconstruct full.h5 out.h5 --model alone.json": "alone.safetensors: ",
    "reconstruct full.h5 out.h5 --model pickled.json": "not a safetensors file",
    "reconstruct full.h5 out.h5 --model weights.pt": "weights.pt",
    # where to
    "reconstruct full.h5 full.h5 --model cg-sense": "full.h5: is the input itself",
    "reconstruct full.h5 none --model cg-sense": "none: is a folder",
    "reconstruct full.h5 gone/out.h5 --model cg-sense": "gone does not exist",
    "reconstruct full.h5 full.h5/out.h5 --model cg-sense": "full.h5",
    "reconstruct full.h5 /dev/null --model cg-sense": "null: is a device",
    "reconstruct full.h5 out.tiff --model cg-sense": "out.tiff: .tiff given",
    f"reconstruct full.h5 {'o' * 300}.h5 --model cg-sense": "ooo.h5: ",
    RECONSTRUCT + "--quick-look look.jpg": "look.jpg: .jpg given",
    RECONSTRUCT + "--quick-look out.png --device tpu": "--device",
    "reconstruct full.h5 out.png --model cg-sense --quick-look out.png": "is both the output",
    "reconstruct full.h5 out.npy --model cg-sense tv": "holds the images of one model",
    # other commands
    "data convert full.h5 out.txt": "out.txt: a name that ends in",
    "data convert full.h5 full.h5": "full.h5: is the input itself",
    "data check": "PATH",
    "data check none": "none: ",
    "data loook full.h5": "no command `loook`",
    "data make --out made --matrix -8": "matrix is -8; ",
    "data make --out made --matrix 0": "matrix is 0; ",
    "data make --out made --coils 0": "coils is 0; ",
    "data make --out made --noise nan": "noise is nan; ",
    "data make --out made --noise 1 2 3": "--noise: 3 numbers given",
    "data make --out made --volumes -1 0 0": "volumes",
    "data make --out made --seed -1": "seed is -1; ",
    "data draws out.txt": "out.txt: a name that ends in",
    "data draws out.png --count 0": "--count",
    "evaluate --data masked.h5 --model zero-filled --baselines none": "masked.h5: ",
    "evaluate --data full.h5 --model zero-filled --baselines none --slices 9": "no slice 9",
    "evaluate --data full.h5 --metrics pnsr": "did you mean psnr?",
    "evaluate --data full.h5 --baselines tvv": "tvv",
    "evaluate --data none --model zero-filled --baselines none": "none: ",
    "evaluate --data full.h5 --acceleration 0": "acceleration: 0",
    "train --data none --out made": "none: ",
    "train --data masked.h5 --out made": "masked.h5: ",
    "train --data full.h5 --val masked.h5 --out made": "masked.h5: ",
    "train --data full.h5 --epochs -1 --out made": "epochs: -1 given",
    "train --data full.h5 --learning-rate nan --out made": "learning_rate: nan given",
    "train --data full.h5 --batch-size 0 --out made": "batch_size: 0 given",
    "train --data full.h5 --loss l3 --out made": "unknown loss 'l3'",
    "train --data full.h5 --model tv --out made": "tv",
    "train --data full.h5 --denoiser gone.json --out made": "gone.json: missing",
    "train --data full.h5 --set denoiser.depht=3 --out made": "did you mean depth?",
    "train --data full.h5 --devices 0 --out made": "devices: 0 given",
    "run 99": "99",
    "sweep train": "",
}


@pytest.mark.parametrize("words", WORDS)
def test_a_bad_word_is_one_line_and_leaves_nothing(
    any_command: Callable, scans: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(scans)
    before = sorted(scans.rglob("*"))
    status, _, errors = any_command(*words.split(" "))
    assert status in (1, 2), (status, errors)
    *warned, error = errors
    assert error.startswith("deqlab: error: ") and WORDS[words] in error, error
    assert all(line.startswith("deqlab: warning: ") for line in warned), warned
    assert sorted(scans.rglob("*")) == before


def test_the_list_is_long(scans: Path) -> None:
    """And its control is sound: the files that nothing is wrong with."""
    assert len(WORDS) > 100 and json.loads((scans / "alone.json").read_text())
