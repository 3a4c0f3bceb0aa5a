"""Options: frozen dataclasses in which every field has a type, a range and a sentence.

    @options
    class TotalVariation(Reconstructor):
        weight: NonNegative = option(2e-3, "of the penalty, relative to max |A^H y|")

From such a class follow its checks and their messages, its JSON (`to_json`), its words in the shell
(`updated`) and its page of help (`page`). Checking is pydantic's; what it finds is told as one
`InputError` that names the option, the value and what would be right. A field may itself be a
choice from a registry, `Annotated[Any, REGISTRY]`, with options of its own.

Over 300 lines: checks, words, JSON and help read one and the same annotations.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Protocol,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import PydanticUndefined

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]

Made = TypeVar("Made")
Cls = TypeVar("Cls", bound=type)


@runtime_checkable
class Choice(Protocol):
    """What stands beside a field in `Annotated[Any, ...]` and knows the values that it may have."""

    def parse(self, value: object) -> Any:
        """The options or object that `value` names; InputError where it names none."""

    def to_json(self, value: object) -> Any:
        """The inverse of `parse`, in JSON's types."""

    def names(self) -> list[str]:
        """All names that `parse` knows."""


def option(default: Any, sentence: str) -> Any:
    """A field with its default and the sentence that explains it; its type holds its limits."""
    return Field(default, description=sentence)


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
                _no_truth_for_numbers(made, values, named)
            check(self, *values, **named)
        except ValidationError as error:
            raise InputError(_one_line(made, error)) from None

    __init__.__wrapped__ = check  # type: ignore[attr-defined]  # the signature of the fields
    made.__init__ = __init__  # type: ignore[method-assign]
    return made  # type: ignore[return-value]


class Options:
    """Base of options that stand beside the class that they make, as `DnCNN.Options`."""

    @classmethod
    def of(cls: type[Made], *values: Any, **named: Any) -> Made:
        """Options from their fields, or the one options object that was given."""
        if len(values) == 1 and isinstance(values[0], cls) and not named:
            return values[0]
        return cls(*values, **named)


def names_of(kind: type) -> list[str]:
    """The names of the options of a class made by `options`."""
    return [item.name for item in dataclasses.fields(kind) if item.init]


def sentence(kind: type, name: str) -> str:
    """What the option `name` is, in its own words; empty where it says nothing."""
    return getattr(_field(kind, name), "description", None) or ""


def default_of(kind: type, name: str) -> Any:
    """The default of the option `name`; `dataclasses.MISSING` where it has none."""
    field = _field(kind, name)
    return dataclasses.MISSING if field.default is PydanticUndefined else field.default


def _field(kind: type, name: str) -> Any:
    checked = getattr(kind, "__pydantic_fields__", None)
    plain = {item.name: item for item in dataclasses.fields(kind)}
    return (checked or plain)[name]


def hints(kind: type) -> dict[str, Any]:
    """The annotated type of every option."""
    found = get_type_hints(kind, include_extras=True)
    return {name: found[name] for name in names_of(kind)}


def choice_of(hint: object) -> Choice | None:
    """The registry that a field's type names; None where it is no such choice."""
    if get_origin(hint) in (Union, UnionType):
        return next((found for part in get_args(hint) if (found := choice_of(part))), None)
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Choice)), None)


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

    InputError for an option that there is not, naming the nearest one, and for a word that does not
    fit. All are set at once, so their order does not matter.
    """
    if not words:
        return value
    kind, changes = type(value), {}
    known = hints(kind)
    groups: dict[str, dict[str, Any]] = {}
    for path, word in words.items():
        first, _, rest = path.partition(".")
        groups.setdefault(first, {})[rest] = word
    for name, inside in groups.items():
        if name not in known:
            raise unknown(name, known)
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


def fitting(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as fields of `kind` take them; InputError for an option that there is not, and
    where `kind` is a plain dataclass, which checks no types, for a value that does not fit.
    """
    known, checked = hints(kind), hasattr(kind, "__pydantic_fields__")
    for name in values:
        if name not in known:
            raise unknown(name, known, _name(kind))
    return {n: v if checked else _fitted(n, v, known[n]) for n, v in values.items()}


