"""Samples off the grid beside torchkbnufft, mri-nufft and bare finufft plans: forward plus adjoint,
their errors, and the normal operator.

Radial and spiral, 320 x 320, 8 coils, one thread. Errors are relative to the exact sums, at random
samples and pixels, after the scale factor that fits best, because libraries scale differently.
Images, maps and data are white noise.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from timing import keep_freed_memory, ratios
from torch import Tensor

from deqlab.operators import NUFFTOperator
from deqlab.signal.sampling.trajectories import Radial, Spiral


@dataclass(frozen=True)
class Problem:
    """One trajectory with what is transformed. image complex64 (y, x), kspace (coil, samples), maps
    (coil, y, x).
    """

    trajectory: Tensor
    image: Tensor
    kspace: Tensor
    maps: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.image.shape)


Pair = tuple[Callable[[], Tensor], Callable[[], Tensor]]


def ours(problem: Problem, dtype: torch.dtype, tolerance: float) -> Pair:
    A = NUFFTOperator(problem.trajectory, problem.shape, problem.maps.to(dtype), tolerance)
    image, kspace = problem.image[None].to(dtype), problem.kspace[None].to(dtype)
    return lambda: A(image)[0], lambda: A.H(kspace)[0]


def bare_plan(problem: Problem, dtype: torch.dtype, tolerance: float) -> Pair:
    """The transforms of the coil images alone, in finufft's own precision `dtype`: no maps, no sum
    over coils, memory made beforehand.
    """
    import finufft

    angles = [
        angle.contiguous().numpy()
        for angle in (2 * torch.pi * problem.trajectory).to(dtype.to_real()).unbind(-1)
    ]
    plans = {}
    for kind, sign in ((1, 1), (2, -1)):
        plans[kind] = finufft.Plan(
            kind,
            problem.shape,
            len(problem.maps),
            tolerance,
            sign,
            str(dtype)[6:],
            nthreads=torch.get_num_threads(),
            showwarn=0,
        )
        plans[kind].setpts(*angles)
    images, kspace = (
        (problem.image * problem.maps).to(dtype).numpy(),
        problem.kspace.to(dtype).numpy(),
    )
    out = {1: np.empty_like(images), 2: np.empty_like(kspace)}

    def adjoint() -> Tensor:
        return torch.from_numpy(plans[1].execute(kspace, out[1]))

    return lambda: torch.from_numpy(plans[2].execute(images, out[2])), adjoint


def torchkbnufft(problem: Problem) -> Pair:
    import torchkbnufft

    forward, adjoint = (
        torchkbnufft.KbNufft(problem.shape),
        torchkbnufft.KbNufftAdjoint(problem.shape),
    )
    angles = (2 * torch.pi * problem.trajectory).T.float().contiguous()
    image, maps, kspace = problem.image[None, None], problem.maps[None], problem.kspace[None]
    return (
        lambda: forward(image, angles, smaps=maps)[0],
        lambda: adjoint(kspace, angles, smaps=maps)[0, 0],
    )


def mri_nufft(problem: Problem) -> Pair:
    from mrinufft import get_operator

    operator = get_operator("finufft")(
        problem.trajectory.float().numpy(),
        problem.shape,
        n_coils=len(problem.maps),
        smaps=problem.maps.numpy(),
        squeeze_dims=True,
        nthreads=torch.get_num_threads(),
    )
    image, kspace = problem.image.numpy(), problem.kspace.numpy()
    return lambda: torch.as_tensor(operator.op(image)), lambda: torch.as_tensor(
        operator.adj_op(kspace)
    )


def errors(problem: Problem, pair: Pair, places: int = 256) -> tuple[float, float]:
    """Relative errors of forward and adjoint against the exact sums, at so many random samples and
    pixels.
    """
    generator = torch.Generator().manual_seed(1)
    some = torch.randperm(len(problem.trajectory), generator=generator)[:places]
    rows, columns = (torch.arange(size, dtype=torch.float64) - size // 2 for size in problem.shape)
    images = (problem.image * problem.maps).to(torch.complex128)
    along_y, along_x = (
        torch.exp(-2j * torch.pi * torch.outer(problem.trajectory[some, axis], n))
        for axis, n in enumerate((rows, columns))
    )
    forward = torch.einsum("cmx,mx->cm", along_y @ images, along_x)
    y, x = (torch.randint(size, (places,), generator=generator) for size in problem.shape)
    kspace = problem.kspace.to(torch.complex128)
    points = torch.stack((rows[y], columns[x]))
    back = sum(
        part @ torch.exp(2j * torch.pi * (block @ points))
        for block, part in zip(problem.trajectory.split(4096), kspace.split(4096, dim=1))
    )
    adjoint = (problem.maps.to(torch.complex128).conj()[:, y, x] * back).sum(0)
    found = pair[1]()
    # A bare plan gives coil images; they are compared before the maps.
    found, adjoint = (found[:, y, x], back) if found.ndim == 3 else (found[y, x], adjoint)
    return _misfit(pair[0]()[:, some], forward), _misfit(found, adjoint)


def _misfit(found: Tensor, truth: Tensor) -> float:
    found, truth = (tensor.flatten().to(torch.complex128) for tensor in (found, truth))
    scale = torch.vdot(found, truth) / torch.vdot(found, found)
    return float((scale * found - truth).norm() / truth.norm())


def normals(problem: Problem) -> None:
    """The normal operator beside the bare Fourier transforms, there and back, of coil images padded
    to twice the size.
    """
    A = NUFFTOperator(problem.trajectory, problem.shape, problem.maps)
    image = problem.image[None]
    padded = torch.zeros(
        len(problem.maps), *(2 * size for size in problem.shape), dtype=torch.complex64
    )

    def pair() -> None:
        for coil in padded:
            torch.fft.ifftn(torch.fft.fftn(coil))

    calls = {"deqlab A.normal": lambda: A.normal(image)}
    try:
        import torchkbnufft

        kernel = torchkbnufft.calc_toeplitz_kernel(
            (2 * torch.pi * problem.trajectory).T.float(), problem.shape
        )
        theirs = torchkbnufft.ToepNufft()
        calls["torchkbnufft ToepNufft"] = lambda: theirs(
            image[None], kernel, smaps=problem.maps[None]
        )[0]
    except ImportError:
        print("  torchkbnufft is not installed (pip install -e '.[bench]')")
    exact = A.H(A(image))
    for name, call in calls.items():
        result = ratios(pair, call, repeats=9, warmup=1)
        print(
            f"  {name:<34} {result['candidate'] * 1e3:7.0f} ms   {result['ratio']:6.2f} x the"
            f" padded FFT pair ({result['reference'] * 1e3:.0f} ms)   apart from A.H(A(x)) by"
            f" {_misfit(call(), exact):.0e}"
        )


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    shape = (options.size, options.size)
    for name, trajectory in (
        ("radial", Radial(spokes=5 * options.size // 8)),
        ("spiral", Spiral(interleaves=16)),
    ):
        torch.manual_seed(0)
        points = trajectory.sample(shape)
        noise = {
            "image": shape,
            "kspace": (options.coils, len(points)),
            "maps": (options.coils, *shape),
        }
        problem = Problem(
            points,
            **{part: torch.randn(*size, dtype=torch.complex64) for part, size in noise.items()},
        )
        print(
            f"{name}, {len(points)} samples, {options.coils} coils, {options.size} x"
            f" {options.size}: forward plus adjoint"
        )
        rows = {
            "bare finufft, complex64, 1e-6": lambda: bare_plan(problem, torch.complex64, 1e-6),
            "bare finufft, complex128, 1e-6": lambda: bare_plan(problem, torch.complex128, 1e-6),
            "deqlab, complex128, 1e-6": lambda: ours(problem, torch.complex128, 1e-6),
            "deqlab, complex64, 1e-4": lambda: ours(problem, torch.complex64, 1e-4),
            "mri-nufft (finufft), complex64": lambda: mri_nufft(problem),
            "torchkbnufft, complex64": lambda: torchkbnufft(problem),
        }
        reference = ours(problem, torch.complex64, 1e-6)
        print(
            f"  {'deqlab, complex64, 1e-6':<34}    errors"
            f" {' and '.join(f'{error:.1e}' for error in errors(problem, reference))}"
        )
        for label, make in rows.items():
            try:
                pair = make()
            except ImportError as missing:
                print(f"  {label:<34} {missing.name} is not installed (pip install -e '.[bench]')")
                continue
            result = ratios(
                lambda: [call() for call in reference],
                lambda: [call() for call in pair],
                repeats=options.repeats,
                warmup=1,
            )
            print(
                f"  {label:<34} {result['candidate'] * 1e3:7.0f} ms   deqlab at 1e-6"
                f" {result['reference'] * 1e3:5.0f} ms, {1 / result['ratio']:5.2f} of it   errors"
                f" {' and '.join(f'{error:.1e}' for error in errors(problem, pair))}"
            )
        normals(problem)


if __name__ == "__main__":
    main()
