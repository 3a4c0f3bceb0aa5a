"""Hypergradients beside searches: time and work until a hyperparameter is as good as the best one,
on four bilevel problems.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from timing import keep_freed_memory

from deqlab.theory import bilevel

PROBLEMS = {
    "breast-cancer": bilevel.breast_cancer,
    "digits": bilevel.digits,
    "newsgroups-like": bilevel.newsgroups,
    "mri-smoothing": bilevel.reconstruction,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="splits, or slices, masks and noise")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PROBLEMS,
        default=list(PROBLEMS),
        metavar="PROBLEM",
        help=", ".join(PROBLEMS),
    )
    parser.add_argument(
        "--distance",
        type=float,
        default=0.01,
        help="the plateau: so near to the smallest validation loss, relatively",
    )
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/bilevel.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    report = {}
    print(
        f"median (10 % to 90 %) over {options.seeds} seeds; work: gradients and Hessian products;"
        " one thread"
    )
    for name in options.only:
        begin = time.perf_counter()
        comparison = bilevel.compare(PROBLEMS[name], seeds=range(options.seeds))
        report[name] = comparison.summary(options.distance)
        print(
            f"\n{comparison.table(options.distance)}\n({time.perf_counter() - begin:.0f} s)",
            flush=True,
        )
        # Written after every problem, so that an interrupted run leaves what it has.
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{options.json}")


if __name__ == "__main__":
    main()
