"""The shell command: quick help, one-line errors that name the culprit, and exit statuses."""

from __future__ import annotations

import errno
import subprocess
import sys
import types
import warnings

import click
import pytest

from deqlab.app.cli import COMMANDS, main
from deqlab.app.shell import Command, OneOf
from deqlab.core.errors import DeqlabWarning, InputError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):
    """`command(act)` makes `deqlab data` a command with three options that calls act(args)."""

    def replace(act) -> None:
        stub = types.ModuleType("deqlab.app.commands.data", "A stand-in.")
        stub.COMMAND = Command(
            "data",
            callback=lambda **given: act(types.SimpleNamespace(**given)),
            moved={"--rounds": "--epochs"},
            params=[
                click.Argument(["files"], nargs=-1),
                click.Option(["--epochs"], type=int, default=3),
                click.Option(["--mask"], type=OneOf(["random", "equispaced"])),
            ],
        )
        monkeypatch.setitem(sys.modules, stub.__name__, stub)

    return replace


def raising(error: BaseException):
    def act(args):
        raise error

    return act


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["--version"], ["--nonsense"], ["sense"]]
)
def test_help_and_typing_errors_import_nothing_heavy(words: list[str]) -> None:
    script = f"""if True:
        import sys
        from deqlab.app.cli import main
        try:
            main({words!r})
        except SystemExit:
            pass
        heavy = {{"torch", "numpy", "h5py", "papermill", "nbformat", "nilearn", "lightning"}}
        sys.exit(" ".join(heavy & set(sys.modules)) or 0)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_module_and_installed_command_are_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deqlab", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="deqlab")
    assert script.load() is main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"Usage: deqlab {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trian"], ["no command `trian`", "did you mean train?"]),
        (["zzz"], ["no command `zzz`", "run, train, evaluate, sweep, reconstruct, data"]),
        (["--vresion"], ["--vresion", "did you mean --version?"]),
        (["data", "--epoch", "4"], ["unknown option --epoch,", "did you mean --epochs?"]),
        (["data", "a.h5", "--epcohs=4"], ["unknown option --epcohs,", "did you mean --epochs?"]),
        (["data", "--zzz"], ["unknown option --zzz (see `deqlab data --help`)"]),
        (["data", "--epochs", "few"], ["--epochs", "few"]),
        (["data", "--mask", "randm"], ["--mask", "randm", "did you mean random?"]),
        (["data", "--rounds", "4"], ["--rounds: is now written --epochs"]),
    ],
)
def test_typing_errors_name_the_nearest(
    words, parts, command, capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(AssertionError("the command must not start")))
    assert main(words) == 2
    line = capsys.readouterr().err
    assert line.startswith("deqlab: error: ") and line.count("\n") == 1
    assert all(part in line for part in parts), line


def test_options_and_words_may_alternate(command) -> None:
    seen = []
    command(lambda args: seen.append((args.files, args.epochs)))
    assert main(["data", "a.h5", "--epochs", "-4", "b.h5"]) == 0
    assert seen == [(("a.h5", "b.h5"), -4)]


def test_negative_numbers_with_exponents_are_values(
    command, capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda args: 0)
    assert main(["data", "--epochs", "-1e-3"]) == 2
    assert "'--epochs': '-1e-3' is not a valid integer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            InputError("brain.h5: no dataset\n`kspace`"),
            2,
            "deqlab: error: brain.h5: no dataset `kspace`\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "out.h5"),
            1,
            "deqlab: error: out.h5: No space left on device\n",
        ),
        (OSError("can't read\ndata"), 1, "deqlab: error: can't read data\n"),
        (
            OSError(errno.EACCES, "Permission denied", ".out.partial", None, "out.h5"),
            1,
            "deqlab: error: out.h5: Permission denied\n",
        ),
        (KeyboardInterrupt(), 130, "deqlab: error: interrupted\n"),
    ],
)
def test_errors_are_one_line(
    error, status, line, command, capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(error))
    assert main(["data"]) == status
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("words", [["--debug", "data"], ["data", "--debug"]])
def test_debug_lets_the_traceback_through(words: list[str], command) -> None:
    seen = []

    def act(args) -> None:
        seen.append(args.files)
        raise InputError("x")

    command(act)
    with pytest.raises(InputError):
        main(words)
    assert seen == [()]


def test_a_fault_of_the_program_is_not_hidden(command) -> None:
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["data"])


def test_warnings_are_one_line(command, capsys: pytest.CaptureFixture[str]) -> None:
    def act(args) -> int:
        for name in ("a.h5", "a.h5", "b.h5"):
            warnings.warn(f"{name}: no header;\nsizes are guessed", DeqlabWarning)
        return 0

    command(act)
    assert main(["data"]) == 0
    assert capsys.readouterr().err == (
        "deqlab: warning: a.h5: no header; sizes are guessed\n"
        "deqlab: warning: b.h5: no header; sizes are guessed\n"
    )


def test_status_of_the_command_is_the_exit_status(command) -> None:
    command(lambda args: 1)
    assert main(["data"]) == 1


def test_closed_pipe_is_no_error() -> None:
    script = """if True:
        import sys, types
        from deqlab.app.cli import main
        from deqlab.app.shell import Command
        stub = types.ModuleType("data")
        stub.COMMAND = Command("data", callback=lambda: print("x" * 1_000_000))
        sys.modules["deqlab.app.commands.data"] = stub
        sys.exit(main(["data"]))"""
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        writer.stdout.read(1)
        writer.stdout.close()
        assert writer.stderr.read() == b"" and writer.wait() == 0
