"""The paper document: figures of the paper, each beside ours or beside the reason why there is none of ours.

It summarizes run documents, which it names by their paths; the report reads both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from harness.errors import ResultsError
from harness.results.document import Document, Kind, RunDocument
from harness.results.store import MAXIMUM_BYTES, load_document, write_atomically

FILE_NAME = "paper.json"
PAPER_SCHEMA_VERSION = 1

FigureName = Literal["extra_memory", "peak_sram", "step_ticks", "accuracy_after"]
"""As in `harness.results.figures`."""

FACTORS = {
    ("bytes", "KB"): 1 / 1024,
    ("bytes", "MB"): 1 / 1024**2,
    ("fraction", "%"): 100.0,
}
"""By what a figure of ours in the first unit is multiplied for the paper's unit."""


class Published(Document):
    """A figure of the paper."""

    place: str
    """e.g. 'Table 1, row int8 SGD-M, column VWW'."""
    table: str
    title: str
    row: str
    column: str
    value: float = Field(allow_inf_nan=False)
    unit: str
    plus_minus: float | None = Field(default=None, allow_inf_nan=False)
    plus_minus_means: str = ""
    note: str = ""


class Own(Document):
    """A figure of ours, with its interval or range."""

    value: float = Field(allow_inf_nan=False)
    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    unit: str
    kind: Kind
    target: str
    runs: tuple[str, ...]
    """Paths of the run documents it comes of, relative to the paper document."""
    note: str = ""


class Line(Document):
    """One figure of one cell.

    status: done (there is a figure of ours), not-run, failed (`reason` says why), published-only (nothing of
    ours is comparable; `reason` says why).
    """

    network: str
    dataset: str = ""
    method: str = ""
    figure: FigureName
    status: Literal["done", "not-run", "failed", "published-only"]
    reason: str = ""
    published: Published | None = None
    own: Own | None = None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in the paper's unit; None where the units cannot be held together."""
        if self.published is None or self.own is None:
            return None
        factor = FACTORS.get((self.own.unit, self.published.unit))
        return None if factor is None else self.own.value * factor - self.published.value

    @property
    def agrees(self) -> bool | None:
        """Whether ours is the published figure, to its last printed digit; None without a difference."""
        if self.difference is None or self.published is None:
            return None
        return abs(self.difference) <= (self.published.plus_minus or 0.0) + 1e-9


class Quotient(Document):
    """A quotient of two published figures, beside that of ours. `reason`: why there is none of ours."""

    title: str
    place: str
    published: float = Field(allow_inf_nan=False)
    published_of: str
    """e.g. '8501 ms / 3448 ms'."""
    own: float | None = Field(default=None, allow_inf_nan=False)
    own_of: str = ""
    kind: Kind | None = None
    reason: str = ""


class Ranked(Document):
    """One method of an order. Accuracies in percent."""

    method: str
    published: float = Field(allow_inf_nan=False)
    own: float = Field(allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)


class Pair(Document):
    """Two methods, the first of which the paper has ahead.

    verdict: agree and disagree where the interval of our paired difference excludes zero; undecided where it
    does not; tie where the paper's own figures are too near each other to be in an order.
    """

    ahead: str
    behind: str
    published: float = Field(allow_inf_nan=False)
    """Points by which it is ahead in the paper."""
    own: float = Field(allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    verdict: Literal["agree", "disagree", "undecided", "tie"]


class Order(Document):
    """How the methods of one column rank in the paper and here."""

    title: str
    place: str
    network: str
    dataset: str
    note: str = ""
    ranked: tuple[Ranked, ...]
    pairs: tuple[Pair, ...]
    rank_correlation: float | None = Field(default=None, ge=-1, le=1)
    """Spearman's, between the two columns; None for fewer than three methods or equal figures only."""

    def count(self, verdict: str) -> int:
        return sum(pair.verdict == verdict for pair in self.pairs)


class PaperDocument(Document):
    schema_version: Literal[1] = 1
    suite: str
    title: str
    description: str
    paper: str
    """What is published where."""
    reduced: str = ""
    """How the run is smaller than the paper's; empty: it is not."""
    remarks: tuple[str, ...] = ()
    """What puts figures in doubt."""
    warnings: tuple[str, ...] = ()
    """What is to be known about how they were made."""
    lines: tuple[Line, ...]
    quotients: tuple[Quotient, ...] = ()
    orders: tuple[Order, ...] = ()
    runs: tuple[str, ...] = ()
    """Paths of all run documents, relative to this one."""


def save_paper(folder: Path, document: PaperDocument) -> Path:
    """Store `document` as `folder`/paper.json; its path."""
    path = folder / FILE_NAME
    write_atomically(path, document.model_dump_json(indent=1) + "\n")
    return path


def load_paper(folder: Path) -> PaperDocument:
    """Read `folder`/paper.json; ResultsError when it is missing, broken or of another schema version."""
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise ResultsError(f"{path} is {path.stat().st_size} bytes long, too long for a paper document")
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path} is not valid JSON ({error}); delete it and run the suite again"
        ) from error
    if not isinstance(fields, dict) or fields.get("schema_version") != PAPER_SCHEMA_VERSION:
        raise ResultsError(
            f"{path} is not a paper document of schema version {PAPER_SCHEMA_VERSION}; run the suite again"
        )
    try:
        return PaperDocument.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path} is not a valid paper document: {where}: {first['msg']}") from error


def load_runs(folder: Path, document: PaperDocument) -> dict[str, RunDocument]:
    """The run documents that `document` names, by these names; ResultsError for one outside `folder`."""
    root = folder.resolve()
    found = {}
    for name in document.runs:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ResultsError(f"{folder / FILE_NAME} names {name!r}, which is outside of its folder")
        found[name] = load_document(path)
    return found
