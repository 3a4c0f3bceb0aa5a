"""Sparse reconstruction beside sigpy: the best image of each over one grid of weights, and the
seconds until one objective. One thread.

Without FILE a simulated head; FILE is a fully sampled multi-coil file in fastMRI's schema. Both
sides get the same k-space, mask, weights and ESPIRiT maps (deqlab's). A weight is a share of max
|A^H y|. PSNR (data range: the target's maximum) and SSIM are those inside the head, where the
target exceeds 5 % of its maximum, after the one factor that fits the image to the target best.
Seconds: sigpy's own transform is the zero-padded db4, ours is periodised, and their objectives
differ by 12 % in value. So the timing gives sigpy our objective: the same classes (Sense, L1Reg,
UnitaryTransform, GradientMethod) with PyWavelets' periodised db4, as fast as its own. `as it comes`
is L1WaveletRecon to its own least value, which is another problem of the same size.
"""

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from timing import keep_freed_memory
from torch import Tensor

from deqlab.data import open_volume
from deqlab.data.simulated import builtin
from deqlab.metrics import ssim
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.recon.sparse.cycle_spinning import CycleSpinning, RandomShifts
from deqlab.recon.sparse.wavelet import WaveletFISTA
from deqlab.recon.weights import ready
from deqlab.signal.coils.coil_maps import estimate_coil_maps, rss
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.sampling.masks import RandomMask, calibration_lines
from deqlab.signal.transforms.crop import center_crop
from deqlab.signal.transforms.fourier import fft2c, ifft2c
from deqlab.signal.transforms.wavelets import Wavelet

WEIGHTS = (1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 1e-2, 3e-2)
CALIBRATION = 16
ITERATIONS = 100  # of sigpy, its default, and of random origins
GAPS = (1e-2, 3e-3, 1e-3)


@dataclass
class Problem:
    """k-space (1, coil, y, x) with max |A^H y| = 1, its operator, the fully sampled magnitude (y,
    x).
    """

    kspace: Tensor
    A: CartesianOperator
    target: Tensor

    def score(self, image: np.ndarray | Tensor) -> tuple[float, float]:
        """PSNR in dB and SSIM inside the head."""
        image, target = (
            torch.as_tensor(np.abs(np.asarray(image))).double().reshape(self.target.shape),
            self.target,
        )
        inside = target > 0.05 * target.max()
        image = image * ((image * target)[inside].sum() / image[inside].square().sum())
        psnr = 10 * torch.log10(target.max().square() / (image - target)[inside].square().mean())
        return float(psnr), ssim((target * inside).numpy()[None], (image * inside).numpy()[None])


