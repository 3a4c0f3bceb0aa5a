"""The shell command `deqlab`: finds the command, reads its words, and turns bad input into one
line.

A command is a module `deqlab/app/commands/<name>.py` with a click command `COMMAND`. Only the named
one is imported, so that help and typing errors answer at once.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

import click

from deqlab.app.ending import Ended, end_as_told, ended_by_signals
from deqlab.app.streams import usable_streams
from deqlab.core.errors import InputError, one_line_warnings
from deqlab.core.spelling import nearest

COMMANDS = {
    "run": "run the notebooks without a browser and collect their figures and results",
    "train": "train a model",
    "evaluate": "measure models on a data set, volume by volume",
    "sweep": "train or run a notebook for every cell of a grid, and compare",
    "reconstruct": "reconstruct a k-space file",
    "data": "make, list and check data sets",
}
BAD_INPUT, INTERRUPTED = 2, 130


class UsageError(InputError):
    """The words on the command line cannot be understood."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of the command: 0 done, 1 something failed, 2 bad input, 130 interrupted.
    Told to end by SIGTERM or SIGHUP, the process cleans up and ends by that signal.

    argv: the words after `deqlab`; those of this process when None. `--debug` may stand anywhere
    among them and shows tracebacks.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    usable_streams()
    try:
        with ended_by_signals():
            return _status(words, debug)
    except Ended as ended:
        print(f"deqlab: error: ended by {ended}", file=sys.stderr)
        end_as_told(ended)
        return 128 + ended.number


def _status(words: list[str], debug: bool) -> int:
    """The exit status; what is wrong is one line."""
    with warnings.catch_warnings():
        one_line_warnings()
        try:
            status = _dispatch(words)
            sys.stdout.flush()
            return status
        except InputError as error:
            return _fail(str(error), BAD_INPUT, debug)
        except click.ClickException as error:
            return _fail(error.format_message(), BAD_INPUT, debug)
        except BrokenPipeError:
            # the reader of the output has gone (`deqlab data list | head`): nothing is wrong
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            return _fail(_describe(error), 1, debug)
        except Ended:
            raise
        except (KeyboardInterrupt, click.Abort):
            return _fail("interrupted", INTERRUPTED, debug)


def _dispatch(words: list[str]) -> int:
    """The status of the command that the first word names, after the options before it."""
    if words[:1] in (["--version"], ["-V"]):
        from importlib.metadata import version

        print(f"deqlab {version('deqlab')}")
        return 0
    if words[:1] in (["--help"], ["-h"]):
        print(_help())
        return 0
    if not words:
        print(_help(), file=sys.stderr)
        return BAD_INPUT
    name = words[0]
    if name.startswith("-"):
        hint = nearest(name, ("--help", "--version", "--debug"))
        raise UsageError(f"unknown option {name}{hint} (see `deqlab --help`)")
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"
        raise UsageError(f"no command `{name}`{hint}")
    module = importlib.import_module(f"deqlab.app.commands.{name}")
    command: click.Command = module.COMMAND
    # Not by click's own `main`, which has other ideas about closed pipes and interrupts.
    try:
        with command.make_context(f"deqlab {name}", words[1:]) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return int(done.exit_code)


def _help() -> str:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return (
        "Usage: deqlab [--help] [--version] [--debug] COMMAND ...\n\n"
        "Deep equilibrium models for accelerated MRI.\n\n"
        f"commands:\n{listing}\n\n"
        "`deqlab COMMAND --help` tells more. `--debug` shows a traceback with an error."
    )


def _describe(error: OSError) -> str:
    """One line that names the file and what is wrong with it."""
    reason = error.strerror or str(error) or type(error).__name__
    name = error.filename2 or error.filename
    return f"{name}: {reason}" if name else reason


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        raise  # the traceback says more than the line
    print(f"deqlab: error: {' '.join(message.split())}", file=sys.stderr)
    return status
