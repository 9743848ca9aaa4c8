"""The variants of an accuracy study: each method with each rounding and each gradient format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.suite import Method

BASELINE = "last-layer"


@dataclass(frozen=True)
class Options:
    """What is compared, beside methods. The first of each is what the others are held against."""

    roundings: tuple[str, ...]
    gradients: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """The variant that differs in one option alone, and that option's values: `changed` minus `from_`."""

    variant: str
    changed: str
    from_: str


def variants(methods: Sequence[Method], options: Options) -> tuple[Method, ...]:
    """Each method with each rounding and gradient format; both are in its name where there are several.

    The baseline trains float32 weights alone, which neither touches: it appears once.
    """
    return tuple(
        changed(
            method,
            name=_name(method, options, rounding, gradient),
            scheme=method.scheme_name,
            rounding=rounding,
            gradient=gradient,
        )
        for method in methods
        for rounding, gradient in _choices(method, options)
    )


def references(methods: Sequence[Method], options: Options) -> Mapping[str, Reference]:
    """By name of a variant: what it is held against. The first variant of a method is in no entry.

    Another gradient format is held against the first one with the same rounding; another rounding against
    the first one.
    """
    found: dict[str, Reference] = {}
    for method in methods:
        for rounding, gradient in _choices(method, options):
            first_rounding, first_gradient = options.roundings[0], options.gradients[0]
            if gradient != first_gradient:
                other, change = (rounding, first_gradient), (gradient, first_gradient)
            elif rounding != first_rounding:
                other, change = (first_rounding, first_gradient), (rounding, first_rounding)
            else:
                continue
            name = _name(method, options, rounding, gradient)
            found[name] = Reference(_name(method, options, *other), *change)
    return found


def changed(method: Method, **changes: object) -> Method:
    """`method` with other fields, checked."""
    return Method.model_validate({**method.model_dump(), **changes})


def _choices(method: Method, options: Options) -> list[tuple[str, str]]:
    if method.scheme_name == BASELINE:
        return [(options.roundings[0], options.gradients[0])]
    return [(rounding, gradient) for rounding in options.roundings for gradient in options.gradients]


def _name(method: Method, options: Options, rounding: str, gradient: str) -> str:
    if method.scheme_name == BASELINE:
        return method.name
    words = [method.name]
    words += [rounding] if len(options.roundings) > 1 else []
    words += [gradient] if len(options.gradients) > 1 else []
    return " ".join(words)
