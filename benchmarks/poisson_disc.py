"""Variable-density Poisson discs beside sigpy's: 256 x 256, same acceleration and calibration;
time, and how near the count comes.
"""

import argparse
import itertools

import numpy as np
from timing import ratios

from deqlab.signal.sampling.poisson_disc import PoissonDisc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--calibration", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=15)
    options = parser.parse_args()
    try:
        from sigpy.mri import poisson
    except ImportError:
        print("sigpy is not installed (pip install -e '.[bench]')")
        return
    shape, square = (options.size, options.size), (options.calibration, options.calibration)
    for acceleration in (4, 8, 12):
        pattern = PoissonDisc(acceleration, options.calibration)
        seeds = {"ours": itertools.count(), "sigpy": itertools.count()}
        found = {"ours": [], "sigpy": []}

        def ours() -> None:
            found["ours"].append(int(pattern.sample(shape, next(seeds["ours"])).sum()))

        # sigpy stops within its tolerance of the acceleration, by default 0.1; asked for 1 %, it
        # does what deqlab is held to.
        def sigpy() -> None:
            tolerance = 0.01 * acceleration
            mask = poisson(
                shape,
                acceleration,
                calib=square,
                dtype=bool,
                seed=next(seeds["sigpy"]),
                tol=tolerance,
            )
            found["sigpy"].append(int(mask.sum()))

        result = ratios(
            sigpy, ours, repeats=options.seeds, warmup=2
        )  # warm: sigpy compiles at its first call
        off = {
            name: np.abs(np.prod(shape) / np.array(counts) / acceleration - 1).max()
            for name, counts in found.items()
        }
        print(
            f"{acceleration:>2}x  sigpy {result['reference'] * 1e3:7.0f} ms, off by"
            f" {off['sigpy']:6.2%} at most  ours {result['candidate'] * 1e3:5.0f} ms, off by"
            f" {off['ours']:6.2%}  ours / sigpy {result['ratio']:.3f}"
        )


if __name__ == "__main__":
    main()
