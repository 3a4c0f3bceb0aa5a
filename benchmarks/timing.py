"""Interleaved timing: the candidates take turns, so that a drift of the machine's speed meets all of them alike."""

import statistics
import time
from collections.abc import Callable


def ratios(reference: Callable[[], object], candidate: Callable[[], object], repeats: int = 31, warmup: int = 3) -> dict[str, float]:
    """Median seconds of both and the median of the pairwise ratios candidate / reference."""
    for _ in range(warmup):
        reference(), candidate()
    times = []
    for _ in range(repeats):
        pair = []
        for call in (reference, candidate):
            begin = time.perf_counter()
            call()
            pair.append(time.perf_counter() - begin)
        times.append(pair)
    return {
        "reference": statistics.median(pair[0] for pair in times),
        "candidate": statistics.median(pair[1] for pair in times),
        "ratio": statistics.median(pair[1] / pair[0] for pair in times),
    }