def load(path: Path | None, slice_index: int | None) -> Tensor:
    """Fully sampled k-space of one slice, complex64 (coil, y, x), readout oversampling removed."""
    volume = open_volume(path or builtin("test", progress=False)[0])
    samples = torch.from_numpy(
        volume.kspace(volume.shape[0] // 2 if slice_index is None else slice_index)
    ).to(torch.complex128)
    images = center_crop(ifft2c(samples), (volume.recon_shape[0], samples.shape[-1]))
    return fft2c(images / images.abs().max()).to(torch.complex64)


def problem(kspace: Tensor, acceleration: float, seed: int) -> Problem:
    """Random columns with 16 calibration lines or more."""
    width = kspace.shape[-1]
    mask = RandomMask(acceleration, max(0.32 / acceleration, CALIBRATION / width)).sample(
        width, seed
    )
    sampled = kspace * mask
    maps = estimate_coil_maps(sampled, calibration_lines(mask), ESPIRiT(outside="zero"))
    A = CartesianOperator(mask, maps)
    return Problem(sampled[None] / A.H(sampled[None]).abs().max(), A, rss(ifft2c(kspace)).double())


def sigpy_recon(case: Problem, weight: float, **options):
    """sigpy's app of this problem, not yet run."""
    from sigpy.mri.app import L1WaveletRecon

    return L1WaveletRecon(
        case.kspace[0].numpy(), case.A.coil_maps[0].numpy(), weight, show_pbar=False, **options
    )


def quality(case: Problem, label: str, with_sigpy: bool) -> float:
    """Prints the best of every method; the best weight of the plain wavelet problem."""
    methods: dict[str, Callable[[float], tuple[Tensor | np.ndarray, str]]] = {}
    if with_sigpy:
        methods["sigpy L1WaveletRecon"] = lambda w: (
            sigpy_recon(case, w, max_iter=ITERATIONS).run(),
            "",
        )

    def ours(make: Callable[[float], FixedPointMethod]) -> Callable[[float], tuple[Tensor, str]]:
        def run(weight: float) -> tuple[Tensor, str]:
            solution = make(weight).solve(case.kspace, case.A)
            return solution.value, f"{int(solution.evaluations)} evaluations, {solution.reason[0]}"

        return run

    methods["ours, one origin"] = ours(lambda w: WaveletFISTA(w, spinning=CycleSpinning(1)))
    methods["ours, two origins"] = ours(lambda w: WaveletFISTA(w))
    methods["ours, random origins"] = ours(
        lambda w: WaveletFISTA(w, spinning=RandomShifts(), max_evaluations=ITERATIONS)
    )
    methods["ours, total variation"] = ours(lambda w: create("tv", weight=w))
    methods["ours, CG-SENSE"] = lambda w: (create("cg-sense", weight=w)(case.kspace, case.A), "")
    chosen = WEIGHTS[0]
    for name, run in methods.items():
        found = [
            (*case.score(image), weight, note)
            for weight in WEIGHTS
            for image, note in [run(weight)]
        ]
        psnr, similarity, weight, note = max(found)
        highest = max(entry[1] for entry in found)
        print(
            f"{label}  {name:<22} PSNR {psnr:6.2f} dB at {weight:<7g} SSIM {similarity:.3f} there,"
            f" {highest:.3f} at best  {note}",
            flush=True,
        )
        if name == "ours, one origin":
            chosen = weight
    image, note = ours(lambda _: ready("pnp", {"algorithm": "pgd"}))(0.0)
    psnr, similarity = case.score(image)
    print(
        f"{label}  {'ours, plug-and-play':<22} PSNR {psnr:6.2f} dB untuned   SSIM {similarity:.3f} "
        f" {note}",
        flush=True,
    )
    return chosen


def timed_ours(case: Problem, weight: float, iterations: int) -> list[tuple[float, Tensor]]:
    """(seconds, iterate) at every evaluation, set-up included and the recording not."""
    seen, lost, begin = [], 0.0, time.perf_counter()

    def record(_: int, x: Tensor, __: Tensor) -> None:
        nonlocal lost
        now = time.perf_counter()
        seen.append((now - begin - lost, x.clone()))
        lost += time.perf_counter() - now

    method = WaveletFISTA(
        weight, spinning=CycleSpinning(1), tolerance=0, max_evaluations=iterations
    )
    method.solve(case.kspace, case.A, callback=record)
    return seen


def timed_sigpy(app, begin: float, iterations: int) -> list[tuple[float, Tensor]]:
    """The same of an app of sigpy that was begun to be made at `begin`."""
    seen, lost = [], 0.0
    for _ in range(iterations):
        app.alg.update()
        now = time.perf_counter()
        seen.append((now - begin - lost, torch.from_numpy(app.x.copy())[None]))
        lost += time.perf_counter() - now
    return seen


def periodised(case: Problem, weight: float, **options):
    """sigpy's app of our objective: its gradient method with the transform in PyWavelets' mode
    "periodization".
    """
    import pywt
    import sigpy
    import sigpy.mri

    shape = tuple(case.target.shape)
    levels = len(Wavelet("db4").sizes(shape))

    class Periodised(sigpy.linop.Linop):
        def __init__(self):
            super().__init__(shape, shape)

        def _apply(self, image):
            return pywt.coeffs_to_array(
                pywt.wavedecn(image, "db4", mode="periodization", level=levels)
            )[0]

        def _adjoint_linop(self):
            return Inverse()

    class Inverse(sigpy.linop.Linop):
        def __init__(self):
            super().__init__(shape, shape)
            _, self.slices = pywt.coeffs_to_array(
                pywt.wavedecn(np.zeros(shape), "db4", mode="periodization", level=levels)
            )

        def _apply(self, coefficients):
            bands = pywt.array_to_coeffs(coefficients, self.slices, output_format="wavedecn")
            return pywt.waverecn(bands, "db4", mode="periodization")

        def _adjoint_linop(self):
            return Periodised()

    W = Periodised()
    proxg = sigpy.prox.UnitaryTransform(sigpy.prox.L1Reg(W.oshape, weight), W)
    A = sigpy.mri.linop.Sense(
        case.A.coil_maps[0].numpy(),
        weights=case.A.mask[0].expand(1, *shape).numpy().astype(np.float32),
    )
    return sigpy.app.LinearLeastSquares(
        A, case.kspace[0].numpy(), proxg=proxg, show_pbar=False, **options
    )


def speed(case: Problem, weight: float, label: str, repeats: int, iterations: int) -> None:
    """Prints seconds until the objective is within each gap of the smallest value reached by anyone
    in a long run.
    """
    from sigpy.linop import Wavelet as Padded

    padded, method = (
        Padded(tuple(case.target.shape), wave_name="db4"),
        WaveletFISTA(weight, spinning=CycleSpinning(1)),
    )
    penalty = float(method.penalty(case.A.H(case.kspace)))

    def ours(x: Tensor) -> float:
        return float(method.objective(x, case.kspace, case.A))

    def theirs(x: Tensor) -> float:
        return float((case.A(x) - case.kspace).abs().square().sum()) / 2 + penalty * float(
            np.abs(padded(x[0].numpy())).sum()
        )

    def sigpy(make: Callable, **options) -> Callable[[int], list[tuple[float, Tensor]]]:
        def run(count: int) -> list[tuple[float, Tensor]]:
            begin = time.perf_counter()
            return timed_sigpy(make(case, penalty, max_iter=count, **options), begin, count)

        return run

    runs = {
        "ours": (lambda count: timed_ours(case, weight, count), ours),
        "sigpy": (sigpy(periodised), ours),
        "sigpy, step given": (sigpy(periodised, alpha=1.0), ours),
        "sigpy as it comes": (sigpy(sigpy_recon), theirs),
    }
    ends = {name: run(2 * iterations)[-1][1] for name, (run, _) in runs.items()}
    least = {
        value: min(value(ends[name]) for name, (_, other) in runs.items() if other is value)
        for value in (ours, theirs)
    }
    print(
        f"{label}  gaps after {2 * iterations}: "
        + ", ".join(f"{n} {v(ends[n]) / least[v] - 1:.0e}" for n, (_, v) in runs.items()),
        flush=True,
    )
    reached: dict[tuple[str, float], list[tuple[float, int]]] = {}
    for _ in range(repeats):
        for name, (run, value) in runs.items():
            gaps = [(now, value(x) / least[value] - 1) for now, x in run(iterations)]
            for gap in GAPS:
                first = next(
                    ((now, count) for count, (now, there) in enumerate(gaps, 1) if there <= gap),
                    (float("nan"), 0),
                )
                reached.setdefault((name, gap), []).append(first)
    for gap in GAPS:
        own = reached["ours", gap]
        if not own[0][1]:
            print(f"{label}  within {gap:<6g} not reached in {iterations} iterations", flush=True)
            continue
        text = (
            f"{label}  within {gap:<6g} ours {statistics.median(s for s, _ in own):5.2f} s"
            f" ({own[0][1]})"
        )
        for name in list(runs)[1:]:
            other = reached[name, gap]
            ratio = statistics.median(b / a for (a, _), (b, _) in zip(own, other))
            text += (
                f"  {name} {statistics.median(s for s, _ in other):5.2f} s ({other[0][1]}),"
                f" {ratio:.1f} times ours"
            )
        print(text, flush=True)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--slice", type=int, help="default: the middle one")
    parser.add_argument("--acceleration", type=float, nargs="+", default=[4.0, 8.0])
    parser.add_argument("--seed", type=int, default=0, help="of the mask")
    parser.add_argument("--repeats", type=int, default=3, help="of the timing")
    parser.add_argument("--iterations", type=int, default=200, help="of the timing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("quality", "speed"), help="default: both")
    parser.add_argument(
        "--weight",
        type=float,
        default=1e-3,
        help="of the timing where the quality was not asked for (default: %(default)s)",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    with_sigpy = importlib.util.find_spec("sigpy") is not None
    kspace = load(options.file, options.slice)
    print(
        f"{options.file.name if options.file else 'simulated head'}, {kspace.shape[0]} coils,"
        f" {kspace.shape[1]}x{kspace.shape[2]}"
    )
    for acceleration in options.acceleration:
        case = problem(kspace, acceleration, options.seed)
        label = f"{acceleration:g}x"
        weight = options.weight if options.only == "speed" else quality(case, label, with_sigpy)
        if with_sigpy and options.only != "quality":
            speed(case, weight, label, options.repeats, options.iterations)
    if not with_sigpy:
        print("sigpy is not installed: no comparison")


if __name__ == "__main__":
    main()
