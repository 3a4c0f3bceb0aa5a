"""Time of `solve` over the same number of bare evaluations of f, Anderson(5) on DE-Prox, 2 x 128 x
128.
"""

import argparse

import torch
from timing import ratios

from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.solvers import Anderson, solve


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluations", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for depth, width in ((5, 32), (17, 64)):
        torch.manual_seed(0)
        model = create("de-prox", denoiser=DnCNN.Options(depth, width, lipschitz=0.9))
        A = CartesianOperator(torch.rand(128) < 0.3)
        f = model.fixed_point_map(A(torch.randn(2, 128, 128, dtype=torch.complex64)), A)
        x = f.projection

        def bare() -> None:
            for _ in range(options.evaluations):
                f(x)

        # Tolerance 0 spends the whole budget, so both sides evaluate f equally often.
        result = ratios(
            bare,
            lambda: solve(f, x, Anderson(memory=5), 0.0, options.evaluations),
            options.repeats,
            1,
        )
        print(
            f"{depth:>2}x{width}  f alone {result['reference'] / options.evaluations * 1e3:7.2f} ms"
            f" an evaluation  solve {result['candidate'] / options.evaluations * 1e3:7.2f} ms "
            f" ratio {result['ratio']:.4f}"
        )


if __name__ == "__main__":
    main()
