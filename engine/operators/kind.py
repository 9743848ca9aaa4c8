"""What an operator kind declares, and the registry of all kinds.

A kind is defined in one module: its operands, shape rule, integer semantics (bit-exact), real semantics
(float64, nothing rounded: the floating-point copy that gradients are checked on), gradient rule and C
emitter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from engine.errors import GraphError
from engine.graph import Array, Graph, Operator, Phase, Tensor
from engine.operators.kernel_choice import Choice


@dataclass(frozen=True)
class StepContext:
    """What all updates of one training step share (docs/numerics.md, Updates)."""

    learning_rate: float = 0.0
    step_key: int = 0
    apply: bool = True
    images_per_update: int = 1
    corrections: tuple[np.float32, np.float32] = (np.float32(1), np.float32(1))
    """Of adam's moments in this step (`engine.operators.rules.Powers`)."""


class Tape(Protocol):
    """What a gradient rule may ask for; implemented by `engine.autodiff`."""

    def wants(self, value: str) -> bool:
        """Whether anything that is updated lies upstream of this value."""

    def gradient(self, value: str) -> str:
        """The finished gradient of a value."""

    def contribute(self, value: str, gradient: str) -> None:
        """Add one path's gradient; several paths are accumulated."""

    def mask(self, op: Operator) -> str:
        """The clamp mask of a forward operator, which from now on has to produce it."""

    def constant(self, layer: str, suffix: str) -> str:
        """A constant of the layer, e.g. its gradient scale."""

    def is_state(self, tensor: str | None) -> bool: ...

    def tensor(self, name: str) -> Tensor: ...

    def find(self, name: str) -> str | None:
        """The name, if there is such a tensor."""

    def gradient_scale(self, layer: str) -> str:
        """The constant that masked_scale multiplies with: float32, or int32 multipliers (`Quantization`)."""

    def new_gradient(self, value: str, suffix: str) -> str:
        """A tensor with the shape of `value`: float32, or int16 with an exponent."""

    def update_operands(self, state: str) -> tuple[dict[str, str], dict[str, int | float | str]]:
        """Inputs and attributes of an update of a convolution's `state`.

        Inputs: `low`, `accumulator`, and what the update rule keeps. Attributes: `rounding`, `stream`; of
        rules other than sgd `rule` and its constants.
        """

    def classifier_operands(self, state: str) -> tuple[dict[str, str], dict[str, int | float | str]]:
        """The same for float32 `state` of the classifier, which nothing rounds and no factor makes faster."""

    def emit(
        self,
        kind: str,
        name: str,
        layer: str,
        phase: Phase,
        inputs: dict[str, str | None],
        outputs: dict[str, str | None],
        **values: int | float | str,
    ) -> None:
        """Append an operator. With an int16 operand it becomes `<kind>_i16`, which has exponents too."""


class Emitter(Protocol):
    """What a C emitter may ask for; implemented by `engine.codegen`."""

    def pointer(self, tensor: str | None) -> str:
        """A typed C pointer expression; `0` for None."""

    def mask(self, tensor: str | None) -> str:
        """As `pointer`, but null while predicting."""

    def scalar(self, tensor: str) -> str:
        """The C local that holds a scalar."""

    def scratch(self, op: Operator) -> str: ...

    def symbol(self, op: Operator, suffix: str) -> str:
        """A C identifier derived from the operator's layer."""

    def declare(self, symbol: str, text: str) -> None:
        """Define a symbol at file scope; the forward operator's definition serves its gradients too."""

    def number(self, value: float) -> str:
        """A float literal that round-trips."""


@dataclass(frozen=True)
class Stage:
    """A forward operator within a streamed region: C names of its windows, and how far its rows go.

    rows: the most that it computes at a time.
    """

    x: str
    y: str
    end: str
    rows: int
    skip: str = ""
    """Of the other operand, for an addition."""


@dataclass(frozen=True)
class GroupStage:
    """A backward operator within a region that is run by groups of channels: C expressions of its operands.

    group: a pointer to the group. channels: of a group, the last one may have fewer. gradient: what it reads;
    distance: values from one of its pixels to the next. result: what it writes, of an int16 gradient that is
    summed over groups its int32 sums. splits: whether what it writes exists one group at a time.
    """

    group: str
    channels: int
    gradient: str
    distance: str
    result: str
    splits: bool


@dataclass(frozen=True)
class GroupCode:
    """C statements of such an operator: of a group, in front of the loop over groups and behind it."""

    each: str
    before: str = ""
    after: str = ""


class OperatorKind(ABC):
    """One kind of operator. Instances are stateless."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    optional_inputs: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[tuple[str, ...]] = ()
    optional_outputs: ClassVar[tuple[str, ...]] = ()
    mutates: ClassVar[tuple[str, ...]] = ()
    """Input roles whose state tensor is changed."""
    in_place: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(input role, output role) that may share one buffer when the input dies here."""

    def in_place_pairs(self, op: Operator, graph: Graph) -> tuple[tuple[str, str], ...]:
        """`in_place` as far as it holds for this operator's shapes."""
        return self.in_place

    @abstractmethod
    def check(self, op: Operator, graph: Graph) -> None:
        """The shape and dtype rule; raises GraphError."""

    @abstractmethod
    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        """Bit-exact semantics: operand role → array in, output or mutated role → array out."""

    @abstractmethod
    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        """The same in float64 without rounding; masks are booleans."""

    def gradient(self, op: Operator, tape: Tape) -> None:
        """Emit what computes the gradients of the inputs that want one, and the updates."""
        raise GraphError(f"operator {op.name}: {self.name} has no gradient rule")

    @abstractmethod
    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        """The C statement."""

    def emit_last(self, op: Operator, graph: Graph, emitter: Emitter, step: str) -> str:
        """The C statement that follows once all groups of channels are done; empty if there is none.

        step: C expression of a pointer to what updates share.
        """
        return ""

    def emit_stage(self, op: Operator, graph: Graph, emitter: Emitter, stage: Stage) -> str:
        """The C statement within a region that is streamed by rows."""
        raise GraphError(f"operator {op.name}: {self.name} cannot be streamed by rows")

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        """The C statements within a region that is run by groups of channels; `step` is a pointer there."""
        raise GraphError(f"operator {op.name}: {self.name} cannot be run by groups of channels")

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice | None:
        """The kernel it calls; None where there is but one. `rows`: the most computed at once; None: all."""
        return None

    def macs(self, op: Operator, graph: Graph) -> int:
        """Multiply-accumulates."""
        return 0

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        """Arena bytes needed only while the operator runs."""
        return 0


KINDS: dict[str, OperatorKind] = {}


def register(kind: type[OperatorKind]) -> type[OperatorKind]:
    """Class decorator: make the kind known under its name."""
    KINDS[kind.name] = kind()
    return kind


def kind_of(op: Operator) -> OperatorKind:
    """The definition of an operator's kind; GraphError for an unknown one."""
    try:
        return KINDS[op.kind]
    except KeyError:
        raise GraphError(
            f"operator {op.name}: unknown kind {op.kind!r}; known are {', '.join(sorted(KINDS))}"
        ) from None


def expect(condition: bool, op: Operator, message: str) -> None:
    """Raise a GraphError that names the operator unless the condition holds."""
    if not condition:
        raise GraphError(f"operator {op.name} ({op.kind}): {message}")
