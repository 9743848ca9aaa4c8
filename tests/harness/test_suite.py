from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.compiler import DEFAULT_GRADIENT
from harness.errors import HarnessError, UsageError
from harness.suite import (
    Cell,
    Method,
    Suite,
    load_suite,
    make_cells,
    method_variants,
    select_methods,
    suite_names,
)


def test_every_suite_loads() -> None:
    assert "people-detection" in suite_names()
    for name in suite_names():
        suite = load_suite(name)
        assert suite.device_steps >= 30
        assert suite.device_predictions >= 30
        assert suite.reference in suite.targets


def test_an_unknown_suite_lists_what_exists() -> None:
    with pytest.raises(UsageError, match=r"there are: .*people-detection"):
        load_suite("nothing")


def test_methods_are_those_declared_or_those_wanted() -> None:
    suite = load_suite("people-detection")
    assert select_methods(suite, []) == suite.methods
    assert [method.name for method in select_methods(suite, ["last-layer", "full", "full"])] == [
        "last-layer",
        "full",
    ]


def test_an_unknown_method_needs_a_learning_rate() -> None:
    suite = load_suite("people-detection")
    with pytest.raises(UsageError, match=re.escape("no method named 'last:3'; there are: full, last-layer")):
        select_methods(suite, ["last:3"])
    (method,) = select_methods(suite, ["last:3"], learning_rate=0.5)
    assert (method.scheme_name, method.learning_rate) == ("last:3", 0.5)


def test_cells_are_the_product_without_duplicates() -> None:
    methods = load_suite("people-detection").methods[:2]
    cells = make_cells(["b", "a", "b"], methods, [0, 1, 0])
    assert len(cells) == len(set(cells)) == 8
    assert cells[0] == Cell("b", methods[0].name, 0)


def test_gradients_are_part_of_what_makes_a_firmware() -> None:
    suite = load_suite("people-detection")
    method = suite.methods[0]
    assert suite.gradient == DEFAULT_GRADIENT
    own = method.model_copy(update={"gradient": "i16"})
    other = suite.model_copy(update={"gradient": "f32"})
    assert other.firmware_key(own) != other.firmware_key(method)
    assert other.model_copy(update={"gradient": "i16"}).firmware_key(method) == other.firmware_key(own)


def test_a_float32_network_is_compiled_with_what_it_knows() -> None:
    """No format of gradients, no rounding and no scaling for a quantization that it has not."""
    suite = load_suite(suite_names()[0])
    plain = Method(name="full", learning_rate=0.1, precision="fp32")
    other = plain.model_copy(
        update={"gradient": "i16", "rounding": "extended", "quantization_aware_scaling": False}
    )
    assert suite.firmware_key(plain) == suite.firmware_key(other)
    compiled = suite.as_compiled(other)
    found = (compiled.gradient, compiled.rounding, compiled.quantization_aware_scaling)
    assert found == ("f32", "nearest", False)
    int8 = Method(name="full", learning_rate=0.1)
    as_int8 = suite.as_compiled(int8)
    assert (as_int8.gradient, as_int8.rounding) == (suite.gradient, suite.rounding)
    assert as_int8.quantization_aware_scaling
    assert suite.firmware_key(int8) != suite.firmware_key(plain)


def test_an_unknown_gradient_format_is_named() -> None:
    with pytest.raises(ValidationError, match="no gradient format named 'f16'; there are: f32, i16"):
        Method(name="full", learning_rate=1.0, gradient="f16")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("title = ", "not valid TOML"), ("title = 'x'", "description: Field required"), ("a = 1", "a: Extra")],
)
def test_a_malformed_suite_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad_suite" / "suite.toml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(HarnessError) as caught:
        load_suite("bad-suite", tmp_path)
    assert str(path) in str(caught.value)
    if problem != "a: Extra":
        assert problem in str(caught.value)


def suite_fields(**changes: object) -> dict[str, object]:
    return {
        "name": "s",
        "title": "S",
        "description": "",
        "folder": Path("s"),
        "dataset": "lfw",
        "backbone": "b",
        "targets": ["host"],
        "seeds": [0],
        "device_steps": 30,
        "device_predictions": 30,
        "epochs": 1,
        "variants": {"no QAS": {"quantization_aware_scaling": False, "convolution_rates": [1e4, 1e6]}},
        "methods": [{"name": "full", "learning_rate": 0.5, "variants": ["no QAS"]}],
        **changes,
    }


def test_a_variant_is_a_method_with_other_fields() -> None:
    suite = Suite.model_validate(suite_fields())
    plain, variant = suite.methods
    assert (plain.name, plain.scheme_name, plain.quantization_aware_scaling) == ("full", "full", True)
    assert (variant.name, variant.scheme_name, variant.learning_rate) == ("full, no QAS", "full", 0.5)
    assert variant.quantization_aware_scaling is False
    assert variant.convolution_rates == (1e4, 1e6)
    assert method_variants(suite, plain, ["no QAS"]) == (plain, variant)


def test_a_method_replaces_fields_of_its_variant() -> None:
    named = [{"name": "no QAS", "convolution_rates": [7.0]}]
    methods = [{"name": "full", "learning_rate": 0.5, "variants": named}]
    (_, variant) = Suite.model_validate(suite_fields(methods=methods)).methods
    assert variant.name == "full, no QAS"
    assert (variant.quantization_aware_scaling, variant.convolution_rates) == (False, (7.0,))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"variants": {}}, "no variant named 'no QAS'; there are: none"),
        ({"variants": {"no QAS": {"qas": False}}}, "Extra inputs are not permitted"),
        ({"variants": {"no QAS": {"learning_rates": [-1]}}}, "greater than 0"),
        ({"default_methods": ["last-layer"]}, "method 'last-layer' is declared nowhere"),
        ({"methods": [{"name": "full", "learning_rate": 1}] * 2}, "method 'full' is declared twice"),
        ({"study": {"scheme_variants": ["fp32"]}}, "no variant named 'fp32'; there are: no QAS"),
    ],
)
def test_variants_that_make_no_sense_are_named(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Suite.model_validate(suite_fields(**changes))


def test_default_methods_are_taken_unless_others_are_named() -> None:
    suite = Suite.model_validate(suite_fields(default_methods=["full, no QAS"]))
    assert [method.name for method in select_methods(suite, [])] == ["full, no QAS"]
    assert [method.name for method in select_methods(suite, ["full"])] == ["full"]
