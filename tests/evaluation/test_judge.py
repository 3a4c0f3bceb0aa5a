"""Evaluation: the same data for every method, numbers that can be recomputed, summaries by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.app.cli import main
from deqlab.core.errors import InputError
from deqlab.data import write_volume
from deqlab.data.dataset import SliceDataset
from deqlab.data.prepare.on_grid import crop_magnitude
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import Row, evaluate, summarise, table_text
from deqlab.evaluation.validation import validator
from deqlab.metrics import hfen, nmse, phase_error, psnr, ssim
from deqlab.metrics.usual import USUAL
from deqlab.networks import DnCNN
from deqlab.recon import Outcome, create
from deqlab.recon.base import Method
from deqlab.signal.coils.air_noise import NoWhitening, WhiteningByAir
from deqlab.signal.coils.coil_maps import LowResolution, simulate_coil_maps
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.walsh import Walsh
from deqlab.signal.sampling.masks import mask_rules
from deqlab.signal.transforms.crop import center_crop
from deqlab.signal.transforms.fourier import fft2c

SMALL = DnCNN.Options(depth=2, width=2)


class Watching(Method):
    """Zero filling that remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def reconstruct(self, kspace, A, budget):
        self.seen.append(kspace.clone())
        return Outcome(A.H(kspace))


@pytest.fixture(scope="module")
def rows(tiny_data) -> list[Row]:
    torch.manual_seed(0)
    methods = {
        "zero": create("zero-filled"),
        "sense": create("cg-sense"),
        "sense again": create("cg-sense"),
        "equilibrium": create("de-grad", denoiser=SMALL, step=0.5),
    }
    return evaluate(methods, tiny_data["test"], Conditions(acceleration=(1, 4)))


def test_one_row_for_every_method_volume_and_acceleration(rows, tiny_data) -> None:
    found = [(row.acceleration, row.file, row.method) for row in rows]
    names = [path.name for path in tiny_data["test"]]
    assert found == [
        (a, f, m)
        for a in (1.0, 4.0)
        for f in names
        for m in ("zero", "sense", "sense again", "equilibrium")
    ]
    assert {row.contrast for row in rows} == {"AXT1", "AXT2"}


def test_rows_are_sane(rows) -> None:
    for row in rows:
        assert set(row.scores) == set(USUAL) and row.seconds > 0
        assert 5 < row.scores["psnr"] < 80
        assert 0 < row.scores["ssim"] <= 1 and 0 < row.scores["nmse"] < 1
        if row.method != "zero":
            tolerance, most = (1e-3, 50) if row.method == "equilibrium" else (1e-5, 200)
            assert len(row.evaluations) == len(row.converged) == 2 and row.residual >= 0
            assert all(1 <= count <= most for count in row.evaluations)
            assert all(row.converged) == (row.residual <= tolerance)
        else:
            assert row.evaluations is row.converged is row.residual is None
    score = {
        (row.method, row.acceleration): row.scores["psnr"] for row in rows if row.contrast == "AXT2"
    }
    assert score["zero", 1.0] > score["zero", 4.0] + 5


def test_equal_methods_score_equally(rows) -> None:
    scores = [
        {(r.file, r.acceleration): r.scores for r in rows if r.method == m}
        for m in ("sense", "sense again")
    ]
    assert scores[0] == scores[1]


def test_scores_can_be_recomputed_in_the_files_own_units(rows, tiny_data) -> None:
    path = tiny_data["test"][0]
    dataset = SliceDataset([path], mask_rules(["random"], [4]), slices="all")
    method = create("cg-sense")
    target, image = [], []
    for sample in dataset:
        found = method(sample.kspace[None], sample.operator)[0]
        image.append(crop_magnitude(found, sample.crop).numpy() * sample.scale)
        target.append(sample.target.numpy() * sample.scale)
    target, image = np.stack(target).astype(float), np.stack(image).astype(float)
    row = next(r for r in rows if (r.method, r.acceleration, r.file) == ("sense", 4.0, path.name))
    assert row.scores["psnr"] == pytest.approx(psnr(target, image), abs=1e-2)
    assert row.scores["ssim"] == pytest.approx(ssim(target, image), abs=1e-4)
    assert row.scores["nmse"] == pytest.approx(nmse(target, image), rel=1e-3)


