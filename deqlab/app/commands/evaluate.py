"""Measures reconstructors on fully sampled files: PSNR, SSIM and NMSE per volume, and which slices
converged.

All models see the same k-space. The table gives mean and standard deviation over volumes; --json
keeps every volume's row.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows models, data, masks, the solver's budget and the device."""
    from deqlab.signal.sampling.masks import MASKS

    parser.add_argument(
        "--model",
        nargs="+",
        default=["zero-filled", "cg-sense", "de-prox", "de-grad"],
        metavar="NAME",
        help="names, or .json cards of trained weights (default: %(default)s)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="[MODEL.]NAME=VALUE",
        help="of a method without weights, such as wavelet.weight=0.003; may be repeated",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=["builtin"],
        metavar="PATH",
        help="files or folders (default: builtin)",
    )
    parser.add_argument(
        "--split",
        default="test",
        choices=["train", "val", "test"],
        help="of simulated data (default: %(default)s)",
    )
    parser.add_argument("--acceleration", type=float, nargs="+", default=[4.0, 8.0])
    parser.add_argument("--center-fraction", type=float, help="default: follows the acceleration")
    parser.add_argument("--mask", default="random", choices=list(MASKS))
    parser.add_argument(
        "--slices",
        type=int,
        nargs="+",
        metavar="I",
        help="default: 11 to 27 where a volume has them, else all",
    )
    parser.add_argument(
        "--cg-weight",
        type=float,
        default=1e-2,
        help="Tikhonov weight of cg-sense (default: %(default)s)",
    )
    parser.add_argument(
        "--coil-maps",
        default="lowres",
        metavar="HOW",
        help=(
            "lowres, espirit, espirit-cropped (zero in air), walsh, or an HDF5 file (default:"
            " %(default)s)"
        ),
    )
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--max-evaluations", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row there")


def main(args: argparse.Namespace) -> int:
    """Prints the table."""
    from tqdm import tqdm

    from deqlab.app.options import read_options, reconstructor
    from deqlab.core.atomic import atomic_path
    from deqlab.data.files import split_files
    from deqlab.data.prepare.stored_maps import coil_maps_by_name
    from deqlab.evaluation.judge import evaluate, summarise, table_text
    from deqlab.training.config import device_by_name

    device, coil_maps = device_by_name(args.device), coil_maps_by_name(args.coil_maps)
    methods, options = {}, read_options(args.option, args.model)
    for name in args.model:
        given = {"weight": str(args.cg_weight)} if name == "cg-sense" else {}
        method = reconstructor(name, given | options[name])
        if hasattr(method, "max_evaluations"):
            method.tolerance, method.max_evaluations = args.tolerance, args.max_evaluations
        methods[Path(name).stem] = method.to(device)
    files = split_files(args.data, args.split)
    with tqdm(
        total=len(files) * len(methods) * len(args.acceleration), desc="evaluating", unit="volume"
    ) as bar:

        def progress(label: str) -> None:
            bar.set_postfix_str(label)
            bar.update()

        rows = evaluate(
            methods,
            files,
            args.acceleration,
            args.mask,
            args.slices,
            args.seed,
            device,
            args.center_fraction,
            progress,
            coil_maps,
        )
    table = summarise(rows)
    print(table_text(table))
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(
                json.dumps({"summary": table, "rows": [asdict(row) for row in rows]}, indent=1)
                + "\n"
            )
    return 0
