from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_networks import full, schemes, training_module

from engine.autodiff import GRADIENTS
from engine.errors import GraphError
from engine.frontends.backbone import Backbone
from engine.graph import DType, Graph, Operator, Phase, Quantization, Role, Tensor, attributes
from engine.operators import KINDS
from engine.text import parse_graph, print_graph

SCHEMES = ("full", "last-layer", "bias-only", "sparse")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "options",
    [{}, {"rounding": "extended", "accumulate": 3}, {"gradient": "i16"}],
    ids=["plain", "extended", "i16"],
)
def test_whole_graphs_read_back(backbone: Backbone, scheme: str, options: dict[str, object]) -> None:
    graph = training_module(backbone, schemes(backbone)[scheme], **options).graph
    assert parse_graph(print_graph(graph)) == graph


def test_every_kind_of_operator_reads_back_alone(backbone: Backbone) -> None:
    graphs = [
        training_module(backbone, scheme, **options).graph
        for scheme in (full(backbone), schemes(backbone)["sparse"])
        for options in (*({"gradient": gradient} for gradient in GRADIENTS), {"precision": "fp32"})
    ]
    assert {op.kind for graph in graphs for op in graph.operators} == set(KINDS)
    for graph in graphs:
        for op in graph.operators:
            names = {name for _, name in (*op.inputs, *op.outputs)}
            alone = Graph(op.name, tuple(t for t in graph.tensors if t.name in names), (op,), ())
            assert parse_graph(print_graph(alone)) == alone


names = st.from_regex(r"[A-Za-z0-9_.:\-]{1,12}", fullmatch=True)
texts = st.text(max_size=12)
values = st.one_of(st.integers(), st.floats(allow_nan=False), texts)
shapes = st.lists(st.integers(1, 9), max_size=4).map(tuple)
quantizations = st.none() | st.builds(Quantization, st.floats(1e-20, 1e20), st.integers(-128, 127))
tensors = st.builds(Tensor, names, st.sampled_from(DType), shapes, st.sampled_from(Role), quantizations)
roles = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
operands = st.lists(st.tuples(roles, names), max_size=3).map(tuple)
operators = st.builds(
    Operator,
    roles,
    texts,
    texts,
    st.sampled_from(Phase),
    operands,
    operands,
    st.dictionaries(texts, values, max_size=4).map(lambda found: attributes(**found)),
)
graphs = st.builds(
    Graph,
    texts,
    st.lists(tensors, max_size=4).map(tuple),
    st.lists(operators, max_size=3).map(tuple),
    st.lists(names, max_size=3).map(tuple),
)


@given(graphs)
def test_any_graph_reads_back(graph: Graph) -> None:
    assert parse_graph(print_graph(graph)) == graph


GOOD = """graph "g"
input %image i8[2, 2, 3] q(0.5, -1)
value %y i8[3]
forward global_average_pool "pool" in "pool" (x = %image) -> (y = %y) {}
return %y
"""

BAD = {
    "no head": ("input %image i8[1]\n", 'line 1 should be: graph "name"'),
    "empty": ("", 'line 1 should be: graph "name"'),
    "head is no JSON": (GOOD.replace('"g"', "g"), "line 1: 'g' cannot be read: Expecting value"),
    "unknown dtype": (GOOD.replace("%y i8[3]", "%y i7[3]"), "line 3: 'i7' is not a valid DType"),
    "unknown role": (GOOD.replace("value %y", "global %y"), "line 3: 'global' is not a valid Role"),
    "broken scale": (GOOD.replace("0.5", "half"), "line 2: could not convert string to float: 'half'"),
    "broken shape": (GOOD.replace("[3]", "[3, 3 3]"), r"line 3: invalid literal for int"),
    "unknown phase": (GOOD.replace("forward", "sideways"), "line 4: 'sideways' is not a valid Phase"),
    "broken operand": (
        GOOD.replace("x = %image", "x: %image"),
        "line 4: operand 'x: %image' should be: role = %name",
    ),
    "broken attributes": (GOOD.replace("{}", "{stride}"), r"line 4: '\{stride\}' cannot be read"),
    "attribute of another type": (
        GOOD.replace("{}", '{"stride": null}'),
        "line 4: attribute stride should be a number or a text, found None",
    ),
    "truth as attribute": (
        GOOD.replace("{}", '{"stride": true}'),
        "line 4: attribute stride should be a number",
    ),
    "nonsense": (GOOD.replace("value", "# value"), "line 3 is neither a tensor nor an operator: '# value"),
    "text after the end": (GOOD + "value %z i8[3]\n", "line 6 follows the return line"),
    "no end": (GOOD.replace("return %y\n", ""), "the return line is missing"),
}


def test_the_good_text_is_good() -> None:
    assert print_graph(parse_graph(GOOD)) == GOOD


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_named_by_its_line(case: tuple[str, str]) -> None:
    text, message = case
    with pytest.raises(GraphError, match=f"graph text: .*{message}"):
        parse_graph(text)


def test_the_text_tells_graphs_apart(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    op = graph.operators[0]
    other = replace(op, attributes=attributes(**{**dict(op.attributes), "stride": 3}))
    changed = replace(graph, operators=(other, *graph.operators[1:]))
    assert print_graph(changed) != print_graph(graph)
