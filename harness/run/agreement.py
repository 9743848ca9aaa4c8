"""When a target may show the accuracy that another computed: after the same steps their states are equal."""

from __future__ import annotations

from harness.errors import MeasurementError
from harness.results.document import RunDocument

MINIMUM_STEPS = 20
"""Equal states after fewer steps are too little to conclude from."""


def common_steps(first: RunDocument, second: RunDocument) -> tuple[int, ...]:
    """Step counts after which both have a state digest, ascending."""
    return tuple(sorted({d.steps for d in first.digests} & {d.steps for d in second.digests}))


def check_agreement(document: RunDocument, reference: RunDocument) -> int:
    """The highest number of equal steps with equal states; MeasurementError where any state differs."""
    states = {digest.steps: digest.state for digest in reference.digests}
    shared = common_steps(document, reference)
    if not shared or shared[-1] < MINIMUM_STEPS:
        raise MeasurementError(
            f"{document.target} and {reference.target} have no state digest after the same {MINIMUM_STEPS} or"
            f" more steps of {document.method}, seed {document.seed}"
        )
    for digest in document.digests:
        if digest.steps in states and digest.state != states[digest.steps]:
            raise MeasurementError(
                f"{document.method}, seed {document.seed}: after {digest.steps} equal steps the state of"
                f" {document.target} is {digest.state[:16]}…, that of {reference.target} is"
                f" {states[digest.steps][:16]}…; the trainer does not compute the same bits on both"
            )
    return shared[-1]


def adopt_accuracy(document: RunDocument, reference: RunDocument | None) -> RunDocument:
    """`document` with the reference's accuracy if the states agree; failed, without a figure, if not."""
    if (
        reference is None
        or document.status != "done"
        or reference.status != "done"
        or reference.target == document.target
    ):
        return document
    try:
        steps = check_agreement(document, reference)
    except MeasurementError as error:
        if document.foreign is not None:
            return _on_its_own(document, str(error))
        return document.model_copy(
            update={
                "status": "failed",
                "reason": f"{error}, so no figure of it is shown",
                "failure": "trainer",
                "sram": None,
                "step_ticks": None,
                "predict_ticks": None,
                "accuracy": None,
            }
        )
    note = f"computed on {reference.target}, whose state after {steps} equal steps was the same"
    return document.model_copy(
        update={"accuracy": reference.accuracy, "notes": {**document.notes, "accuracy": note}}
    )


def _on_its_own(document: RunDocument, difference: str) -> RunDocument:
    """Nobody promised that a user's trainer computes the same everywhere: what was measured here stays."""
    warning = f"{difference}; the accuracy of one does not count for the other"
    if warning in document.warnings:
        return document
    return document.model_copy(update={"accuracy": None, "warnings": (*document.warnings, warning)})
