"""Many coils beside their peers: ESPIRiT and CG-SENSE against sigpy, GRAPPA against pygrappa, on
one simulated head of 8 coils, 320 x 320.

Same k-space, mask and settings for both, in turns, one thread. Accuracy is printed beside time:
agreement of the maps inside the head, PSNR of the root-sum-of-squares image against the fully
sampled one (data range: its maximum).
"""

import argparse
import importlib.util
import warnings

import torch
from timing import keep_freed_memory, ratios
from torch import Tensor

from deqlab.operators import CartesianOperator
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.grappa import GRAPPA
from deqlab.signal.coils.coil_maps import estimate_coil_maps, rss, simulate_coil_maps
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.sampling.masks import calibration_lines
from deqlab.signal.transforms.fourier import IMAGE_AXES, fft2c, ifft2c

ITERATIONS = 30
CALIBRATION = 26


def head(size: int, coils: int, noise: float) -> tuple[Tensor, Tensor]:
    """(k-space (coil, y, x), where there is signal (y, x)): ellipses with edges and detail, smooth
    phase, white noise in k-space.
    """
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    inside = (y / 0.85) ** 2 + (x / 0.68) ** 2 < 1
    image = inside * 0.6 + ((y / 0.78) ** 2 + (x / 0.6) ** 2 < 1) * 0.3 * (
        1 + 0.5 * torch.sin(19 * x) * torch.cos(23 * y)
    )
    for centre_y, centre_x, radius, value in (
        (-0.2, 0.2, 0.13, 0.4),
        (0.25, -0.25, 0.1, -0.5),
        (0.4, 0.2, 0.06, 0.5),
        (-0.1, -0.3, 0.03, 0.6),
    ):
        image = image + value * ((y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2)
    maps = simulate_coil_maps(coils, (size, size), seed=0)
    torch.manual_seed(0)
    kspace = fft2c(maps * image * torch.exp(1j * (0.8 * x + 0.6 * y * y)))
    return kspace + noise * torch.randn_like(kspace), inside


def psnr(filled: Tensor, full: Tensor) -> float:
    image, reference = rss(ifft2c(filled)), rss(ifft2c(full))
    return float(10 * torch.log10(reference.max() ** 2 / (image - reference).square().mean()))


def line(name: str, peer: str, result: dict[str, float], note: str) -> None:
    theirs, ours = result["reference"] * 1e3, result["candidate"] * 1e3
    print(
        f"{name:<34} {peer} {theirs:8.1f} ms  ours {ours:7.1f} ms  ratio {result['ratio']:6.3f} "
        f" {note}",
        flush=True,
    )


def espirit(kspace: Tensor, inside: Tensor, repeats: int) -> None:
    if not importlib.util.find_spec("sigpy"):
        return print("ESPIRiT: sigpy is not installed")
    from sigpy.mri.app import EspiritCalib

    samples, lines = kspace.numpy(), slice(kspace.shape[-1] // 2 - 12, kspace.shape[-1] // 2 + 12)
    theirs = torch.from_numpy(EspiritCalib(samples, crop=0, show_pbar=False).run())
    ours = estimate_coil_maps(kspace, lines, ESPIRiT(crop=0))
    agreement = (ours.conj() * theirs).sum(0).abs()[inside]
    result = ratios(
        lambda: EspiritCalib(samples, crop=0, show_pbar=False).run(),
        lambda: estimate_coil_maps(kspace, lines, ESPIRiT(crop=0)),
        repeats,
        1,
    )
    line(
        "ESPIRiT, 24 lines, kernel 6",
        "sigpy   ",
        result,
        f"|<a, b>| in the head: least {agreement.min():.4f}, mean {agreement.mean():.5f}",
    )


def grappa(kspace: Tensor, repeats: int) -> None:
    if not all(map(importlib.util.find_spec, ("pygrappa", "skimage"))):
        return print("GRAPPA: pygrappa or the scikit-image that it imports is not installed")
    from pygrappa import mdgrappa

    width = kspace.shape[-1]
    index = torch.arange(width)
    centre = (index - width // 2 + CALIBRATION // 2 >= 0) & (
        index - width // 2 + CALIBRATION // 2 < CALIBRATION
    )
    torch.manual_seed(1)
    masks = {
        "every 2nd": index % 2 == 0,
        "every 3rd": index % 3 == 0,
        "every 4th": index % 4 == 0,
        "random, 1 in 4": torch.rand(width) < 0.18,
    }
    for name, rule in masks.items():
        mask = rule | centre
        sampled = kspace * mask
        samples, batch = sampled.numpy(), sampled.unsqueeze(0)

        def theirs() -> Tensor:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a division by zero for lines without neighbours
                return torch.from_numpy(mdgrappa(samples, kernel_size=(5, 5), coil_axis=0))

        # pygrappa's window of 5 lines holds 1 to 4 measured ones here.
        for lines in (2, 4):
            ours = GRAPPA((5, lines), combine="rss")
            result = ratios(theirs, lambda: ours.fill(batch, mask), repeats, 1)
            found = psnr(theirs(), kspace), psnr(ours.fill(batch, mask)[0], kspace)
            note = (
                f"PSNR {found[0]:.2f} -> {found[1]:.2f} dB, zero-filled {psnr(sampled, kspace):.2f}"
            )
            line(f"GRAPPA (5, {lines}), {name}", "pygrappa", result, note)


def cg_sense(kspace: Tensor, repeats: int) -> None:
    torch.manual_seed(1)
    width = kspace.shape[-1]
    mask = torch.rand(width) < 0.2
    mask[width // 2 - 13 : width // 2 + 13] = True
    maps = estimate_coil_maps(kspace, calibration_lines(mask), ESPIRiT())
    sampled = (kspace * mask).unsqueeze(0)
    A = CartesianOperator(mask, maps)
    ours = CGSense(1e-2, tolerance=0.0, max_evaluations=ITERATIONS)

    def bare() -> None:
        for _ in range(ITERATIONS):
            torch.fft.ifftn(torch.fft.fftn(sampled, dim=IMAGE_AXES), dim=IMAGE_AXES)

    result = ratios(bare, lambda: ours(sampled, A), repeats)
    line(
        f"CG-SENSE, {ITERATIONS} iterations",
        "FFTs    ",
        result,
        f"{ITERATIONS} bare pairs of 8 transforms",
    )
    if not importlib.util.find_spec("sigpy"):
        return print("CG-SENSE: sigpy is not installed")
    from sigpy.mri.app import SenseRecon

    samples, weights, coil_maps = (
        sampled[0].numpy(),
        mask.float().expand(width, width).numpy(),
        maps.numpy(),
    )

    def theirs() -> Tensor:
        app = SenseRecon(
            samples,
            coil_maps,
            lamda=1e-2,
            weights=weights,
            max_iter=ITERATIONS,
            tol=0,
            show_pbar=False,
        )
        return torch.from_numpy(app.run())

    difference = (theirs() - ours(sampled, A)[0]).norm() / theirs().norm()
    result = ratios(theirs, lambda: ours(sampled, A), repeats, 1)
    line(
        f"CG-SENSE, {ITERATIONS} iterations",
        "sigpy   ",
        result,
        f"relative difference {difference:.1e}",
    )


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    kspace, inside = head(options.size, options.coils, noise=0.01)
    cg_sense(kspace, options.repeats)
    espirit(kspace, inside, options.repeats)
    grappa(kspace, options.repeats)


if __name__ == "__main__":
    main()