def _fitted(name: str, value: Any, hint: Any) -> Any:
    """`value`, if it is of a type that neither a word nor JSON can write, or else one that fits."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    inner = next((part for part in parts if dataclasses.is_dataclass(part)), None)
    if isinstance(value, Mapping) and inner is not None:
        return inner(**fitting(inner, value))  # type: ignore[operator, arg-type]
    written = value is None or isinstance(value, (bool, int, float, str, list, tuple, Mapping))
    if not written or object in parts or Any in parts:
        return value
    plain = [part for part in parts if part in (*_KINDS, NoneType) or get_origin(part) is not None]
    plain = [part for part in plain if get_origin(part) is not Callable]
    try:
        if isinstance(value, bool) and bool not in plain:
            raise ValueError
        union: Any = Union[tuple(plain)]  # noqa: UP007
        return TypeAdapter(union).validate_python(value)
    except (ValueError, TypeError):
        raise InputError(f"{name}: {value!r} given, {needs(hint)} needed") from None


def _value(word: Any, choice: Choice | None) -> Any:
    if not isinstance(word, str):
        return word
    if choice is not None:
        return None if word in ("None", "none") else choice.parse(word)
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(word, word)


def unknown(name: str, valid: Mapping[str, Any] | list[str], of: str = "") -> InputError:
    """The error for an option that there is not."""
    listed = ", ".join(valid) or "none"
    hint = nearest(name, valid)
    return InputError(f"{of}{': ' if of else ''}unknown option {name!r}{hint}; valid: {listed}")


def page(kind: type, prefix: str = "") -> str:
    """Every option with its range, its default and its sentence; those of choices indented."""
    lines = []
    for name, hint in hints(kind).items():
        default, choice = default_of(kind, name), choice_of(hint)
        shown = choice.to_json(default)["name"] if choice and is_options(default) else default
        lines.append(f"{prefix}{name}: {sentence(kind, name)}")
        lines.append(
            f"    {needs(hint)}" + ("" if shown is dataclasses.MISSING else f" (default: {shown})")
        )
        if is_options(default):
            lines += [
                f"    {line}" for line in page(type(default), f"{prefix}{name}.").splitlines()
            ]
    return "\n".join(lines)


def needs(hint: Any) -> str:
    """What a value of a type must be, in words: "a finite number > 0"."""
    choice = choice_of(hint)
    if choice is not None:
        return f"one of {', '.join(choice.names())}"
    base, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    inner = get_args(base)
    if get_origin(base) in (Union, UnionType):
        return " or ".join(needs(part) for part in inner)
    if get_origin(base) is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if get_origin(base) in (tuple, list):
        if len(inner) == 2 and inner[1] is Ellipsis:
            return f"several, each {needs(inner[0])}"
        return f"({', '.join(needs(part) for part in inner)})"
    if base is NoneType:
        return "None"
    words = _KINDS.get(base, f"a {_name(base)}")
    limits = [limit for extra in extras for limit in getattr(extra, "metadata", [extra])]
    bounds = [
        f"{sign} {getattr(limit, kind.__name__.lower()):g}"
        for limit in limits
        for kind, sign in _SIGNS
        if isinstance(limit, kind)
    ]
    return f"{words} {' and '.join(bounds)}".strip()


_KINDS = {float: "a finite number", int: "a whole number", bool: "true or false", str: "a word"}
_SIGNS = ((Gt, ">"), (Ge, ">="), (Lt, "<"), (Le, "<="))


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _one_line(kind: type, error: ValidationError) -> str:
    """The first thing that is wrong, in the words of the options and not of the checker."""
    problem = error.errors()[0]
    inner = problem.get("ctx", {}).get("error")
    place = list(problem["loc"])
    known = hints(kind)
    if place and isinstance(place[0], int):
        if problem["type"] == "unexpected_positional_argument":
            return f"{_name(kind)}: {place[0]} values given, at most {len(known)} options taken"
        place[0] = list(known)[place[0]]
    if isinstance(inner, InputError):
        return str(inner) if not place else f"{place[0]}: {inner}"
    if problem["type"] == "unexpected_keyword_argument":
        return str(unknown(str(place[0]), known, _name(kind)))
    if not place:
        return f"{_name(kind)}: {inner or problem['msg']}"
    hint = known[str(place[0])]
    if problem["type"] == "missing_argument" or (problem["type"] == "missing" and len(place) == 1):
        return f"{place[0]}: none given, {needs(hint)} needed"
    value = problem["input"]
    near = nearest(value, _literals(hint)) if isinstance(value, str) else ""
    return f"{place[0]}: {value!r} given{near}{';' if near else ','} {needs(hint)} needed"


def _no_truth_for_numbers(kind: type, values: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """InputError for True or False where a number is wanted: the checker would take 1 or 0."""
    known = hints(kind)
    for name, value in {**dict(zip(known, values)), **named}.items():
        if isinstance(value, bool) and name in known and _numbers_only(known[name]):
            raise InputError(f"{name}: {value!r} given, {needs(known[name])} needed")


def _numbers_only(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _numbers_only(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return all(part is NoneType or _numbers_only(part) for part in get_args(hint))
    return hint in (int, float)


def _literals(hint: Any) -> list[str]:
    """The words that a type spells out, `None` or limits beside them or not."""
    if get_origin(hint) is Literal:
        return [word for word in get_args(hint) if isinstance(word, str)]
    return [word for part in get_args(hint) for word in _literals(part)]
