from __future__ import annotations

import numpy as np
import pytest
from small_networks import full, image, training_module, with_classifier

from engine.autodiff import GRADIENTS
from engine.errors import GraphError
from engine.frontends.backbone import Backbone
from engine.graph import Module
from engine.interpreter import Interpreter
from engine.lowering import LOGITS, LOSS


@pytest.fixture(scope="module", params=GRADIENTS)
def module(backbone: Backbone, request: pytest.FixtureRequest) -> Module:
    return training_module(backbone, full(backbone), rounding="stochastic", gradient=request.param)


def test_a_fresh_classifier_is_undecided(module: Module) -> None:
    interpreter = Interpreter(module)
    assert interpreter.train_step(image(0), 1) == pytest.approx(np.log(4), abs=1e-6)
    assert not interpreter.predict(image(0)).any()


def test_no_learning_rate_no_change(module: Module) -> None:
    interpreter = with_classifier(Interpreter(module))
    before = interpreter.state_bytes()
    interpreter.train_step(image(0), 1)
    assert interpreter.state_bytes() == before


def test_training_on_one_image_learns_it(module: Module) -> None:
    interpreter = Interpreter(module)
    interpreter.learning_rate = 0.02
    losses = [interpreter.train_step(image(0), 1) for _ in range(12)]
    assert losses[-1] < 0.5 * losses[0]
    assert interpreter.predict(image(0)).argmax() == 1


def test_predict_leaves_the_state_alone_and_agrees_with_training(module: Module) -> None:
    interpreter = with_classifier(Interpreter(module))
    before = interpreter.state_bytes()
    logits = interpreter.predict(image(3))
    assert interpreter.state_bytes() == before
    assert np.array_equal(interpreter.values(image(3), 0)[LOGITS], logits)


def test_reset_restores_weights_seed_and_learning_rate(module: Module) -> None:
    interpreter = Interpreter(module)
    start = interpreter.state_bytes()
    runs = []
    for seed in (3, 3, 4):
        interpreter.reset(seed)
        assert interpreter.state_bytes() == start
        assert interpreter.learning_rate == 0.0
        interpreter.learning_rate = 0.3
        runs.append(
            [interpreter.train_step(image(step), step) for step in range(3)] + [interpreter.state_bytes()]
        )
    assert runs[0] == runs[1] != runs[2]


def test_the_module_is_never_changed(module: Module) -> None:
    before = {name: data.copy() for name, data in module.data.items()}
    interpreter = with_classifier(Interpreter(module))
    interpreter.learning_rate = 0.3
    interpreter.train_step(image(0), 0)
    assert all(np.array_equal(module.data[name], data) for name, data in before.items())


def test_accumulation_updates_on_every_nth_image(backbone: Backbone) -> None:
    module = training_module(backbone, full(backbone), rounding="nearest", accumulate=3)
    interpreter = with_classifier(Interpreter(module, images_per_update=3))
    interpreter.learning_rate = 0.5
    trained = [name for name in interpreter.state if not name.endswith(".accumulator")]

    def weights() -> bytes:
        return b"".join(interpreter.state[name].tobytes() for name in trained)

    changed = []
    for step in range(6):
        before = weights()
        interpreter.train_step(image(step), step % 4)
        changed.append(weights() != before)
        waiting = any(interpreter.state[f"{name}.accumulator"].any() for name in trained)
        assert waiting != changed[-1]
    assert changed == [False, False, True, False, False, True]


def test_accumulation_over_equal_images_is_one_update(backbone: Backbone) -> None:
    """The mean of two equal gradients is the gradient, exactly. The classifier rounds in another place."""
    states = []
    for images in (1, 2):
        module = training_module(backbone, full(backbone), rounding="nearest", accumulate=images)
        interpreter = with_classifier(Interpreter(module, images_per_update=images))
        interpreter.learning_rate = 0.3
        for _ in range(images):
            interpreter.train_step(image(1), 2)
        states.append(
            {n: d for n, d in interpreter.state.items() if n.endswith(("pointwise1.weight", "stem.bias"))}
        )
    assert len(states[0]) == 7
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_real_and_integer_semantics_are_close(backbone: Backbone) -> None:
    """One quantization step of rounding a layer apart, no more."""
    module = training_module(backbone, full(backbone))
    integer, real = with_classifier(Interpreter(module)), with_classifier(Interpreter(module, real=True))
    found, expected = integer.values(image(1), 2), real.values(image(1), 2)
    for layer in backbone.layers:
        name = f"{layer.name}.output"
        assert np.abs(found[name] - expected[name]).mean() < 3.0, name
    assert float(found[LOSS]) == pytest.approx(float(expected[LOSS]), abs=0.2)


REFUSED = {
    "an image of another size": (
        lambda i: i.predict(image(0, 8)),
        r"should be int8 \(16, 16, 3\), found int8",
    ),
    "an image of another type": (lambda i: i.predict(image(0).astype(np.int16)), "found int16"),
    "a label above": (lambda i: i.train_step(image(0), 4), "label 4 of a network with 4 classes"),
    "a label below": (lambda i: i.train_step(image(0), -1), "label -1 of a network with 4 classes"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_the_c_would_misread_is_refused(module: Module, case: tuple) -> None:
    action, message = case
    with pytest.raises(GraphError, match=message):
        action(Interpreter(module))


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 2.0**31])
def test_a_learning_rate_that_overflows_is_refused(module: Module, rate: float) -> None:
    interpreter = Interpreter(module)
    interpreter.learning_rate = rate
    with pytest.raises(GraphError, match="it has to be finite and at most 2\\^30"):
        interpreter.train_step(image(0), 1)


def test_the_largest_learning_rate_stays_finite(module: Module) -> None:
    """Weights saturate, and nothing becomes a NaN."""
    interpreter = with_classifier(Interpreter(module))
    interpreter.learning_rate = 2.0**30
    for step in range(3):
        values = interpreter.values(image(step), step)
        assert all(np.isfinite(data).all() for data in values.values())


def test_real_semantics_know_no_accumulation(module: Module) -> None:
    with pytest.raises(GraphError, match="in real semantics every image is applied at once, not 3 together"):
        Interpreter(module, images_per_update=3, real=True)
