"""A profile as a flat table of figures: what `trainbench profile --csv` prints.

The figures of `harness.results.figures`, without those that need a dataset, and for each operator a row
`operator_ticks:NAME`, where NAME is the operator's name in the plan.
"""

from __future__ import annotations

import pandas as pd

from harness.results.costs import step_costs
from harness.results.document import RunDocument
from harness.results.figures import COLUMNS, Figure, figures

OPERATOR_PREFIX = "operator_ticks:"
LEFT_OUT = ("predict_ticks", "state_digest")
"""One prediction and the state after noise say nothing."""


def profile_figures(run: RunDocument) -> pd.DataFrame:
    """Rows of one profile, columns `COLUMNS`: the figures by name, then the operators in execution order."""
    table = figures([run])
    table = table[~table["figure"].isin(LEFT_OUT)]
    rows = pd.DataFrame([list(row) for row in _operator_figures(run)], columns=list(COLUMNS), dtype=object)
    return pd.concat([table, rows], ignore_index=True)


def _operator_figures(run: RunDocument) -> list[Figure]:
    costs, series = step_costs(run), run.step_ticks
    if costs is None or series is None:
        return []
    return [
        Figure(
            run.method,
            run.target,
            f"{OPERATOR_PREFIX}{entry.operator.name}",
            series.kind,
            series.unit,
            entry.cost.ticks,
            entry.cost.ticks,
            entry.cost.ticks,
        )
        for entry in costs.operators
    ]
