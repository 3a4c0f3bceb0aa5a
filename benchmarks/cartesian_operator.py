"""A and A^H over their bare Fourier transforms: 8 coils, 320 x 320, complex64; a quarter of the
lines, or of the points, sampled.
"""

import argparse

import torch
from timing import keep_freed_memory, ratios

from deqlab.operators import CartesianOperator
from deqlab.signal.transforms.fourier import IMAGE_AXES


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--size", type=int, default=320)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    torch.manual_seed(0)
    maps = torch.randn(options.coils, options.size, options.size, dtype=torch.complex64)
    image = torch.randn(1, options.size, options.size, dtype=torch.complex64)
    masks = {
        "lines": torch.rand(options.size) < 0.25,
        "points": torch.rand(options.size, options.size) < 0.25,
    }
    for pattern, mask in masks.items():
        A = CartesianOperator(mask, maps)
        kspace = A(image)
        for name, call, bare in (
            ("A", lambda: A(image), lambda: torch.fft.fftn(kspace, dim=IMAGE_AXES, norm="ortho")),
            (
                "A.H",
                lambda: A.H(kspace),
                lambda: torch.fft.ifftn(kspace, dim=IMAGE_AXES, norm="ortho"),
            ),
            (
                "A.normal",
                lambda: A.normal(image),
                lambda: torch.fft.ifftn(torch.fft.fftn(kspace, dim=IMAGE_AXES), dim=IMAGE_AXES),
            ),
        ):
            result = ratios(bare, call)
            print(
                f"{pattern:<6}  {name:<8}  bare {result['reference'] * 1e3:6.2f} ms  ours"
                f" {result['candidate'] * 1e3:6.2f} ms  ratio {result['ratio']:.3f}"
            )


if __name__ == "__main__":
    main()
