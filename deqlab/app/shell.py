"""How a command of the shell reads its words: flags that follow from options, values without end, a
page of help for every model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import click

from deqlab.core.errors import InputError
from deqlab.core.options import default_of, hints, names_of, sentence
from deqlab.core.registry import Registry
from deqlab.core.spelling import nearest


class Command(click.Command):
    """A command that tells the nearest flag for a wrong one, takes several values after a flag that
    may be repeated, and explains a model's options when it is asked for help with `--model NAME`.

    moved: what to write in place of flags that there were once; those that became one option of
    `--set` are still understood. later: further parameters, made when the command is used, for what
    takes long to import.
    """

    def __init__(
        self,
        *args: Any,
        moved: Mapping[str, str] | None = None,
        pages: Callable[[str], str] | None = None,
        later: Callable[[], list[click.Parameter]] | None = None,
        **named: Any,
    ):
        super().__init__(*args, **named)
        self.moved, self.pages, self.later = moved or {}, pages, later

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after `--model a b` became `--model a --model b`."""
        ctx.meta["words"] = list(args)
        if self.later is not None:
            self.params, self.later = [*self.params, *self.later()], None
        try:
            words = spread(as_now(args, self.moved), self.params)
            self._refuse_twice(ctx, words)
            return super().parse_args(ctx, words)
        except click.NoSuchOption as error:
            name = error.option_name
            if name in self.moved:
                raise InputError(f"{name}: is now written {self.moved[name]}") from None
            known = [word for parameter in self.params for word in parameter.opts]
            hint = nearest(name, known)
            see = f"(see `{ctx.command_path} --help`)"
            raise InputError(f"unknown option {name}{hint} {see}") from None

    def _refuse_twice(self, ctx: click.Context, words: list[str]) -> None:
        """InputError where an option that has one value is given several: none is dropped."""
        _, _, order = self.make_parser(ctx).parse_args(list(words))
        for parameter in order:
            once = isinstance(parameter, click.Option) and not (
                parameter.multiple or parameter.count or parameter.is_flag
            )
            if once and order.count(parameter) > 1:
                given = _values_of(parameter.opts[0], words)
                raise InputError(
                    f"{parameter.opts[0]}: {' and '.join(given)} given, one needed;"
                    " for another call the command again"
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The pages of the models that were named beside --help."""
        super().format_epilog(ctx, formatter)
        words = ctx.meta.get("words", [])
        for name in _values_of("--model", words):
            if self.pages is not None:
                formatter.write(f"\n{name}:\n")
                formatter.write("".join(f"  {line}\n" for line in self.pages(name).splitlines()))


class Group(click.Group):
    """Commands of a command; the nearest one is told for a wrong name."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, but for the message."""
        if args and args[0] not in self.commands:
            what = "option" if args[0].startswith("-") else "command"
            hint = nearest(args[0], self.commands) or f"; there are {', '.join(self.commands)}"
            raise InputError(f"{ctx.command_path}: no {what} `{args[0]}`{hint}")
        return super().resolve_command(ctx, args)


def as_now(words: Sequence[str], moved: Mapping[str, str]) -> list[str]:
    """The words with flags of old that stand for one option written as now:
    `--set denoiser.depth=5` for `--depth 5` or `--depth=5`. One without a value stays.
    """
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        now = moved.get(flag, "")
        follows = bool(rest) and not rest[0].startswith("--")
        if now.endswith("=VALUE") and "NAME" not in now and (equals or follows):
            value = value if equals else rest.pop(0)
            found += now.replace("VALUE", value).split(" ", 1)
        else:
            found.append(word)
    return found


def spread(words: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """The words with each value of a repeatable flag behind a flag of its own."""
    repeatable = [p for p in parameters if getattr(p, "multiple", False) and p.nargs == 1]
    several = {flag for parameter in repeatable for flag in parameter.opts}
    found, current, first = [], "", True
    for word in words:
        if word.startswith("--"):
            current, first = (word, True) if word in several else ("", True)
        elif current and not first:
            found.append(current)
        if current and word != current:
            first = False
        found.append(word)
    return found


def _values_of(flag: str, words: Sequence[str]) -> list[str]:
    found, taking = [], False
    for word in words:
        if word.startswith("-"):
            taking = word == flag
            found += [word.partition("=")[2]] if word.startswith(f"{flag}=") else []
        elif taking:
            found.append(word)
    return found


def page_of(model: str) -> str:
    """The options that may be set of a model that is to be used, a name or a card."""
    from deqlab.recon import weights

    return weights.page_of(model)


class NameOf(click.ParamType):
    """A name in a registry; the registry's own error for any other."""

    def __init__(self, registry: Registry[Any]):
        self.registry, self.name = registry, registry.what

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The name itself."""
        return self.registry.checked(value) if isinstance(value, str) else value

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The names."""
        return f"[{'|'.join(self.registry)}]"


class OneOf(click.Choice):
    """One of some words; the nearest one is told for any other."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The word itself."""
        if value not in self.choices:
            listed = ", ".join(map(str, self.choices))
            self.fail(f"{value!r} given{nearest(value, self.choices)}; one of {listed} needed")
        return value


def flags(kind: type, names: Iterable[str], types: Mapping[str, Any] | None = None) -> list[Any]:
    """A flag for each of the options `names` of a class made by `options`.

    types: of click, for options whose own type says too little, such as names from a registry.
    """
    known = hints(kind)
    return [_flag(kind, name, known[name], (types or {}).get(name)) for name in names]


def _flag(kind: type, name: str, hint: Any, given: Any) -> click.Option:
    default, base = default_of(kind, name), _plain(hint)
    several = get_origin(base) is tuple
    inner = _plain(get_args(base)[0]) if several else base
    shown = " ".join(map(str, default)) if several and default is not None else default
    text = sentence(kind, name)
    if default is not None and default is not dataclasses.MISSING and given is None:
        text += f" (default: {shown})"
    return click.Option(
        [f"--{name.replace('_', '-')}"],
        type=given or _type(inner, hint),
        multiple=several,
        # What was not said is not passed on, so that every default stands in one place.
        default=() if several else None,
        show_default=False,
        help=text,
    )


def _plain(hint: Any) -> Any:
    """A type without its limits and without None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    parts = [part for part in get_args(hint) if part is not NoneType]
    optional = NoneType in get_args(hint)
    return _plain(parts[0]) if optional and len(parts) == 1 else hint


def _type(inner: Any, hint: Any) -> Any:
    if get_origin(inner) is Literal:
        return OneOf([str(value) for value in get_args(inner)])
    known = {int: click.INT, float: click.FLOAT, bool: click.BOOL}
    return known.get(inner, click.STRING)


def said(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given: those without a value are left to their defaults."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def settings(words: Sequence[str], models: Sequence[str]) -> dict[str, dict[str, str]]:
    """Options by model, from words NAME=VALUE where there is one model, and MODEL.NAME=VALUE in any
    case.
    """
    found: dict[str, dict[str, str]] = {model: {} for model in models}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(f"--set {word}: NAME=VALUE needed, such as weight=0.003")
        model = max((m for m in models if key.startswith(f"{m}.")), key=len, default=None)
        if model is not None:
            found[model][_within(model, key)] = value
        elif len(models) == 1:
            found[models[0]][key] = value
        elif "." in key:
            first = key.partition(".")[0]
            raise InputError(
                f"--set {word}: {first} is not among the models{nearest(first, models)}; these are"
                f" {', '.join(models)}"
            )
        else:
            raise InputError(
                f"--set {word}: of which of {', '.join(models)}? {models[0]}.{word} would be an"
                " answer"
            )
    return found


def _within(model: str, key: str) -> str:
    """What `key`, which begins with the model's name, says of the model: "weight" for
    "wavelet.weight", but all of "wavelet.levels", for the model's own option is called as it is.
    """
    from deqlab.recon.registry import METHODS

    rest = key[len(model) + 1 :]
    known = names_of(METHODS.options(model)) if model in METHODS else []
    return key if model in known and rest.partition(".")[0] not in known else rest


def labels(models: Sequence[str]) -> dict[str, str]:
    """What each model is called: a card by its stem, unless two would be called alike.
    InputError for a model that is given twice.
    """
    stems = [Path(name).stem for name in models]
    for name in models:
        if models.count(name) > 1:
            raise InputError(f"--model: {name} is given {models.count(name)} times, once needed")
    return {name: name if stems.count(stem) > 1 else stem for name, stem in zip(models, stems)}


SET = click.Option(
    ["--set", "words"],
    multiple=True,
    metavar="[MODEL.]NAME=VALUE",
    help="an option of a model, such as weight=0.003 or denoiser.width=32; `--model NAME --help`"
    " explains them; may be repeated",
)
DEVICE = click.Option(
    ["--device"],
    type=OneOf(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="where to compute",
)
