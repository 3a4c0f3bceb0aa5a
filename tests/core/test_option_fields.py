"""Options: what every kind of field takes, what it says of what it does not take, and what follows
from a class of them: words of the shell, JSON, a page of help.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Lt

from deqlab.core.errors import InputError
from deqlab.core.option_types import fitting, needs
from deqlab.core.options import (
    Count,
    NonNegative,
    Number,
    Options,
    Positive,
    Share,
    Whole,
    adjustable,
    adjustables,
    default_of,
    hints,
    names_of,
    option,
    options,
    page,
    required,
    sentence,
    to_json,
    updated,
)
from deqlab.core.registry import Registry


@options
class Round(Options):
    """A choice with options of its own."""

    radius: Positive = option(1.0, "from the centre to the border")
    holes: Whole = option(0, "how many")


@options
class Square(Options):
    """A choice without any."""


SHAPES: Registry[Any] = Registry("shape", {"round": Round, "square": Square})


@dataclass(frozen=True)
class Plain:
    """A dataclass that checks no types, as solvers are."""

    memory: int = 3
    damping: float = 1.0
    restart: bool = False
    inner: Round | None = None
    drawn: object = None
    hidden: list = field(init=False, default_factory=list)


PLAINS: Registry[Any] = Registry("plain", {"plain": Plain})


@options
class Everything:
    """A field of every kind."""

    length: Positive = option(1.5, "how long it is")
    weight: NonNegative = option(0.0, "how heavy")
    shift: Number = option(-1.0, "to the right")
    share: Share = option(0.5, "of the whole")
    open: Annotated[float, Gt(0), Lt(1)] = option(0.1, "inside an interval")
    count: Count = option(2, "how many")
    whole: Whole = option(0, "how many, or none")
    truth: bool = option(False, "whether")
    word: Literal["one", "other"] = option("one", "which of two words")
    text: str = option("text", "any words")
    pair: tuple[Count, Positive] = option((1, 2.0), "two of different kinds")
    several: tuple[Number, ...] = option((4.0, 8.0), "any number of them")
    maybe: Positive | None = option(None, "a number or nothing")
    label: Literal["group"] | None = option(None, "a word or nothing")
    shape: Annotated[Any, SHAPES] = option(Round(), "a choice with options")
    other: Annotated[Any, SHAPES] | None = option(None, "a choice or nothing")
    plain: Annotated[Any, PLAINS] = option(Plain(), "a choice that checks no types")


@options
class Needy:
    """One option has no default."""

    first: Count = required("without a default")
    second: Count = option(2, "with one")


@options
class Ordered:
    """What no single field can tell is told after all fields."""

    low: Number = option(0.0, "the lower end")
    high: Number = option(1.0, "the upper end")

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise InputError(f"low: {self.low} given, at most high = {self.high} needed")


GOOD = {
    "length": [1e-9, 3, 1e30],
    "weight": [0, 0.0, 2.5],
    "shift": [-1e9, 0, 3],
    "share": [0, 1, 0.25],
    "open": [0.001, 0.999],
    "count": [1, 10**6],
    "whole": [0, 3],
    "truth": [True, False],
    "word": ["one", "other"],
    "text": ["", "any"],
    "pair": [(3, 0.5), [3, 0.5]],
    "several": [(), (1,), [1.0, 2.0, 3.0]],
    "maybe": [None, 2.0],
    "label": [None, "group"],
    "shape": ["square", Round(2.0), {"name": "round", "holes": 3}],
    "other": [None, "round", Square()],
    "plain": ["plain", Plain(5), {"name": "plain", "memory": 4}],
}


@pytest.mark.parametrize("name", names_of(Everything))
def test_what_a_field_may_have_it_takes(name: str) -> None:
    for value in GOOD[name]:
        taken = getattr(Everything(**{name: value}), name)
        expected = tuple(value) if isinstance(value, list) else value
        if name in ("shape", "other", "plain") and value is not None:
            expected = (PLAINS if name == "plain" else SHAPES).parse(value)
        assert taken == expected and not isinstance(taken, list)


NUMBER = "a finite number"
BAD = [
    ("length", 0, f"length: 0 given, {NUMBER} > 0 needed"),
    ("length", math.nan, f"length: nan given, {NUMBER} > 0 needed"),
    ("length", math.inf, f"length: inf given, {NUMBER} > 0 needed"),
    ("length", None, f"length: None given, {NUMBER} > 0 needed"),
    ("length", True, f"length: True given, {NUMBER} > 0 needed"),
    ("length", "long", f"length: 'long' given, {NUMBER} > 0 needed"),
    ("weight", -1e-9, f"weight: -1e-09 given, {NUMBER} >= 0 needed"),
    ("weight", math.nan, f"weight: nan given, {NUMBER} >= 0 needed"),
    ("shift", -math.inf, f"shift: -inf given, {NUMBER} needed"),
    ("share", 1.01, f"share: 1.01 given, {NUMBER} >= 0 and <= 1 needed"),
    ("open", 1, f"open: 1 given, {NUMBER} > 0 and < 1 needed"),
    ("open", math.nan, f"open: nan given, {NUMBER} > 0 and < 1 needed"),
    ("count", 0, "count: 0 given, a whole number >= 1 needed"),
    ("count", 1.5, "count: 1.5 given, a whole number >= 1 needed"),
    ("count", True, "count: True given, a whole number >= 1 needed"),
    ("count", math.nan, "count: nan given, a whole number >= 1 needed"),
    ("whole", -1, "whole: -1 given, a whole number >= 0 needed"),
    ("truth", "perhaps", "truth: 'perhaps' given, true or false needed"),
    ("truth", 2, "truth: 2 given, true or false needed"),
    ("word", "othr", "word: 'othr' given, did you mean other?; one of one, other needed"),
    ("word", 3, "word: 3 given, one of one, other needed"),
    ("label", "grup", "label: 'grup' given, did you mean group?; one of group or None needed"),
    ("text", None, "text: None given, a word needed"),
    ("several", 4, f"several: 4 given, several, each {NUMBER} needed"),
    ("maybe", -2.0, f"maybe: -2.0 given, {NUMBER} > 0 or None needed"),
    ("maybe", False, f"maybe: False given, {NUMBER} > 0 or None needed"),
    ("shape", "roud", "shape: unknown shape 'roud', did you mean round?; valid: round, square"),
    ("shape", 3, "shape: 3 given, one of round, square needed"),
    ("shape", None, "shape: None given, one of round, square needed"),
    ("other", "cube", "other: unknown shape 'cube'; valid: round, square"),
    ("shape", {"name": "round", "holes": -1}, "shape: holes: -1 given, a whole number >= 0 needed"),
    (
        "shape",
        {"name": "round", "hole": 1},
        "shape: Round: unknown option 'hole', did you mean holes?; valid: radius, holes",
    ),
    ("plain", {"name": "plain", "memory": "few"}, "plain: memory: 'few' given, a whole number"),
    ("plain", {"name": "plain", "memori": 2}, "plain: Plain: unknown option 'memori', did you"),
]


@pytest.mark.parametrize("name, value, message", BAD, ids=str)
def test_what_it_may_not_have_is_told_in_one_line(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        Everything(**{name: value})
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value", [(0, 2.0), (1, 0.0), (1,), (1, 2.0, 3.0), (math.nan, 1.0), "ab"], ids=str
)
def test_a_tuple_is_judged_part_by_part(value: object) -> None:
    with pytest.raises(InputError, match=r"^pair: .*a whole number >= 1, a finite number > 0"):
        Everything(pair=value)


def test_options_that_there_are_not_and_values_too_many() -> None:
    with pytest.raises(InputError, match="^Needy: unknown option 'secnd', did you mean second.;"):
        Needy(1, secnd=2)
    with pytest.raises(InputError, match="^Needy: 2 values given, at most 2 options taken|3 "):
        Needy(1, 2, 3)
    with pytest.raises(InputError, match="^first: none given, a whole number >= 1 needed$"):
        Needy()
    with pytest.raises(InputError, match="^first: 0 given, a whole number >= 1 needed$"):
        Needy(0)
    assert Needy(1, second=3) == Needy(first=1, second=3)


def test_what_no_single_field_can_tell_is_told_as_it_is() -> None:
    with pytest.raises(InputError, match="^low: 3.0 given, at most high = 1.0 needed$"):
        Ordered(low=3)
    with pytest.raises(InputError, match="^low: 3.0 given"):
        updated(Ordered(), {"low": "3"})


def test_options_are_frozen_and_equal_by_value() -> None:
    one = Everything()
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.length = 2.0
    assert one == Everything() != Everything(length=2.0)
    assert dataclasses.replace(one, length=2.0).length == 2.0
    with pytest.raises(InputError, match="^length: -1 given"):
        dataclasses.replace(one, length=-1)


def test_options_beside_a_class_are_taken_whole_or_field_by_field() -> None:
    whole = Round(2.0, 1)
    assert Round.of(whole) is whole and Round.of(2.0, holes=1) == whole and Round.of() == Round()


def test_words_of_the_shell_set_options() -> None:
    words = {
        "length": "3",
        "whole": "7",
        "truth": "true",
        "word": "other",
        "text": "12",
        "pair": "(3, 0.5)",
        "several": "[1, 2]",
        "maybe": "none",
        "label": "group",
        "shape": "square",
        "other": "round",
        "other.holes": "2",
        "plain.memory": "9",
    }
    found = updated(Everything(maybe=1.0), words)
    assert found == Everything(
        length=3.0,
        whole=7,
        truth=True,
        word="other",
        text="12",
        pair=(3, 0.5),
        several=(1.0, 2.0),
        maybe=None,
        label="group",
        shape=Square(),
        other=Round(holes=2),
        plain=Plain(9),
    )
    assert updated(found, {"other": "None"}).other is None
    assert updated(found, {}) == found
    assert updated(Everything(), {"shape.radius": 2, "pair": (3, 1)}) == Everything(
        shape=Round(2.0), pair=(3, 1.0)
    )


def test_the_order_of_words_does_not_matter() -> None:
    words = [("shape.holes", "2"), ("shape", "round"), ("shape.radius", "3"), ("low", "5")]
    start = Everything(shape=Square())
    wanted = Everything(shape=Round(3.0, 2))
    assert updated(start, dict(words[:3])) == updated(start, dict(reversed(words[:3]))) == wanted
    both = {"low": "5", "high": "9"}
    assert updated(Ordered(), both) == updated(Ordered(), dict(reversed(both.items())))


@pytest.mark.parametrize(
    "words, message",
    [
        ({"lenght": "1"}, "unknown option 'lenght', did you mean length?"),
        ({"length": "-1"}, "length: -1 given"),
        ({"shape.hole": "1"}, "shape: unknown option 'hole', did you mean holes?"),
        ({"shape.holes": "x"}, "shape.holes: 'x' given, a whole number >= 0 needed"),
        ({"shape": "cube"}, "unknown shape 'cube'"),
        ({"length.unit": "1"}, "length.unit: length has no options of its own"),
        ({"other.holes": "1"}, "other.holes: other has no options of its own"),
        ({"shape": "square", "shape.holes": "1"}, "shape: unknown option 'holes'"),
        ({"plain.memory": "few"}, "plain.memory: 'few' given, a whole number needed"),
        ({"plain.memory": "True"}, "plain.memory: True given, a whole number needed"),
        ({"plain.memory": "None"}, "plain.memory: None given, a whole number needed"),
        ({"plain.restart": "maybe"}, "plain.restart: 'maybe' given, true or false needed"),
        ({"plain.hidden": "[]"}, "plain: unknown option 'hidden'"),
        ({"plain.inner": "3"}, "plain.inner: 3 given"),
    ],
)
def test_words_that_do_not_fit(words: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        updated(Everything(), words)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_plain_dataclasses_take_what_json_cannot_write_as_it_is() -> None:
    thing = object()
    assert fitting(Plain, {"drawn": thing, "inner": Round(2.0)}) == {
        "drawn": thing,
        "inner": Round(2.0),
    }
    assert fitting(Plain, {"inner": {"radius": 3}, "damping": 1}) == {
        "inner": Round(3.0),
        "damping": 1.0,
    }


def test_json_and_back() -> None:
    given = Everything(pair=(3, 0.5), other=Round(holes=2), plain=Plain(7), label="group")
    plain = to_json(given)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["shape"] == {"name": "round", "radius": 1.0, "holes": 0}
    assert plain["other"]["holes"] == 2 and plain["pair"] == [3, 0.5] and plain["maybe"] is None
    # Of a plain dataclass only what differs, since it may hold what JSON cannot.
    assert plain["plain"] == {"name": "plain", "memory": 7}
    assert Everything(**plain) == given


def test_the_page_explains_every_option() -> None:
    lines = page(Everything).splitlines()
    for name in names_of(Everything):
        at = lines.index(f"{name}: {sentence(Everything, name)}")
        assert needs(hints(Everything)[name]) in lines[at + 1]
    assert "    a finite number > 0 (default: 1.5)" in lines
    assert "    one of round, square (default: round)" in lines
    assert "    shape.holes: how many" in lines
    assert "    whole number" not in page(Needy) and "(default" not in page(Needy).splitlines()[1]
    assert page(Square) == ""
    assert not any(line != line.rstrip() for line in lines)


def test_defaults_and_sentences_are_those_of_the_fields() -> None:
    assert default_of(Needy, "first") is dataclasses.MISSING and default_of(Needy, "second") == 2
    assert sentence(Needy, "first") == "without a default" and sentence(Plain, "memory") == ""
    assert names_of(Plain) == ["memory", "damping", "restart", "inner", "drawn"]
    with pytest.raises(InputError, match="count: 0 given"):

        @options
        class Wrong:
            count: Count = option(0, "a default that its own field refuses")

        Wrong()


def test_what_belongs_to_the_user_is_told_from_what_was_learned() -> None:
    @options
    class Learned:
        width: Whole = option(3, "of the network")
        taste: Positive = adjustable(1.0, "of the user")

    @options
    class More(Learned):
        depth: Whole = option(2, "of the network")

    assert adjustables(Learned) == adjustables(More) == ["taste"] and adjustables(Plain) == []
    assert sentence(More, "taste") == "of the user" and More().taste == 1.0
    with pytest.raises(InputError, match="taste: -1"):
        More(taste=-1)
    assert page(More, names=["taste"]).splitlines()[0] == "taste: of the user"
    assert len(page(More, names=["taste"]).splitlines()) == 2
