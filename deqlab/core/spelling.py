"""What the user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: object, valid: Iterable[object]) -> str:
    """`, did you mean X?` for the valid word that is nearest to `word`; empty when none is
    close.
    """
    close = difflib.get_close_matches(str(word), [str(choice) for choice in valid], n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""
