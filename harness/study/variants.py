"""The variants of an accuracy study: each method with each rounding and each gradient format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.results.study import Reference
from harness.suite import Method, variant_name

BASELINE = "last-layer"


@dataclass(frozen=True)
class Options:
    """What is compared, beside methods. The first of each is what the others are held against."""

    roundings: tuple[str, ...]
    gradients: tuple[str, ...]


def variants(methods: Sequence[Method], options: Options) -> tuple[Method, ...]:
    """Each method with each rounding and gradient format; both are in its name where there are several.

    Float32 weights, which are all that the baseline trains, are touched by neither: they appear once.
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
            variant = _name(method, options, *other)
            found[name] = Reference(variant=variant, changed=change[0], from_=change[1])
    return found


def variant_references(names: Sequence[str], variants: Iterable[str]) -> Mapping[str, Reference]:
    """By name of a suite's variant: the method it was made from, where that is among `names`.

    One variant's name may end in another's: then the shorter name is the method's.
    """
    return {
        name: Reference(variant=plain, changed=variant, from_=plain)
        for plain in sorted(names, key=len, reverse=True)
        for variant in variants
        for name in names
        if name == variant_name(plain, variant)
    }


def changed(method: Method, **changes: object) -> Method:
    """`method` with other fields, checked."""
    return Method.model_validate({**method.model_dump(), **changes})


def _untouched(method: Method) -> bool:
    return method.scheme_name == BASELINE or method.precision == "fp32"


def _choices(method: Method, options: Options) -> list[tuple[str, str]]:
    if _untouched(method):
        return [(options.roundings[0], options.gradients[0])]
    return [(rounding, gradient) for rounding in options.roundings for gradient in options.gradients]


def _name(method: Method, options: Options, rounding: str, gradient: str) -> str:
    if _untouched(method):
        return method.name
    words = [method.name]
    words += [rounding] if len(options.roundings) > 1 else []
    words += [gradient] if len(options.gradients) > 1 else []
    return " ".join(words)
