"""The document of an accuracy study → one HTML page: verdict, table, what was chosen and from what."""

from __future__ import annotations

from harness.results.document import Provenance
from harness.results.statistics import Difference
from harness.results.study import StudyDocument, StudyRow
from reports.charts.chart import TextTable
from reports.charts.study import memory_chart, selection_chart
from reports.html import render_page
from reports.numbers import DASH, count, listed, percent, percent_range, plural, points, points_range
from reports.sentences import LEVEL


def render_study(study: StudyDocument) -> str:
    """One HTML page about `study`."""
    charts = {chart.identifier: chart for chart in (memory_chart(study), selection_chart(study))}
    return render_page(
        "study.html.j2",
        charts,
        title=f"{study.title}: accuracy study",
        study=study,
        verdict=verdict(study),
        protocol=protocol_sentences(study),
        results=result_table(study),
        differences=difference_table(study),
        options=option_table(study),
        origins=origin_table(study),
    )


def verdict(study: StudyDocument) -> str:
    """Which methods can be told from the baseline, in one sentence."""
    judged = [(row.method, row.against_baseline) for row in study.rows if row.against_baseline is not None]
    better = [name for name, gain in judged if gain.distinguishable and gain.value > 0]
    worse = [name for name, gain in judged if gain.distinguishable and gain.value < 0]
    rest = len(judged) - len(better) - len(worse)
    if not judged:
        return f"No method was held against {study.baseline}."
    parts = []
    if better:
        parts.append(f"better: {listed(better)}")
    if worse:
        parts.append(f"worse: {listed(worse)}")
    if rest:
        parts.append(f"{plural(rest, 'method')} cannot be told apart from it")
    return f"Beside {study.baseline}, by a {LEVEL} interval of the paired difference: {'; '.join(parts)}."


def protocol_sentences(study: StudyDocument) -> tuple[str, ...]:
    """How rates were chosen, and what was tested."""
    part = study.protocol
    chosen = (
        f"{part.selection_folds} folds of what is not tested, each validating once"
        if part.selection_folds > 1
        else "the validation part"
    )
    tested = (
        f"{part.folds} folds: each image is tested once a seed, by a network that never saw it, and each fold"
        " has its own choice of rates"
        if part.folds > 1
        else "the dataset’s test part"
    )
    trained = listed(sorted({row.computed_on for row in study.rows}))
    measured = (
        f"Peak SRAM and ticks were read on {study.measured_on}, from a short run of each firmware whose state"
        " afterwards was that of the training whose accuracy is shown."
        if study.measured_on
        else "No target was measured."
    )
    return (
        f"Chosen: learning rates, by the accuracy on {chosen}"
        f" ({plural(part.selection_seeds, 'seed')}). The test images had no part in it.",
        f"Tested: {plural(part.test_images, 'image')} ({tested}), {plural(part.seeds, 'seed')}, after"
        f" {part.warmup_epochs} + {part.epochs} epochs on {plural(part.train_images, 'image')} at batch 1,"
        f" {part.schedule} schedule{', flips' if part.flips else ''}, computed on {trained}.",
        measured,
    )


def result_table(study: StudyDocument) -> TextTable:
    """One line a method: what was chosen, what was tested, what it costs."""
    measured = [row.measured for row in study.rows if row.measured is not None]
    peak, unit, ticks = "", "ticks", ""
    if measured:
        peak, ticks = f" ({measured[0].sram.kind})", f" ({measured[0].step_ticks.kind})"
        unit = measured[0].step_ticks.unit
    return TextTable(
        f"Accuracy after training on the test images, with {LEVEL} interval over images and seeds;"
        " differences in percentage points, paired by image and seed. Validation: at the chosen rates.",
        (
            *("Method", "Learning rate", "Convolutions ×", "Validation, %"),
            *("Before, %", "After, %", "Interval", f"Minus {study.baseline}", "Interval"),
            *("Extra memory, bytes (analytic)", f"Peak SRAM, bytes{peak}"),
            f"{unit.capitalize()} a step{ticks}",
        ),
        tuple(_result(row) for row in study.rows),
    )


