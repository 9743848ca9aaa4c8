"""Peers' figures beside ours."""

from types import ModuleType

from harness.results.comparison import compare
from harness.results.document import ReferenceFigure, RunDocument
from reports.references import reference_table


def with_reference(run: RunDocument, figure: str, value: float, unit: str) -> RunDocument:
    reference = ReferenceFigure(figure=figure, value=value, unit=unit, source="somebody")
    return run.model_copy(update={"references": (reference,)})


def test_no_table_without_peers(factory: ModuleType) -> None:
    assert reference_table(compare(factory.documents())) is None


def test_ours_theirs_and_the_ratio(factory: ModuleType) -> None:
    documents: list[RunDocument] = factory.documents()
    run = next(run for run in documents if run.sram is not None)
    assert run.sram is not None
    changed = with_reference(run, "peak_sram", 2 * run.sram.peak, "bytes")
    table = reference_table(compare([changed if other is run else other for other in documents]))
    assert table is not None
    (row,) = table.rows
    assert row[0] == run.method
    assert row[5] == "0.50"
    assert row[6] == "somebody"


def test_another_unit_is_not_compared(factory: ModuleType) -> None:
    documents: list[RunDocument] = factory.documents()
    run = next(
        run for run in documents if run.step_ticks is not None and run.step_ticks.unit == "instructions"
    )
    changed = with_reference(run, "step_ticks", 1e6, "cycles")
    assert reference_table(compare([changed if other is run else other for other in documents])) is None
