"""Runs a graph in NumPy: bit-exact as the generated C does, or in float64 as the floating-point copy of the network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import GraphError
from engine.graph import Array, Graph, Module, Operator, Phase, Role
from engine.lowering import IMAGE, LABEL, LOGITS, LOSS
from engine.operators import StepContext, kind_of, reference


class Interpreter:
    """The trainer ABI over a module: reset, predict, train step, state. `real` selects float64 semantics."""

    def __init__(self, module: Module, *, images_per_update: int = 1, real: bool = False) -> None:
        self.module = module
        self._images_per_update = images_per_update
        self._real = real
        self.learning_rate = 0.0
        self.state: dict[str, Array] = {}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Compiled-in weights; `seed` starts the generator of stochastic rounding."""
        self._seed = seed
        self._steps = 0
        dtype = np.float64 if self._real else None
        self.state = {
            tensor.name: self.module.data[tensor.name].astype(dtype or self.module.data[tensor.name].dtype)
            for tensor in self.module.graph.with_role(Role.STATE)
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
        return b"".join(self.state[tensor.name].tobytes() for tensor in self.module.graph.with_role(Role.STATE))

    def _run(self, image: Array, label: int | None, *phases: Phase) -> dict[str, Array]:
        graph = self.module.graph
        values: dict[str, Array] = {name: data for name, data in self.module.data.items()}
        values.update(self.state)
        values[IMAGE] = image
        if label is not None:
            values[LABEL] = np.asarray(label, np.int32)
        step = StepContext(
            learning_rate=float(np.float32(self.learning_rate)) if not self._real else self.learning_rate,
            step_key=reference.step_key(self._seed, self._steps),
            apply=(self._steps + 1) % self._images_per_update == 0,
            images_per_update=self._images_per_update,
        )
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for op in graph.operators:
                if op.phase in phases:
                    self._evaluate(graph, op, values, step)
        return values

    def _evaluate(self, graph: Graph, op: Operator, values: dict[str, Array], step: StepContext) -> None:
        kind = kind_of(op)
        operands: Mapping[str, Array] = {role: values[name] for role, name in op.inputs}
        function = kind.evaluate_real if self._real else kind.evaluate
        results = function(op, graph, operands, step)
        for role, name in op.outputs:
            values[name] = results[role]
        for role in kind.mutates:
            name = op.find_input(role)
            if name is not None and role in results:
                if results[role].shape != self.state[name].shape:
                    raise GraphError(f"operator {op.name}: {role} changed its shape")
                self.state[name] = values[name] = results[role]
