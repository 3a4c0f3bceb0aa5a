"""Interleaved timing: the candidates take turns, so that a drift of the machine's speed meets all
of them alike.
"""

import ctypes
import statistics
import time
from collections.abc import Callable


def ratios(
    reference: Callable[[], object],
    candidate: Callable[[], object],
    repeats: int = 31,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of both and the median of the pairwise ratios candidate / reference.

    clock: time.process_time for what one thread does on a machine that others use as well.
    """
    for _ in range(warmup):
        reference(), candidate()
    times = []
    for _ in range(repeats):
        pair = []
        for call in (reference, candidate):
            begin = clock()
            call()
            pair.append(clock() - begin)
        times.append(pair)
    return {
        "reference": statistics.median(pair[0] for pair in times),
        "candidate": statistics.median(pair[1] for pair in times),
        "ratio": statistics.median(pair[1] / pair[0] for pair in times),
    }


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, as a long-lived process comes to do by itself, so that
    both sides reuse warm pages.

    Without it a large result may be given back to the system and faulted in anew at every call,
    which costs as much as an FFT and strikes whichever side the allocator happens to choose. Only
    on Linux's glibc; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3
    mallopt(mmap_threshold, 2**30)
    mallopt(trim_threshold, 2**31 - 1)
