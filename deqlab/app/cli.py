"""The shell command `deqlab`: finds the command, reads its options, and turns bad input into one
line.

A command is a module `deqlab/app/commands/<name>.py` with `add_arguments(parser)` and `main(args)
-> int`. Only the named one is imported, so that help and typing errors answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from deqlab.core.errors import InputError, one_line_warnings
from deqlab.core.spelling import nearest

COMMANDS = {
    "run": "run the notebooks without a browser and collect their figures and results",
    "train": "train a model",
    "evaluate": "measure models on a data set, volume by volume",
    "reconstruct": "reconstruct a k-space file",
    "data": "make, list and check data sets",
}
BAD_INPUT, INTERRUPTED = 2, 130


class UsageError(InputError):
    """The words on the command line cannot be understood."""


class Parser(argparse.ArgumentParser):
    """Reads options exactly as they are spelled, and raises `UsageError` instead of ending the
    process.
    """

    def __init__(self, *args: object, **options: object) -> None:
        options.setdefault("allow_abbrev", False)  # a misspelled option must not become another one
        super().__init__(*args, **options)
        # `-p step -1e-3` is a value, not an option: argparse's own pattern misses the exponent
        self._negative_number_matcher = re.compile(r"^-\.?\d")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{_with_suggestion(message)} (see `{self.prog} --help`)")

    def options(self) -> list[str]:
        """All spellings of options, those of nested commands too."""
        found = []
        for action in self._actions:
            found += action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for nested in action.choices.values():
                    found += nested.options()
        return sorted(set(found))


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of the command: 0 done, 1 something failed, 2 bad input, 130 interrupted.

    argv: the words after `deqlab`; those of this process when None. `--debug` may stand anywhere
    among them and shows tracebacks.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with warnings.catch_warnings():
        one_line_warnings()
        try:
            status = _dispatch(words, debug)
            sys.stdout.flush()
            return status
        except InputError as error:
            return _fail(str(error), BAD_INPUT, debug)
        except BrokenPipeError:
            # the reader of the output has gone (`deqlab data list | head`): nothing is wrong
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            return _fail(_describe(error), 1, debug)
        except KeyboardInterrupt:
            return _fail("interrupted", INTERRUPTED, debug)


def _dispatch(words: list[str], debug: bool) -> int:
    """The status of the command that the first word names, after the options before it."""
    first = next(
        (index for index, word in enumerate(words) if not word.startswith("-")), len(words)
    )
    own, rest = words[:first], words[first:]
    parser = Parser(
        prog="deqlab",
        usage="deqlab [-h] [--version] [--debug] COMMAND ...",
        description=_description(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="`deqlab COMMAND --help` tells more. `--debug` shows a traceback with an error.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    chosen = _parse(parser, own)
    if chosen.version:
        from importlib.metadata import version

        print(f"deqlab {version('deqlab')}")
        return 0
    if not rest:
        parser.print_help(sys.stderr)
        return BAD_INPUT
    name = rest[0]
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"
        raise UsageError(f"no command `{name}`{hint}")
    module = importlib.import_module(f"deqlab.app.commands.{name}")
    command = Parser(
        prog=f"deqlab {name}",
        description=(module.__doc__ or COMMANDS[name]).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(command)
    args = _parse(command, rest[1:])
    args.debug = debug
    return int(module.main(args) or 0)


def _parse(parser: Parser, words: list[str]) -> argparse.Namespace:
    """The options, or a `UsageError` that names the first unknown one and its nearest valid
    spelling.
    """
    nested = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    # intermixed: `deqlab run 1 -p seed 3 8` names two notebooks; argparse cannot do that for nested
    # commands
    args, unknown = (parser.parse_known_args if nested else parser.parse_known_intermixed_args)(
        words
    )
    if unknown:
        options = [word for word in unknown if word.startswith("-")] or unknown
        word = options[0].split("=")[0]
        if word.startswith("-"):
            hint = nearest(word, parser.options())
            raise UsageError(f"unknown option {word}{hint} (see `{parser.prog} --help`)")
        raise UsageError(f"unexpected word `{word}` (see `{parser.prog} --help`)")
    return args


def _with_suggestion(message: str) -> str:
    """argparse's message, with the nearest choice where it complains of one."""
    found = re.search(r"invalid choice: '([^']*)'.*\(choose from (.*)\)", message)
    if not found:
        return message
    choices = [choice.strip(" '\"") for choice in found[2].split(",")]
    return message + nearest(found[1], choices)


def _description() -> str:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"Deep equilibrium models for accelerated MRI.\n\ncommands:\n{listing}"


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