def _result(row: StudyRow) -> tuple[str, ...]:
    after, gain, measured = row.after, row.against_baseline, row.measured
    return (
        row.method,
        _rates(row.learning_rates),
        _rates(row.convolution_rates),
        percent(row.validation_accuracy),
        DASH if row.before is None else percent(row.before.value),
        "failed" if after is None else percent(after.value),
        DASH if after is None else percent_range(after.low, after.high),
        *_gain(gain),
        count(row.extra_memory_analytic),
        DASH if measured is None else count(measured.sram.peak),
        DASH if measured is None else count(measured.step_ticks.median),
    )


def _gain(gain: Difference | None) -> tuple[str, str]:
    return (DASH, DASH) if gain is None else (points(gain.value), points_range(gain.low, gain.high))


def _rates(rates: tuple[float, ...]) -> str:
    shown = rates if len(set(rates)) > 1 else rates[:1]
    return " ".join(f"{rate:g}" for rate in shown)


def difference_table(study: StudyDocument) -> TextTable | None:
    """Methods held against others, and variants against what they differ from in one option."""
    lines: list[tuple[str, ...]] = []
    for row in study.rows:
        if row.reference is not None and row.against_reference is not None:
            lines.append(_difference(row.method, row.reference.variant, row.against_reference))
        lines += [_difference(row.method, one.method, one.difference) for one in row.against]
    if not lines:
        return None
    return TextTable(
        f"Accuracy after training, first minus second, in percentage points with {LEVEL} interval; paired by"
        " seed and test image. Each interval is for its pair alone.",
        ("First", "Second", "Difference", "Interval", "Can they be told apart?"),
        tuple(dict.fromkeys(lines)),
    )


def _difference(first: str, second: str, gain: Difference) -> tuple[str, ...]:
    return (
        first,
        second,
        points(gain.value),
        points_range(gain.low, gain.high),
        "yes" if gain.distinguishable else "no",
    )


def option_table(study: StudyDocument) -> TextTable:
    """How each method is compiled, and why figures are missing."""
    return TextTable(
        "What each method is",
        ("Method", "Updates", "Network", "QAS", "Rule", "Rounding", "Gradients", "What is missing"),
        tuple(
            (
                row.method,
                row.description,
                row.precision,
                "on" if row.quantization_aware_scaling else "off",
                row.rule,
                row.rounding,
                row.gradient,
                "; ".join(text for text in (row.reason, row.measured_reason) if text),
            )
            for row in study.rows
        ),
    )


def origin_table(study: StudyDocument) -> TextTable:
    """Where accuracies come from, and where SRAM and ticks do."""
    trained, measured = _origin(study.provenance), {}
    if study.measured_provenance is not None:
        measured = _origin(study.measured_provenance)
    headings = (
        ("What", "Accuracy", f"SRAM and ticks ({study.measured_on})") if measured else ("What", "Accuracy")
    )
    rows = tuple(
        (name, text, measured.get(name, DASH)) if measured else (name, text) for name, text in trained.items()
    )
    return TextTable("Where the figures come from; of the first run each", headings, rows)


def _origin(origin: Provenance) -> dict[str, str]:
    dirty = {True: "yes: figures are of no revision", False: "no", None: "unknown"}[origin.git_dirty]
    return {
        "trainbench": origin.trainbench_version,
        "Source revision": origin.git_revision or "unknown",
        "Working tree changed": dirty,
        "Network": origin.model_name,
        "Network SHA-256": origin.model_digest,
        "Dataset": origin.dataset_name,
        "Dataset description": origin.dataset_description,
        "Dataset index SHA-256": origin.dataset_digest,
        "Host": origin.host,
        "Python": origin.python,
        "Toolchain": origin.toolchain,
        "Compiler flags": " ".join(origin.compiler_flags),
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items())),
        "Started (UTC)": origin.started_at,
    }