def test_metrics_that_are_asked_for_look_at_the_phase_too(tiny_data) -> None:
    path = tiny_data["test"][0]
    asked = ("hfen", "magnitude-bias", "phase-error")
    (row,) = evaluate(
        {"zero": create("zero-filled")}, [path], Conditions(acceleration=(4,)), metrics=asked
    )
    assert tuple(row.scores) == asked
    samples = list(SliceDataset([path], mask_rules(["random"], [4]), slices="all"))
    images = [sample.operator.H(sample.kspace[None])[0] for sample in samples]
    pairs = [
        (center_crop(s.reference, s.crop), center_crop(z, s.crop)) for s, z in zip(samples, images)
    ]
    truth, image = (np.stack(part) for part in zip(*pairs))
    assert row.scores["phase-error"] == pytest.approx(phase_error(truth, image), rel=1e-4)
    scales = np.array([sample.scale for sample in samples])[:, None, None]
    sizes = (np.abs(z).astype(float) * scales for z in (truth, image))
    assert row.scores["hfen"] == pytest.approx(hfen(*sizes), rel=2e-2)
    with pytest.raises(InputError, match="nonsense"):
        evaluate({}, [path], Conditions(acceleration=(4,)), metrics=("nonsense",))


def test_the_data_range_stays_the_volumes_when_slices_are_chosen(tiny_data) -> None:
    """One slice of two: the peak in PSNR is still the maximum over both."""
    path = tiny_data["test"][0]
    targets = [s.target.numpy().astype(float) * s.scale for s in SliceDataset([path], slices="all")]
    darker = int(np.argmin([t.max() for t in targets]))
    row = evaluate(
        {"zero": create("zero-filled")}, [path], Conditions(acceleration=(4,), slices=[darker])
    )[0]
    error = row.scores["nmse"] * (targets[darker] ** 2).mean()
    assert row.scores["psnr"] == pytest.approx(
        10 * np.log10(max(t.max() for t in targets) ** 2 / error), abs=1e-2
    )


def test_all_methods_see_the_same_kspace_and_the_seed_changes_it(tiny_data) -> None:
    one, other, reseeded, calls = Watching(), Watching(), Watching(), []
    four = Conditions(acceleration=(4,))
    evaluate({"one": one, "other": other}, tiny_data["test"], four, progress=calls.append)
    evaluate({"reseeded": reseeded}, tiny_data["test"], replace(four, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))
    assert not torch.equal(one.seen[0], reseeded.seen[0])
    assert calls == [
        f"{label} {path.name} 4x" for path in tiny_data["test"] for label in ("one", "other")
    ]


def row(method: str = "a", acceleration: float = 4.0, value: float = 1.0, **details) -> Row:
    return Row(
        method,
        "f.h5",
        "AXT2",
        acceleration,
        {"psnr": 30 + value, "ssim": value / 10, "nmse": value / 100},
        seconds=0.5,
        **details,
    )


def test_the_shell_judges_with_the_coil_maps_that_were_asked_for(tiny_data, tmp_path) -> None:
    path = tiny_data["test"][0]
    words = ["--data", str(path), "--model", "cg-sense", "--acceleration", "4"]
    words += ["--baselines", "none", "--json"]
    found = {}
    for name, maps in (("lowres", LowResolution()), ("walsh", Walsh())):
        assert main(["evaluate", *words, str(tmp_path / name), "--coil-maps", name]) == 0
        found[name] = [row["psnr"] for row in json.loads((tmp_path / name).read_text())["rows"]]
        expected = evaluate(
            {"cg-sense": create("cg-sense")}, [path], Conditions(acceleration=(4,), coil_maps=maps)
        )
        assert found[name] == pytest.approx([row.scores["psnr"] for row in expected], abs=1e-6)
    assert abs(found["walsh"][0] - found["lowres"][0]) > 1e-3


def test_the_shell_prepares_as_it_was_asked_to_and_says_how(tiny_data, tmp_path) -> None:
    path = tiny_data["test"][0]
    words = ["evaluate", "--data", str(path), "--model", "cg-sense", "--acceleration", "4"]
    words += ["--baselines", "none"]
    found = {}
    for name, own in (("default", []), ("plain", ["--whiten", "none"]), ("one", ["--coils", "1"])):
        assert main([*words, "--json", str(tmp_path / name), *own]) == 0
        (found[name],) = json.loads((tmp_path / name).read_text())["rows"]
    assert "; 2 of 2 coils kept; coil maps espirit (kernel" in found["default"]["prepared"]
    assert found["plain"]["prepared"].startswith("coils not whitened (not asked for); 2 of 2")
    assert "; 1 of 2 coils kept; coil maps lowres" in found["one"]["prepared"]
    # Simulated noise is white, so nothing is done about it.
    assert found["default"]["psnr"] == found["plain"]["psnr"]
    assert abs(found["one"]["psnr"] - found["plain"]["psnr"]) > 1e-3


