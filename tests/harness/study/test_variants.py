"""Methods x roundings x gradient formats, and what each variant is held against."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.results.study import Reference
from harness.study.variants import Options, references, variant_references, variants
from harness.suite import Method

METHODS = (Method(name="last-layer", learning_rate=1.0), Method(name="sparse", learning_rate=1.0))
ROUNDINGS = ("nearest", "stochastic", "extended")
GRADIENTS = ("f32", "i16")


def options(roundings: tuple[str, ...], gradients: tuple[str, ...]) -> Options:
    return Options(roundings, gradients)


def test_one_of_each_leaves_the_names_alone() -> None:
    chosen = options(("nearest",), ("i16",))
    assert [(m.name, m.rounding, m.gradient) for m in variants(METHODS, chosen)] == [
        ("last-layer", "nearest", "i16"),
        ("sparse", "nearest", "i16"),
    ]
    assert references(METHODS, chosen) == {}


def test_roundings_make_variants_but_for_the_baseline() -> None:
    several = variants(METHODS, options(("stochastic", "nearest"), ("f32",)))
    assert [(m.name, m.scheme_name, m.rounding) for m in several] == [
        ("last-layer", "last-layer", "stochastic"),
        ("sparse stochastic", "sparse", "stochastic"),
        ("sparse nearest", "sparse", "nearest"),
    ]


def test_a_gradient_format_is_held_against_the_first_one() -> None:
    chosen = options(("stochastic",), ("f32", "i16"))
    assert [m.name for m in variants(METHODS, chosen)] == ["last-layer", "sparse f32", "sparse i16"]
    assert references(METHODS, chosen) == {
        "sparse i16": Reference(variant="sparse f32", changed="i16", from_="f32")
    }


@given(
    st.lists(st.sampled_from(ROUNDINGS), min_size=1, unique=True).map(tuple),
    st.lists(st.sampled_from(GRADIENTS), min_size=1, unique=True).map(tuple),
)
def test_names_are_distinct_and_references_differ_in_one_option(
    roundings: tuple[str, ...], gradients: tuple[str, ...]
) -> None:
    chosen = options(roundings, gradients)
    made = {method.name: method for method in variants(METHODS, chosen)}
    assert len(made) == 1 + len(roundings) * len(gradients)
    held = references(METHODS, chosen)
    assert len(held) == len(made) - 2
    for name, reference in held.items():
        mine, other = made[name], made[reference.variant]
        assert mine.scheme_name == other.scheme_name
        differing = {(mine.rounding, other.rounding), (mine.gradient, other.gradient)}
        assert [pair for pair in differing if pair[0] != pair[1]] == [(reference.changed, reference.from_)]


def test_a_variant_of_a_suite_is_held_against_its_method() -> None:
    names = ("full", "full, no QAS", "last-layer, fp32", "full, else")
    assert variant_references(names, ("no QAS", "fp32")) == {
        "full, no QAS": Reference(variant="full", changed="no QAS", from_="full")
    }


def test_a_variant_whose_name_ends_in_anothers_is_held_against_the_method_itself() -> None:
    names = ("full", "full, no QAS", "full, no QAS, two rates")
    found = variant_references(names, ("two rates", "no QAS", "no QAS, two rates"))
    assert {name: reference.variant for name, reference in found.items()} == {
        "full, no QAS": "full",
        "full, no QAS, two rates": "full",
    }


def test_float32_networks_have_neither_rounding_nor_gradient_format() -> None:
    method = Method(name="full, fp32", scheme="full", learning_rate=1.0, precision="fp32")
    assert [m.name for m in variants((method,), options(ROUNDINGS, GRADIENTS))] == ["full, fp32"]
