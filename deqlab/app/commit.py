"""Which code it was."""

import subprocess
from pathlib import Path


def commit() -> str | None:
    """The commit of the code, where it runs from a git checkout."""
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or None