def test_whitened_coils_are_judged_by_the_files_own_target(tmp_path) -> None:
    """Of a fully sampled file with uneven noise, the combination of whitened coils is nearest."""
    y, x = (torch.linspace(-1, 1, side) for side in (64, 48))
    image = ((y[:, None] / 0.5) ** 2 + (x / 0.7) ** 2 < 1).float()
    noise = torch.randn(1, 4, 64, 48, dtype=torch.complex64)
    noise[:, 0] *= 8
    kspace = fft2c(simulate_coil_maps(4, (64, 48), 0) * image)
    path = write_volume(tmp_path / "loud.h5", (kspace + 0.01 * noise).numpy(), "T1", (64, 48))
    with h5py.File(path, "r+") as file:
        file["reconstruction_rss"][...] = image
    one = Conditions(acceleration=(1,), center_fraction=1.0, coil_maps=ESPIRiT())
    plain, white = (
        evaluate({"zero": create("zero-filled")}, [path], replace(one, whiten=how))[0].scores
        for how in (NoWhitening(), WhiteningByAir())
    )
    assert white["psnr"] > plain["psnr"] + 1


def test_summary_by_hand() -> None:
    rows = [
        row(value=1, evaluations=[3, 5], converged=[True, True]),
        row("b", value=2),
        row(value=4, evaluations=[7, 50], converged=[True, False]),
        row("b", acceleration=8.0, value=3),
    ]
    table = summarise(rows)
    assert [(e["acceleration"], e["method"], e["volumes"]) for e in table] == [
        (4.0, "a", 2),
        (4.0, "b", 1),
        (8.0, "b", 1),
    ]
    first = table[0]
    assert first["psnr"] == pytest.approx(32.5) and first["psnr_std"] == pytest.approx(3 / 2**0.5)
    assert first["ssim"] == pytest.approx(0.25) and first["nmse"] == pytest.approx(0.025)
    assert (
        first["converged"] == pytest.approx(3 / 4)
        and first["evaluations"] == 6
        and first["seconds"] == 1.0
    )
    assert table[1]["psnr_std"] == 0 and "converged" not in table[1]
    assert all("denoiser_error" not in entry for entry in table)
    assert "|R(t)-t|" not in table_text(table)


def test_what_denoisers_do_to_the_truth_is_in_the_summary_and_the_table(rows) -> None:
    assert all((r.denoiser_error is None) == (r.method != "equilibrium") for r in rows)
    ours = [r for r in rows if (r.method, r.acceleration) == ("equilibrium", 4.0)]
    assert all(r.to_json()["denoiser_error"] > 0 and r.noise_share > 0 for r in ours)
    table = summarise(rows)
    entry = next(e for e in table if (e["method"], e["acceleration"]) == ("equilibrium", 4.0))
    for name in ("denoiser_error", "noise_share"):
        assert entry[name] == pytest.approx(np.mean([getattr(r, name) for r in ours]))
    head, *lines = table_text(table).splitlines()
    assert head.endswith("|R(t)-t|/|t|  |noise|/|t|") and len({len(line) for line in lines}) == 1
    shown = {line.split()[1]: line.split()[-2:] for line in lines if line.split()[0] == "4x"}
    assert shown["zero"] == ["-", "-"]
    assert shown["equilibrium"] == [f"{entry['denoiser_error']:.3f}", f"{entry['noise_share']:.3f}"]


def test_the_table_shows_the_summary(rows) -> None:
    table = summarise(rows)
    lines = table_text(table).splitlines()
    assert len(lines) == 1 + len(table) and len({len(line) for line in lines[1:]}) == 1
    for line, entry in zip(lines[1:], table, strict=True):
        assert (
            f"{entry['psnr']:.2f}" in line
            and f"{entry['ssim']:.4f}" in line
            and entry["method"] in line
        )
        assert ("converged" in entry) == ("%" in line)


def test_the_validator_gives_one_pair_per_acceleration(tiny_data) -> None:
    validate = validator(tiny_data["test"], iter((4, 8)), "random", slices=(1,))
    model = create("de-grad", denoiser=SMALL, step=0.5)
    first = validate(model)
    keys = ("psnr", "converged", "denoiser_error", "noise_share")
    assert set(first) == {f"val_{key}_{a}x" for key in keys for a in (4, 8)}
    # Called once an epoch: the accelerations must not be used up.
    assert validate(model) == first


def test_the_validator_judges_at_the_budget_of_use(tiny_data) -> None:
    """A tighter tolerance and another cap in training change neither the verdict nor themselves."""
    validate = validator(tiny_data["test"], (4,), "random", slices=(1,))
    model = create("de-grad", denoiser=SMALL, step=0.5)
    first = validate(model)
    model.tolerance, model.max_evaluations = 1e-9, 1
    assert validate(model) == first
    assert (model.tolerance, model.max_evaluations) == (1e-9, 1)


def test_the_mean_over_volumes_is_not_weighted(tiny_data: dict[str, list[Path]], rows) -> None:
    entry = next(e for e in summarise(rows) if (e["method"], e["acceleration"]) == ("zero", 4.0))
    values = [r.scores["psnr"] for r in rows if (r.method, r.acceleration) == ("zero", 4.0)]
    assert entry["volumes"] == len(tiny_data["test"]) and entry["psnr"] == pytest.approx(
        sum(values) / len(values)
    )
