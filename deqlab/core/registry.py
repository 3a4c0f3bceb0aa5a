"""Registries: from a name to what it stands for, one line each.

    LOSSES = Registry("loss", {"l1": L1Loss, "l2": L2Loss})

An entry is a class made by `deqlab.core.options.options`, which is its own options, or a class with
such options as its `Options`, or a `Preset` of either. A field of type `Annotated[Any, LOSSES]` is
then a choice from the registry, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic_core import core_schema

from deqlab.core.errors import InputError
from deqlab.core.option_types import fitting, unknown
from deqlab.core.options import is_options, page, settable, to_json
from deqlab.core.sizes import spelled_out
from deqlab.core.spelling import nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Preset(Generic[T]):
    """A class with some of its options set to other values than their defaults."""

    kind: type[T]
    changes: Mapping[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """Names of one kind of thing. what: the kind, as messages call it. also: further types whose
    objects are taken as they are.
    """

    def __init__(
        self, what: str, entries: Mapping[str, type[T] | Preset[T]], also: tuple[type, ...] = ()
    ):
        self.what, self.also = what, also
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """All names, in the order in which they were registered."""
        return list(self._entries)

    def checked(self, name: str) -> str:
        """`name`, if it is one; else an InputError that names the nearest valid one."""
        if name not in self._entries:
            listed = ", ".join(self._entries)
            hint = nearest(name, self._entries)
            raise InputError(f"unknown {self.what} {str(name)!r}{hint}; valid: {listed}")
        return name

    def __getitem__(self, name: str) -> type[T]:
        """The class that `name` stands for."""
        return self._preset(name).kind

    def options(self, name: str) -> Any:
        """The options class of `name`: the class itself where it is its own."""
        return _options_of(self[name])

    def defaults(self, name: str) -> Any:
        """The options that `name` stands for; InputError where it has some without a default."""
        return self.options(name)(**self._preset(name).changes)

    def make(self, name: str, *values: Any, **named: Any) -> T:
        """The object `name`, with options; InputError for an unknown one."""
        preset = self._preset(name)
        kind = _options_of(preset.kind)
        known = settable(kind)
        for given in named:
            if given not in known:
                raise unknown(given, known, name)
        made: T = preset.kind(*values, **{**preset.changes, **spelled_out(kind, named)})
        return made

    def build(self, value: Any) -> T:
        """The object of what `parse` returns."""
        kind: Any = next((self[n] for n in self if _beside(self[n]) is type(value)), None)
        made: T = value if kind is None else kind(value)
        return made

    def parse(self, value: object) -> Any:
        """Options (or the object that is its own) from a name, from {"name": ..., options}, or from
        what is such already.
        """
        if isinstance(value, str):
            return self.defaults(value)
        if isinstance(value, Mapping) and "name" in value:
            changes = {key: part for key, part in value.items() if key != "name"}
            preset = self._preset(str(value["name"]))
            kind = _options_of(preset.kind)
            return kind(**fitting(kind, {**preset.changes, **spelled_out(kind, changes)}))
        kinds = tuple(self[name] for name in self)
        if isinstance(value, (*kinds, *map(_options_of, kinds), *self.also)):
            return value
        raise InputError(f"{value!r} given, one of {', '.join(self)} needed")

    def name_of(self, value: Any) -> str:
        """The name under which an object or its options are registered; InputError for others."""
        fitting = [n for n in self if type(value) in (self[n], _options_of(self[n]))]
        preset = [n for n in fitting if self._preset(n).changes and self._equals(n, value)]
        if not fitting:
            raise InputError(f"{type(value).__name__}: is none of the registered {self.what}s")
        return (preset or fitting)[0]

    def to_json(self, value: Any) -> dict[str, Any]:
        """{"name": ..., options}, the inverse of `parse`."""
        name = self.name_of(value)
        chosen = value if is_options(value) else value.options
        return {"name": name, **to_json(chosen)}

    def page(self, name: str) -> str:
        """The options of `name`, explained; a sentence where it has none."""
        return page(self.options(name)) or "it has no options"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def _preset(self, name: str) -> Preset[T]:
        entry = self._entries[self.checked(name)]
        return entry if isinstance(entry, Preset) else Preset(entry)

    def _equals(self, name: str, value: Any) -> bool:
        chosen = value if is_options(value) else value.options
        return bool(chosen == self.defaults(name))


def _beside(kind: Any) -> type | None:
    """The options class of a class that is not its own."""
    return getattr(kind, "Options", None)


def _options_of(kind: Any) -> Any:
    return _beside(kind) or kind
