"""Energy in the report and in the figures; nothing of it where no meter was."""

from __future__ import annotations

from types import ModuleType

import pytest

from harness.results.comparison import compare
from harness.results.document import Energy, EnergyWindow, RunDocument
from harness.results.figures import figures
from reports import page
from reports.energy import energy_table

ENERGY = Energy(
    kind="measured",
    instrument="Nordic PPK2 S1",
    supply_volts=3.3,
    sample_rate=100_000.0,
    marks="digital",
    windows=tuple(EnergyWindow(joules=joules, seconds=0.5) for joules in (0.1, 0.2, 0.4)),
    idle_watts=0.05,
    idle_seconds=1.0,
)


@pytest.fixture
def runs(factory: ModuleType) -> list[RunDocument]:
    return factory.documents()  # type: ignore[no-any-return]


@pytest.fixture
def metered(runs: list[RunDocument]) -> list[RunDocument]:
    """The first run that is done has energy."""
    first = next(run for run in runs if run.status == "done")
    return [run.model_copy(update={"energy": ENERGY}) if run is first else run for run in runs]


def test_energy_is_a_row_of_the_table(metered: list[RunDocument]) -> None:
    table = energy_table(compare(metered))
    assert table is not None
    (row,) = table.rows
    assert row[2:6] == ("200 · measured", "100–400", "500", "50")
    assert "a pin of the board" in row
    assert "Energy of a training step" in page.render(metered)


def test_energy_is_among_the_figures(metered: list[RunDocument]) -> None:
    rows = {row["figure"]: row for row in figures(metered).to_dict("records") if "unit" in row}
    row = rows["step_energy"]
    assert (row["kind"], row["unit"], row["value"], row["low"], row["high"]) == (
        *("measured", "joules", 0.2, 0.1, 0.4),
    )
    assert rows["idle_power"]["value"] == 0.05


def test_without_a_meter_there_is_no_table(runs: list[RunDocument]) -> None:
    assert energy_table(compare(runs)) is None
    assert "Energy of a training step" not in page.render(runs)
    assert not set(figures(runs)["figure"]) & {"step_energy", "idle_power"}
