"""What the type of an option says: in words, for messages and pages, and of values, where no
checker does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Protocol,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from annotated_types import Ge, Gt, Le, Lt
from pydantic import TypeAdapter

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest


@runtime_checkable
class Choice(Protocol):
    """What stands beside a field in `Annotated[Any, ...]` and knows the values that it may have."""

    def parse(self, value: object) -> Any:
        """The options or object that `value` names; InputError where it names none."""

    def to_json(self, value: object) -> Any:
        """The inverse of `parse`, in JSON's types."""

    def names(self) -> list[str]:
        """All names that `parse` knows."""


def names_of(kind: type) -> list[str]:
    """The names of the options of a class made by `options`."""
    return [item.name for item in dataclasses.fields(kind) if item.init]


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
    words = _KINDS.get(base, f"a {name_of(base)}")
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


def name_of(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def literals(hint: Any) -> list[str]:
    """The words that a type spells out, `None` or limits beside them or not."""
    if get_origin(hint) is Literal:
        return [word for word in get_args(hint) if isinstance(word, str)]
    return [word for part in get_args(hint) for word in literals(part)]


def unknown(name: str, valid: Mapping[str, Any] | list[str], of: str = "") -> InputError:
    """The error for an option that there is not."""
    listed = ", ".join(valid) or "none"
    hint = nearest(name, valid)
    return InputError(f"{of}{': ' if of else ''}unknown option {name!r}{hint}; valid: {listed}")


def fitting(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as fields of `kind` take them; InputError for an option that there is not, and
    where `kind` is a plain dataclass, which checks no types, for a value that does not fit.
    """
    known, checked = hints(kind), hasattr(kind, "__pydantic_fields__")
    for name in values:
        if name not in known:
            raise unknown(name, known, name_of(kind))
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


def no_truth_for_numbers(kind: type, values: tuple[Any, ...], named: Mapping[str, Any]) -> None:
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
