"""SSIM, PSNR and VIF beside scikit-image, torchmetrics and piq: how far apart are the numbers, and
how long does SSIM with its gradient take? A library that is not installed leaves a line that says
so.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from timing import ratios
from torch import Tensor

from deqlab.losses import SSIMLoss
from deqlab.metrics import PSNR, SSIM, VIF

REPEATS = 15


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    target, image = pair(arguments.size)
    print("== one slice, in float64: ours, theirs, their difference")
    for name, ours, theirs in compared(target, image):
        print(f"{name:36s} {ours:10.6f} {theirs:10.6f} {abs(ours - theirs):9.1e}")
    print(f"\n== SSIM and its gradient, {arguments.size}x{arguments.size}, float32")
    x, y = (torch.from_numpy(z).float()[None] for z in (image, target))
    for name, theirs in peers(y):
        found = ratios(stepped(theirs, x), stepped(lambda z: SSIMLoss()(z, y), x), REPEATS)
        print(
            f"{name:36s} theirs {found['reference'] * 1e3:6.1f} ms, ours"
            f" {found['candidate'] * 1e3:5.1f} ms, ours / theirs {found['ratio']:.3f}"
        )


def pair(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth slice with stripes, 0 to 1, and another pattern on it."""
    y, x = np.mgrid[:size, :size] / size
    bump = np.exp(-8 * ((y - 0.5) ** 2 + (x - 0.5) ** 2))
    target = bump * (1 + 0.3 * np.sin(200 * x) * np.cos(130 * y))
    target /= target.max()
    return target, np.clip(np.abs(target + 0.03 * np.sin(1500 * y * x)), 0, 1)


def compared(target: np.ndarray, image: np.ndarray) -> Iterator[tuple[str, float, float]]:
    """Our number beside that of each library which has it too."""
    ours = {
        name: metric(data_range=1.0)(target[None], image[None])
        for name, metric in (("ssim", SSIM), ("psnr", PSNR), ("vif", VIF))
    }
    x, y = (torch.from_numpy(z)[None, None] for z in (image, target))
    for library, name, ask in (
        ("scikit-image", "ssim", lambda: of_skimage(target, image)[0]),
        ("scikit-image", "psnr", lambda: of_skimage(target, image)[1]),
        ("torchmetrics, x 255", "vif", lambda: of_torchmetrics(255 * x, 255 * y)),
        ("torchmetrics, as it is", "vif", lambda: of_torchmetrics(x, y)),
        ("piq", "vif", lambda: of_piq(x, y)),
    ):
        try:
            yield f"{name}, {library}", ours[name], ask()
        except ImportError as error:
            print(f"{name}, {library}: not here ({error})")


def of_skimage(target: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """SSIM in 7x7 windows, PSNR."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    return (
        float(structural_similarity(target, image, data_range=1.0, win_size=7)),
        float(peak_signal_noise_ratio(target, image, data_range=1.0)),
    )


def of_torchmetrics(image: Tensor, target: Tensor) -> float:
    """VIF, which takes images for greys of 0 to 255."""
    from torchmetrics.functional.image import visual_information_fidelity

    return float(visual_information_fidelity(image, target))


def of_piq(image: Tensor, target: Tensor) -> float:
    """VIF of images of 0 to 1."""
    from piq import vif_p

    return float(vif_p(image, target, data_range=1.0))


def peers(target: Tensor) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """One less SSIM of other libraries, of images (1, y, x)."""
    try:
        from piq import SSIMLoss as Theirs

        for size in (11, 7):
            loss = Theirs(kernel_size=size, data_range=1.0, downsample=False)
            yield f"piq, {size}x{size}", lambda z, loss=loss: loss(z[None].clip(0, 1), target[None])
    except ImportError as error:
        print(f"piq: not here ({error})")
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure as theirs

        yield (
            "torchmetrics, 7x7",
            lambda z: (
                1
                - theirs(
                    z[None], target[None], gaussian_kernel=False, kernel_size=7, data_range=1.0
                )
            ),
        )
    except ImportError as error:
        print(f"torchmetrics: not here ({error})")


def stepped(loss: Callable[[Tensor], Tensor], start: Tensor) -> Callable[[], None]:
    """A forward and a backward pass."""

    def step() -> None:
        image = start.clone().requires_grad_()
        loss(image).backward()

    return step


if __name__ == "__main__":
    main()
