"""The loss of a module in real semantics as a plain function, and finite differences of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.graph import Array, Module, Phase
from engine.interpreter import Interpreter
from engine.lowering import IMAGE, LABEL, LOSS
from engine.operators import StepContext, kind_of

Real = NDArray[np.float64]
LOSS_CHANGE = 1e-8
"""Size of a finite step, by what it does to the loss: above float64's rounding, below the next kink."""
LEARNING_RATE = 2.0**20
"""State before less state after, over this; large, so that gradients of large biases keep their digits."""


def loss_of(
    module: Module, state: Mapping[str, Array], image: Array, label: int, shifts: Mapping[str, Real]
) -> float:
    """The loss where `shifts` are added to tensors, be they state or values, before anything reads them."""
    values: dict[str, Array] = {**module.data, **state, IMAGE: image, LABEL: np.asarray(label, np.int32)}
    for name in shifts.keys() & state.keys():
        values[name] = values[name] + shifts[name]
    for op in module.graph.operators:
        if op.phase is Phase.FORWARD or LOSS in dict(op.outputs).values():
            operands = {role: values[name] for role, name in op.inputs}
            results = kind_of(op).evaluate_real(op, module.graph, operands, StepContext())
            for role, name in op.outputs:
                values[name] = results[role]
                if name in shifts:
                    values[name] = values[name] + shifts[name]
    return float(values[LOSS])


class RealStep:
    """One training step in real semantics, and what it gives as gradients."""

    def __init__(self, module: Module, image: Array, label: int, *, generic: bool = True) -> None:
        """`generic`: move the state off the integers, so that no sum lies on the kink of a clamp."""
        self.module, self.image, self.label = module, image, label
        interpreter = Interpreter(module, real=True)
        interpreter.learning_rate = LEARNING_RATE
        generator = np.random.default_rng(11)
        if generic:
            for name, data in interpreter.state.items():
                interpreter.state[name] = data + generator.uniform(-0.3, 0.3, data.shape)
        for name in ("classifier.weight", "classifier.bias"):
            interpreter.state[name] = generator.normal(0.0, 0.7, interpreter.state[name].shape)
        self.state = dict(interpreter.state)
        self.values = interpreter.values(image, label)
        self.state_gradients = {
            name: (self.state[name] - interpreter.state[name]) / LEARNING_RATE for name in self.state
        }

    def value_gradient(self, name: str) -> Real:
        """The gradient that the graph computes for a forward value."""
        names = [tensor.name for tensor in self.module.graph.tensors if tensor.shape != ()]
        total = f"{name}.gradient"
        if total in names:
            return self.values[total]
        (only,) = [found for found in names if found.startswith(f"{name}.gradient_from_")]
        return self.values[only]

    def error(self, name: str, gradient: Real, directions: list[Real]) -> float:
        """Largest difference of gradient · direction and central differences, relative to their norms."""
        worst = 0.0
        for direction in directions:
            size = float(np.linalg.norm(gradient) * np.linalg.norm(direction)) or 1.0
            step = LOSS_CHANGE / size
            up, down = (
                loss_of(self.module, self.state, self.image, self.label, {name: sign * step * direction})
                for sign in (1, -1)
            )
            expected = (up - down) / (2 * step)
            found = float((gradient * direction).sum())
            worst = max(worst, abs(found - expected) / size)
        return worst


def directions(shape: tuple[int, ...], seed: int, count: int = 2) -> list[Real]:
    """Random directions over the whole tensor, and single elements of it."""
    generator = np.random.default_rng(seed)
    found: list[Real] = [generator.normal(0.0, 1.0, shape) for _ in range(count)]
    for _ in range(count):
        one = np.zeros(int(np.prod(shape)))
        one[generator.integers(one.size)] = 1.0
        found.append(one.reshape(shape))
    return found
