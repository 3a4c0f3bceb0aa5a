"""Options: frozen dataclasses in which every field has a type, a range and a sentence.

    @options
    class TotalVariation(Reconstructor):
        weight: NonNegative = option(2e-3, "of the penalty, relative to max |A^H y|")

From such a class follow its checks and their messages, its JSON (`to_json`), its words in the shell
(`updated`) and its page of help (`page`). Checking is pydantic's; what it finds is told as one
`InputError` that names the option, the value and what would be right. A field may itself be a
choice from a registry, `Annotated[Any, REGISTRY]`, with options of its own. Several options at once
may have a name: `deqlab.core.sizes`.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, dataclass_transform

from annotated_types import Ge
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import PydanticUndefined

from deqlab.core.errors import InputError
from deqlab.core.option_types import (
    Choice,
    choice_of,
    fitting,
    literals,
    name_of,
    needs,
    no_truth_for_numbers,
    unknown,
)
from deqlab.core.option_types import hints as hints
from deqlab.core.option_types import names_of as names_of
from deqlab.core.sizes import SIZE, Sized, page_of_sizes, sizes_of, spelled_out
from deqlab.core.spelling import nearest

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]

ADJUSTABLE = "adjustable"

Made = TypeVar("Made")
Cls = TypeVar("Cls", bound=type)


def option(default: Any, sentence: str) -> Any:
    """A field with its default and the sentence that explains it; its type holds its limits."""
    return Field(default, description=sentence)


def adjustable(default: Any, sentence: str) -> Any:
    """As `option`, of a model with weights, for what belongs to its user and not to what was
    learned: it may be set on trained weights too.
    """
    return Field(default, description=sentence, json_schema_extra={ADJUSTABLE: True})


def required(sentence: str) -> Any:
    """A field without a default."""
    return Field(description=sentence)


_CONFIG = ConfigDict(
    extra="forbid",
    arbitrary_types_allowed=True,
    coerce_numbers_to_str=True,
    # A default is checked too: a field's own sentence must not contradict its value.
    validate_default=True,
)


@dataclass_transform(frozen_default=True, field_specifiers=(required,))  # `option` is a default
def options(cls: Cls) -> Cls:
    """The class as a frozen, checked dataclass; InputError, one line, for values that do not fit.

    It may define `__post_init__` for what no single field can tell; an InputError from there is
    told as it is.
    """
    made = checked_dataclass(cls, frozen=True, config=_CONFIG)
    check = made.__init__

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        try:
            if any(isinstance(value, bool) for value in (*values, *named.values())):
                no_truth_for_numbers(made, values, named)
            check(self, *values, **named)
        except ValidationError as error:
            raise InputError(_one_line(made, error)) from None

    __init__.__wrapped__ = check  # type: ignore[attr-defined]  # the signature of the fields
    made.__init__ = __init__  # type: ignore[method-assign]
    return made  # type: ignore[return-value]


class Options(Sized):
    """Base of options that stand beside the class that they make, as `DnCNN.Options`."""

    @classmethod
    def of(cls: type[Made], *values: Any, **named: Any) -> Made:
        """Options from their fields, or the one options object that was given."""
        if len(values) == 1 and isinstance(values[0], cls) and not named:
            return values[0]
        return cls(*values, **named)


def settable(kind: type) -> list[str]:
    """What words may set: the names of the options, and `size` where there are named sizes."""
    return [*names_of(kind), *([SIZE] if sizes_of(kind) else [])]


def sentence(kind: type, name: str) -> str:
    """What the option `name` is, in its own words; empty where it says nothing."""
    return getattr(_field(kind, name), "description", None) or ""


def adjustables(kind: type) -> list[str]:
    """The names of the options made by `adjustable`."""
    extras = {name: getattr(_field(kind, name), "json_schema_extra", None) for name in hints(kind)}
    return [name for name, extra in extras.items() if extra and ADJUSTABLE in extra]


def default_of(kind: type, name: str) -> Any:
    """The default of the option `name`; `dataclasses.MISSING` where it has none."""
    field = _field(kind, name)
    return dataclasses.MISSING if field.default is PydanticUndefined else field.default


def _field(kind: type, name: str) -> Any:
    checked = getattr(kind, "__pydantic_fields__", None)
    plain = {item.name: item for item in dataclasses.fields(kind)}
    return (checked or plain)[name]


def is_options(value: object) -> bool:
    """Whether a value is an object (and not a class) made by `options`."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def to_json(value: Any) -> dict[str, Any]:
    """All fields in JSON's types; a choice as {"name": ..., its options}. Of a plain dataclass,
    whose fields may hold what JSON cannot, only those that differ from their defaults.
    """
    kind, found = type(value), {}
    for name, hint in hints(kind).items():
        own = getattr(value, name)
        if hasattr(kind, "__pydantic_fields__") or own != default_of(kind, name):
            found[name] = _json(own, choice_of(hint))
    return found


