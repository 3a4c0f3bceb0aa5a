"""What the shell makes of words: values without end, options by model, flags that follow from
options, what moved, and pages of help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from annotated_types import Gt

from deqlab.app.cli import main
from deqlab.app.shell import Command, NameOf, OneOf, as_now, flags, said, settings, spread
from deqlab.core.errors import InputError
from deqlab.core.options import (
    Count,
    Number,
    Positive,
    adjustables,
    names_of,
    option,
    options,
    required,
    sentence,
)
from deqlab.losses.registry import LOSSES
from deqlab.recon.registry import METHODS, create, trainable
from deqlab.recon.weights import save
from deqlab.training.objectives.registry import OBJECTIVES

MODEL = click.Option(["--model"], multiple=True)
SLICES = click.Option(["--slices"], type=int, multiple=True)
PAIRS = click.Option(["-p", "--parameter"], nargs=2, multiple=True)
SEED = click.Option(["--seed"], type=int)
SOURCE = click.Argument(["source"])
PARAMETERS = [MODEL, SLICES, PAIRS, SEED, SOURCE]


@pytest.mark.parametrize(
    "words, expected",
    [
        ("", ""),
        ("in.h5", "in.h5"),
        ("--model a", "--model a"),
        ("--model a b c", "--model a --model b --model c"),
        ("--model a b --seed 3", "--model a --model b --seed 3"),
        ("--model a --model b c", "--model a --model b --model c"),
        ("--model a b --slices 1 -2", "--model a --model b --slices 1 --slices -2"),
        ("--seed 3 in.h5", "--seed 3 in.h5"),
        ("-p a 1 -p b 2", "-p a 1 -p b 2"),
        ("--parameter a 1 in.h5", "--parameter a 1 in.h5"),
        ("--model", "--model"),
        ("--model=a b", "--model=a b"),
    ],
)
def test_values_without_end(words: str, expected: str) -> None:
    assert spread(words.split(), PARAMETERS) == expected.split()


def test_settings_go_to_their_models() -> None:
    assert settings(["a=1", "b.c=2"], ["tv"]) == {"tv": {"a": "1", "b.c": "2"}}
    assert settings(["tv.a=1"], ["tv"]) == {"tv": {"a": "1"}}
    words = ["cg-sense.weight=1", "tv.solver.memory=3", "tv.weight=x=y"]
    assert settings(words, ["tv", "cg-sense", "grappa"]) == {
        "tv": {"solver.memory": "3", "weight": "x=y"},
        "cg-sense": {"weight": "1"},
        "grappa": {},
    }
    # A card of weights has a dot in its name.
    assert settings(["runs/a.json.weight=1"], ["runs/a.json", "tv"])["runs/a.json"] == {
        "weight": "1"
    }
    assert settings(["a=1", "a=2"], ["tv"]) == {"tv": {"a": "2"}}


@options
class Chosen:
    """Options as commands have them."""

    rate: Positive = option(0.5, "how fast")
    steps: Count = option(3, "how many")
    truth: bool = option(False, "whether")
    kind: Literal["one", "two"] = option("one", "which")
    loss: Annotated[Any, LOSSES] = option(LOSSES.make("l1"), "by name")
    accelerations: tuple[Number, ...] = option((4, 8), "each apart")
    maybe: Annotated[float, Gt(0)] | None = option(None, "or not")
    center_fraction: Number = required("of the lines")


@pytest.fixture
def parsed():
    """`parsed(words)`: what a command with the flags of `Chosen` passes on."""

    def parse(words: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        made = flags(Chosen, names_of(Chosen), {"loss": NameOf(LOSSES)})
        command = Command("try", callback=lambda **given: seen.update(given), params=made)
        with command.make_context("try", words.split()) as context:
            command.invoke(context)
        return said(seen)

    return parse


def test_flags_follow_from_options(parsed) -> None:
    assert parsed("") == {}
    words = "--rate 2 --steps 4 --truth true --kind two --loss l2 --accelerations 2 6.5"
    assert parsed(f"{words} --maybe 1e-3 --center-fraction 0.1") == {
        "rate": 2.0,
        "steps": 4,
        "truth": True,
        "kind": "two",
        "loss": "l2",
        "accelerations": (2.0, 6.5),
        "maybe": 1e-3,
        "center_fraction": 0.1,
    }
    assert parsed("--rate 0") == {"rate": 0.0}


def test_the_help_of_a_flag_is_the_sentence_of_its_option() -> None:
    made = {flag.name: flag.help for flag in flags(Chosen, names_of(Chosen))}
    assert made["rate"] == "how fast (default: 0.5)"
    assert made["accelerations"] == "each apart (default: 4 8)"
    assert made["maybe"] == "or not" and made["center_fraction"] == "of the lines"


@pytest.mark.parametrize(
    "words, error, parts",
    [
        ("--stpes 3", InputError, ["unknown option --stpes, did you mean --steps?", "try --help"]),
        ("--steps few", click.ClickException, ["--steps", "'few' is not a valid integer"]),
        ("--rate x", click.ClickException, ["--rate", "'x' is not a valid float"]),
        ("--kind tow", click.ClickException, ["--kind", "did you mean two?", "one, two needed"]),
        ("--loss l3", InputError, ["unknown loss 'l3'", "valid: l1, l2"]),
        ("extra", click.ClickException, ["extra"]),
    ],
)
def test_words_that_no_flag_takes(parsed, words: str, error: type, parts: list[str]) -> None:
    with pytest.raises(error) as raised:
        parsed(words)
    caught = raised.value
    text = caught.format_message() if isinstance(caught, click.ClickException) else str(caught)
    assert all(part in text for part in parts), text


def test_what_is_no_word_of_a_list_is_told_the_nearest() -> None:
    with pytest.raises(click.BadParameter, match="'tset' given, did you mean test.; one of train"):
        OneOf(["train", "val", "test"]).convert("tset", None, None)
    assert OneOf(["train", "val"]).convert("val", None, None) == "val"


MOVED = [
    (["train", "--width"], "--width: is now written --set denoiser.width=VALUE"),
    (["train", "--depth", "--width=4"], "--depth: is now written --set denoiser.depth=VALUE"),
    (["evaluate", "--option", "a=1"], "--option: is now written --set [MODEL.]NAME=VALUE"),
    (
        ["reconstruct", "in.h5", "out.h5", "--model", "tv", "--option", "a=1"],
        "--option: is now written --set NAME=VALUE",
    ),
]


@pytest.mark.parametrize("words, message", MOVED, ids=[f"{w[0]} {m[:12]}" for w, m in MOVED])
def test_flags_that_moved_say_where(words: list[str], message: str, capsys) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"deqlab: error: {message}\n"


@pytest.mark.parametrize(
    "words, now",
    [
        ("--depth 4", "--set denoiser.depth=4"),
        ("--width=4 --loss l1", "--set denoiser.width=4 --loss l1"),
        ("--data a b --step -1e-3", "--data a b --set step=-1e-3"),
        ("--backward-evaluations 8", "--set objective.gradient.max_evaluations=8"),
        ("--depth", "--depth"),
        ("--depth --loss l1", "--depth --loss l1"),
    ],
)
def test_flags_that_became_an_option_are_still_understood(words: str, now: str) -> None:
    from deqlab.app.commands.train import MOVED as moved

    assert as_now(words.split(), moved) == now.split()


def test_a_flag_of_old_reaches_its_option(capsys) -> None:
    assert main(["train", "--depth", "-4"]) == 2
    assert "denoiser.depth: -4 given" in capsys.readouterr().err
    assert main(["evaluate", "--cg-weight", "1"]) == 2
    assert "--set cg-sense.weight=1: cg-sense is not among the models" in capsys.readouterr().err


def test_what_moved_is_there() -> None:
    """Every new spelling names an option of some model and of its objective."""
    from deqlab.app.commands.train import MOVED as moved
    from deqlab.training.config import TrainingConfig

    for name in ("de-grad", "mol"):
        config = TrainingConfig(
            model=name, objective={"name": "equilibrium", "gradient": "implicit"}
        )
        for new in moved.values():
            path = new.removeprefix("--set ").removesuffix("=VALUE")
            with pytest.raises(InputError) as error:
                config.with_words({path: "[]"})
            assert "unknown option" not in str(error.value), (name, path, error.value)


@pytest.mark.parametrize("command", ["train", "evaluate", "reconstruct"])
@pytest.mark.parametrize("name", METHODS.names())
def test_a_models_page_stands_below_the_help(command: str, name: str, capsys) -> None:
    assert main([command, "--model", name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: deqlab {command}")
    below = text.rpartition(f"\n{name}:\n")[2]
    if command == "train" and name not in trainable():
        assert "nothing to train" in below
        return
    kind = METHODS.options(name)
    fixed = command != "train" and name in trainable()
    assert ("trained weights, which fix its" in below) == fixed
    for own in names_of(kind):
        shown = not fixed or own in adjustables(kind)
        assert (f"  {own}: {sentence(kind, own)}\n" in below) == shown
    if command == "train":
        objective = OBJECTIVES.options(METHODS[name].trained_by)
        for own in names_of(objective):
            assert f"  objective.{own}: {sentence(objective, own)}\n" in below


def test_pages_of_several_models_and_none_without_a_name(capsys) -> None:
    assert main(["evaluate", "--model", "tv", "wavelet", "--help"]) == 0
    text = capsys.readouterr().out
    assert "\ntv:\n" in text and "\nwavelet:\n" in text
    assert main(["evaluate", "--model=tv", "--help"]) == 0
    assert "\ntv:\n" in capsys.readouterr().out
    assert main(["evaluate", "--help"]) == 0
    assert "\ntv:\n" not in capsys.readouterr().out
    assert main(["train", "--model", "de-gard", "--help"]) == 2
    assert "did you mean de-grad?" in capsys.readouterr().err


def test_the_page_of_weights_of_ones_own_says_what_they_fix(capsys, tmp_path: Path) -> None:
    card = tmp_path / "mine.json"
    pages = {"de-grad": "fix its options", "de-grad-measured": "fix its other options\n  strength:"}
    for name, words in pages.items():
        save(create(name, denoiser={"name": "dncnn", "depth": 2, "width": 2}), card, {})
        for command in ("evaluate", "reconstruct"):
            assert main([command, "--model", str(card), "--help"]) == 0
            assert f"trained weights, which {words}" in capsys.readouterr().out
