"""A command that is told to end (SIGTERM of a queue, SIGHUP of a closed terminal) cleans up
first.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """The process was told to end by `signal`; whatever cleans up after an interrupt does so."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, the signals raise `Ended` once. One that is ignored (`nohup`) or has a handler stays
    so, and so do all outside the main thread.
    """
    before: dict[int, object] = {}

    def end(number: int, frame: FrameType | None) -> None:
        # A second one shall not cut the cleaning short.
        for known in before:
            signal.signal(known, signal.SIG_IGN)
        raise Ended(number)

    try:
        for number in SIGNALS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, end)
                before[number] = signal.SIG_DFL
    except ValueError:
        before.clear()  # not the main thread
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)


def end_as_told(ended: Ended) -> None:
    """The process ends by its signal, so that whoever waits for it learns of that."""
    signal.signal(ended.number, signal.SIG_DFL)
    os.kill(os.getpid(), ended.number)