def _json(value: Any, choice: Choice | None) -> Any:
    if choice is not None and value is not None:
        return choice.to_json(value)
    if is_options(value):
        return to_json(value)
    return [_json(part, None) for part in value] if isinstance(value, (tuple, list)) else value


def updated(value: Made, words: Mapping[str, Any]) -> Made:
    """The options with some of them set from words of the shell, {"denoiser.width": "32"}, or from
    values, {"denoiser.width": 32}.

    A named size is what it stands for, and whatever is said beside it counts more. InputError for
    an option that there is not, naming the nearest one, and for a word that does not fit. All are
    set at once, so their order does not matter.
    """
    if not words:
        return value
    kind, changes = type(value), {}
    known = hints(kind)
    groups: dict[str, dict[str, Any]] = {}
    for path, word in spelled_out(kind, words).items():
        first, _, rest = path.partition(".")
        groups.setdefault(first, {})[rest] = word
    for name, inside in groups.items():
        if name not in known:
            raise unknown(name, settable(kind))
        choice = choice_of(known[name])
        own = inside.pop("", None)
        current = getattr(value, name)
        if own is not None:
            # Nested options that are no choice take a word as their first field: wavelet=haar.
            alone = choice is None and is_options(current)
            current = type(current)(_value(own, None)) if alone else _value(own, choice)
        if inside and not is_options(current):
            raise InputError(f"{name}.{next(iter(inside))}: {name} has no options of its own")
        try:
            changes[name] = updated(current, inside) if inside else current
        except InputError as error:
            between = ": " if str(error).startswith("unknown") else "."
            raise InputError(f"{name}{between}{error}") from None
    return dataclasses.replace(value, **fitting(kind, changes))  # type: ignore[type-var]


def _value(word: Any, choice: Choice | None) -> Any:
    if not isinstance(word, str):
        return word
    if choice is not None:
        nothing = word in ("None", "none") and word not in choice.names()
        return None if nothing else choice.parse(word)
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(word, word)


def page(kind: type, prefix: str = "", names: Iterable[str] | None = None) -> str:
    """Every option (or those of `names`) with its range, its default and its sentence; those of
    choices indented. Named sizes come last.
    """
    lines: list[str] = []
    known = hints(kind)
    for name in known if names is None else names:
        hint = known[name]
        default, choice = default_of(kind, name), choice_of(hint)
        shown = choice.to_json(default)["name"] if choice and is_options(default) else default
        lines.append(f"{prefix}{name}: {sentence(kind, name)}".removesuffix(": "))
        lines.append(
            f"    {needs(hint)}" + ("" if shown is dataclasses.MISSING else f" (default: {shown})")
        )
        if is_options(default):
            lines += [
                f"    {line}" for line in page(type(default), f"{prefix}{name}.").splitlines()
            ]
    if names is None:
        lines += page_of_sizes(kind, prefix)
    return "\n".join(lines)


def _one_line(kind: type, error: ValidationError) -> str:
    """The first thing that is wrong, in the words of the options and not of the checker."""
    problem = error.errors()[0]
    inner = problem.get("ctx", {}).get("error")
    place = list(problem["loc"])
    known = hints(kind)
    if place and isinstance(place[0], int):
        if problem["type"] == "unexpected_positional_argument":
            return f"{name_of(kind)}: {place[0]} values given, at most {len(known)} options taken"
        place[0] = list(known)[place[0]]
    if isinstance(inner, InputError):
        return str(inner) if not place else f"{place[0]}: {inner}"
    if problem["type"] == "unexpected_keyword_argument":
        return str(unknown(str(place[0]), known, name_of(kind)))
    if not place:
        return f"{name_of(kind)}: {inner or problem['msg']}"
    hint = known[str(place[0])]
    if problem["type"] == "missing_argument" or (problem["type"] == "missing" and len(place) == 1):
        return f"{place[0]}: none given, {needs(hint)} needed"
    value = problem["input"]
    near = nearest(value, literals(hint)) if isinstance(value, str) else ""
    return f"{place[0]}: {value!r} given{near}{';' if near else ','} {needs(hint)} needed"
