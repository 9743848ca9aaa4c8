"""Runs a graph in NumPy: with the bits of the generated C, or in float64 as the network's real copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from engine.builder import numpy_dtype
from engine.errors import GraphError
from engine.graph import Array, DType, Graph, Module, Operator, Phase, Role, Tensor
from engine.lowering import IMAGE, LABEL, LOGITS, LOSS
from engine.operators import StepContext, kind_of, reference
from engine.operators.rules import Powers
from engine.operators.update_operands import rule_of
from engine.update_rules import DEFAULT_RULE

LARGEST_LEARNING_RATE = 2.0**30
"""Times the largest update scale this is still a finite float32; the C relies on it."""


class Interpreter:
    """The trainer ABI over a module: reset, predict, train step, state. `real` selects float64 semantics."""

    def __init__(self, module: Module, *, images_per_update: int = 1, real: bool = False) -> None:
        if real and images_per_update != 1:
            raise GraphError(
                f"in real semantics every image is applied at once, not {images_per_update} together"
            )
        if real and any(rule_of(op) != DEFAULT_RULE for op in module.graph.operators):
            raise GraphError("real semantics are those of stochastic gradient descent, not of another rule")
        self.module = module
        self._images_per_update = images_per_update
        self._real = real
        self.learning_rate = 0.0
        """Step size per image: finite and at most 2^30, so that no step of a finite gradient overflows."""
        self.state: dict[str, Array] = {}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Compiled-in weights, learning rate 0; `seed` starts the generator of stochastic rounding."""
        self._seed = seed
        self._steps = 0
        self._powers = Powers()
        self.learning_rate = 0.0
        initial = {tensor.name: self.module.data[tensor.name] for tensor in self._state_tensors()}
        self.state = {
            name: data.astype(np.float64) if self._real else data.copy() for name, data in initial.items()
        }

    def predict(self, image: Array) -> Array:
        """Logits [K] of an int8 HWC image."""
        return self._run(image, None, Phase.FORWARD)[LOGITS]

    def train_step(self, image: Array, label: int) -> float:
        """One step of stochastic gradient descent; the loss before the update."""
        values = self._run(image, label, Phase.FORWARD, Phase.BACKWARD, Phase.UPDATE)
        self._steps += 1
        return float(values[LOSS])

    def values(self, image: Array, label: int) -> dict[str, Array]:
        """Every tensor of one training step, for tests; the state changes as in `train_step`."""
        values = self._run(image, label, Phase.FORWARD, Phase.BACKWARD, Phase.UPDATE)
        self._steps += 1
        return values

    def state_bytes(self) -> bytes:
        """The trainable state in network order: what the state digest is computed over."""
        return b"".join(self.state[tensor.name].tobytes() for tensor in self._state_tensors())

    def _state_tensors(self) -> Iterator[Tensor]:
        return self.module.graph.with_role(Role.STATE)

    def _run(self, image: Array, label: int | None, *phases: Phase) -> dict[str, Array]:
        graph = self.module.graph
        self._check(image, label)
        values: dict[str, Array] = dict(self.module.data)
        values.update(self.state)
        values[IMAGE] = image
        if label is not None:
            values[LABEL] = np.asarray(label, np.int32)
        powers = self._powers.after_update()
        step = StepContext(
            learning_rate=float(np.float32(self.learning_rate)) if not self._real else self.learning_rate,
            step_key=reference.step_key(self._seed, self._steps),
            apply=(self._steps + 1) % self._images_per_update == 0,
            images_per_update=self._images_per_update,
            corrections=powers.corrections,
        )
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for op in graph.operators:
                if op.phase in phases:
                    self._evaluate(graph, op, values, step)
        if step.apply and Phase.UPDATE in phases:
            self._powers = powers
        return values

    def _check(self, image: Array, label: int | None) -> None:
        """Refuse what the C would read as something else."""
        expected = self.module.graph.tensor(IMAGE).shape
        if image.shape != expected or (not self._real and image.dtype != numpy_dtype(DType.INT8)):
            raise GraphError(f"the image should be int8 {expected}, found {image.dtype} {image.shape}")
        classes = self.module.graph.tensor(LOGITS).elements
        if label is not None and not 0 <= label < classes:
            raise GraphError(f"label {label} of a network with {classes} classes")
        if not abs(self.learning_rate) <= LARGEST_LEARNING_RATE:
            raise GraphError(f"learning rate {self.learning_rate}; it has to be finite and at most 2^30")

    def _evaluate(self, graph: Graph, op: Operator, values: dict[str, Array], step: StepContext) -> None:
        kind = kind_of(op)
        operands: Mapping[str, Array] = {role: values[name] for role, name in op.inputs}
        function = kind.evaluate_real if self._real else kind.evaluate
        results = function(op, graph, operands, step)
        for role, name in op.outputs:
            values[name] = results[role]
        for role in kind.mutates:
            state = op.find_input(role)
            if state is not None and role in results:
                if results[role].shape != self.state[state].shape:
                    raise GraphError(f"operator {op.name}: {role} changed its shape")
                self.state[state] = values[state] = results[role]
