"""The result of a search: as a table on the terminal, as CSV, and the scheme as a file with its figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.frontends.backbone import Backbone
from engine.schemes import Scheme
from engine.search.space import Choice, describe, to_scheme
from harness.console import plain_table, print_whole, stdout_console
from harness.results.search_document import Candidate, Estimate, SearchDocument
from harness.results.store import write_atomically
from harness.search.evaluation import Evaluation
from harness.search.scheme_file import scheme_toml
from harness.search.scores import mean_score

COLUMNS = (
    *("scheme", "bias_last", "weights", "learning_rate", "seed", "folds", "epochs", "status"),
    *("accuracy", "probability", "loss", "held_out_images", "train_images"),
    *("extra_memory_analytic", "state_bytes", "arena_bytes", "plan_digest", "key"),
)


def write_evaluations(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """Every trial as a line, sorted: the same trials write the same bytes. Columns: COLUMNS."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    unique = {evaluation.key: evaluation for evaluation in evaluations}
    for one in sorted(unique.values(), key=lambda one: (one.choice, one.learning_rate, one.seed)):
        loss = mean_score([one], "loss")
        writer.writerow(
            [
                *(describe(one.choice), one.depth, " ".join(f"{n}:{r:g}" for n, r in one.weights)),
                *(one.learning_rate, one.seed, one.folds, one.epochs, one.status),
                *(_cell(mean_score([one], "accuracy")), _cell(mean_score([one], "probability"))),
                *(_cell(None if loss is None else -loss), len(one.images), one.train_images),
                *(one.extra_memory_analytic, one.state_bytes, one.arena_bytes, one.plan_digest, one.key),
            ]
        )
    write_atomically(path, text.getvalue())


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def searched_scheme(document: SearchDocument, backbone: Backbone) -> Scheme:
    """The chosen scheme under a name that says what it was chosen for."""
    chosen = document.chosen.trained
    budget = f"{document.budget // 1024}kb" if document.budget % 1024 == 0 else f"{document.budget}b"
    name = f"searched-{document.method}-{document.cost}-{budget}"
    choice = Choice(chosen.bias_last, chosen.weights)
    return to_scheme(choice, backbone, name, f"found by trainbench search on {document.dataset_name}")


def write_scheme(path: Path, document: SearchDocument, backbone: Backbone) -> None:
    """The chosen scheme as TOML, with what it was found from in comments."""
    chosen = document.chosen
    trained = chosen.trained
    comments = [
        f"Found by `trainbench search`, method {document.method}, budget {document.budget} bytes"
        f" ({document.cost}), seed {document.seed}, {document.evaluations} schemes asked about.",
        f"network: {document.network}, SHA-256 {document.model_digest}",
        f"dataset: {document.dataset_name}, SHA-256 {document.dataset_digest}",
        f"trials: learning rate {document.learning_rate:g} per image, 1 + {document.epochs} epochs,"
        f" {len(document.seeds)} seeds, {document.folds} folds, {document.held_out_images} images scored",
        f"total of contributions ({document.measure}): {_estimate(chosen.total)}",
        f"validation accuracy: {_percent(trained.accuracy)}, minus classifier alone:"
        f" {_estimate(trained.accuracy_gain)}",
        f"extra memory (analytic): {trained.extra_memory_analytic} bytes; planned peak SRAM:"
        f" {chosen.planned_peak} bytes ({trained.state_bytes} state, {trained.arena_bytes} arena,"
        f" {document.overhead} beside them)",
        f"trainbench {document.provenance['trainbench']}, revision {document.provenance['git_revision']}",
    ]
    if chosen.measured_peak is not None:
        comments.append(f"peak SRAM measured on {document.target}: {chosen.measured_peak} bytes")
    write_atomically(path, scheme_toml(searched_scheme(document, backbone), comments))


def _estimate(estimate: Estimate | None) -> str:
    return "not measured" if estimate is None else f"{estimate.value:+.4f} ± {estimate.error:.4f}"


def _percent(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.1%}"


def print_search(document: SearchDocument) -> None:
    """The schemes of the result; then the bound and what to know, a line each."""
    table = plain_table(
        ("", "scheme"),
        (
            *(f"total, {document.measure}", "extra, analytic", "peak SRAM, planned"),
            *((f"measured on {document.target}",) if document.target else ()),
            *("accuracy", "minus classifier, points"),
        ),
    )
    for candidate in document.candidates:
        table.add_row(*_row(document, candidate))
    print_whole(table)
    for line in _sentences(document):
        stdout_console().print(line, markup=False, soft_wrap=True)


def _row(document: SearchDocument, candidate: Candidate) -> Sequence[str]:
    trained, gain = candidate.trained, candidate.trained.accuracy_gain
    measured = "" if candidate.measured_peak is None else f"{candidate.measured_peak} bytes"
    return (
        f"{'* ' if candidate.chosen else '  '}{candidate.name}",
        trained.label,
        "" if candidate.total is None else f"{candidate.total.value:+.4f} ± {candidate.total.error:.4f}",
        f"{trained.extra_memory_analytic} bytes",
        f"{candidate.planned_peak} bytes",
        *((measured,) if document.target else ()),
        _percent(trained.accuracy),
        "" if gain is None else f"{100 * gain.value:+.1f} ± {100 * gain.error:.1f}",
    )


def _sentences(document: SearchDocument) -> list[str]:
    kind = "cross-validated" if document.folds > 1 else "validation"
    lines = [
        f"* chosen. ±: standard error. Accuracy: {kind}, {document.held_out_images} images,"
        f" {len(document.seeds)} seeds, learning rate {document.learning_rate:g}; the test part was not used."
    ]
    if document.upper_bound is not None and document.cost == "sram":
        lines.append(f"No scheme within the budget has a total above {document.upper_bound:.4f}.")
    return lines
