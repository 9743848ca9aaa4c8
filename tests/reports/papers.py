"""Synthetic paper documents: everything that a line, a quotient and an order can be."""

from __future__ import annotations

from typing import Any

from harness.results.paper import Line, Order, Own, Pair, PaperDocument, Published, Quotient, Ranked

KB = 1024
RUN = "mcunet-5fps/cost/full.run.json"


def published(value: float, unit: str, column: str, **more: Any) -> Published:
    fields = {"place": f"Table 1, row r, column {column}", "table": "Table 1", "title": "Rules", "row": "r"}
    return Published.model_validate({**fields, "column": column, "value": value, "unit": unit, **more})


def own(value: float, unit: str, kind: str = "measured", **more: Any) -> Own:
    return Own.model_validate(
        {"value": value, "unit": unit, "kind": kind, "target": "qemu-mps2-an500", "runs": (RUN,), **more}
    )


def lines() -> tuple[Line, ...]:
    """Done, analytic and equal, not run, failed, published only, without a published figure, a mean."""

    def line(method: str, figure: str, status: str = "done", **more: Any) -> Line:
        about = {"network": "mcunet-5fps", "method": method, "figure": figure, "status": status}
        return Line.model_validate({**about, **more})

    rate = {"low": 0.82, "high": 0.91, "note": "reduced: 2000 training images"}
    exact = published(49.8, "KB", "extra", plus_minus=0.05, plus_minus_means="printed to 0.1 KB")
    return (
        line("full", "peak_sram", published=published(3650, "KB", "full"), own=own(1_474_500, "bytes")),
        line("full", "extra_memory", own=own(1_434_000, "bytes", "analytic")),
        line("sparse-49kb", "extra_memory", published=exact, own=own(50_944, "bytes", "analytic")),
        line("sparse-49kb", "peak_sram", published=published(173, "KB", "s"), own=own(95_884, "bytes")),
        line("sparse-99kb", "peak_sram", published=published(173, "KB", "s"), own=own(143_620, "bytes")),
        line(
            "sparse-49kb",
            "step_ticks",
            published=published(546, "ms", "time"),
            own=own(37_519_000, "instructions", "simulated", low=37_500_000, high=37_600_000),
        ),
        line(
            "sparse-49kb",
            "accuracy_after",
            dataset="cifar10",
            published=published(86.9, "%", "CF10"),
            own=own(0.87, "fraction", **rate),
        ),
        line("sparse-49kb", "extra_memory", dataset="cifar10", own=own(50_944, "bytes", "analytic")),
        line("last:6", "accuracy_after", dataset="cifar10", own=own(0.8, "fraction", **rate)),
        line("last:6", "extra_memory", dataset="cifar10", own=own(282_976, "bytes", "analytic")),
        line("last-layer", "accuracy_after", dataset="cifar10", own=own(0.7, "fraction")),
        line("last-layer", "extra_memory", dataset="cifar10", own=own(160, "bytes", "analytic")),
        line(
            "sparse-49kb",
            "accuracy_after",
            "not-run",
            dataset="mean",
            published=published(73.5, "%", "Avg."),
            reason="a mean of 8 datasets, of which 1 was run",
        ),
        line("lars", "accuracy_after", "failed", dataset="cifar10", reason="the loss of step 3 is nan"),
        line(
            "",
            "peak_sram",
            "published-only",
            published=published(303, "MB", "PyTorch", note="on a computer"),
            reason="on a computer",
        ),
    )


def paper(**changes: Any) -> PaperDocument:
    """A whole document; `changes` replace fields."""
    ranked = tuple(
        Ranked(method=method, published=there, own=here, low=here - 2, high=here + 2)
        for method, there, here in (("qas", 86.9, 80.0), ("adam", 84.5, 81.0), ("sgd", 75.4, 80.0))
    )
    pairs = tuple(
        Pair.model_validate(
            {
                "ahead": ahead,
                "behind": behind,
                "published": 2.0,
                "own": 1.0,
                "low": -1.0,
                "high": 3.0,
                "verdict": verdict,
            }
        )
        for ahead, behind, verdict in (
            ("qas", "adam", "undecided"),
            ("qas", "sgd", "agree"),
            ("adam", "sgd", "disagree"),
        )
    )
    fields = {
        "suite": "paper-test",
        "title": "A table of the paper",
        "description": "What it is about.",
        "paper": "“On-Device Training Under 256KB Memory”",
        "reduced": "reduced: 2000 training images",
        "lines": lines(),
        "quotients": (
            Quotient(
                title="Full over sparse",
                place="Fig. 10c, row MCUNet",
                published=2.39,
                published_of="13398 ms / 5607 ms",
                own=3.2,
                own_of="full / sparse-49kb",
                kind="simulated",
            ),
            Quotient(
                title="Full over sparse", place="p", published=2.0, published_of="a / b", reason="no ticks"
            ),
        ),
        "orders": (
            Order(
                title="Which rule",
                place="Table 1, column CF10",
                network="mcunet-5fps",
                dataset="cifar10",
                note="reduced",
                ranked=ranked,
                pairs=pairs,
                rank_correlation=0.5,
            ),
        ),
        "warnings": ("adam: the chosen learning rate is the largest of the grid",),
        "runs": (RUN,),
    }
    return PaperDocument.model_validate({**fields, **changes})


def hostile(document: PaperDocument, payload: str) -> PaperDocument:
    """`document` with `payload` at the end of every string that is free text."""
    closed = {"status", "kind", "figure", "verdict"}

    def poison(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: poison(item, name) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [poison(item, key) for item in value]
        if not isinstance(value, str) or key in closed:
            return value
        units = key == "unit" and value in ("bytes", "fraction", "KB", "%", "MB")
        return value if units else value + payload

    return PaperDocument.model_validate(poison(document.model_dump(), ""))
