"""Imports go one way. They are read from the syntax tree, so lazy ones count too."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "fixtures", "harness", "reports", "suites", "targets")
OURS = {*PACKAGES, "tests"}

ALLOWED = {
    "engine": {"engine"},
    "fixtures": {"fixtures", "engine"},
    "harness": {"harness", "engine", "fixtures"},
    "harness/commands": {"harness", "engine", "fixtures", "reports"},
    "reports": {"reports", "harness.results"},
    "suites": {"suites", "harness", "engine"},
}


def imported_modules(path: Path, tree: ast.AST) -> set[str]:
    """Dotted names of all modules that a file imports, anywhere in it; relative ones resolved."""
    package = path.relative_to(REPOSITORY).parent.parts
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return names


def rule_for(path: Path) -> set[str]:
    """The longest folder in ALLOWED that `path` lies in."""
    relative = path.relative_to(REPOSITORY).as_posix()
    return ALLOWED[max((folder for folder in ALLOWED if relative.startswith(folder + "/")), key=len)]


def forbidden(path: Path, source: str) -> list[str]:
    """Modules of ours that `source`, standing at `path`, imports but may not."""
    allowed = rule_for(path)
    names = (n for n in imported_modules(path, ast.parse(source)) if n.partition(".")[0] in OURS)
    return sorted(n for n in names if not any(n == a or n.startswith(a + ".") for a in allowed))


def test_every_import_goes_the_allowed_way() -> None:
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    assert len(files) > 20
    wrong = {str(p.relative_to(REPOSITORY)): f for p in files if (f := forbidden(p, p.read_text("utf-8")))}
    assert wrong == {}


def test_a_target_is_a_folder_without_python() -> None:
    assert sorted((REPOSITORY / "targets").rglob("*.py")) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("engine/a.py", "import harness", ["harness"]),
        ("engine/a.py", "from engine.plan import Plan", []),
        ("engine/passes/a.py", "from ...harness import build", ["harness.build"]),
        ("engine/a.py", "from . import plan", []),
        ("engine/a.py", "def f():\n    import fixtures.backbones", ["fixtures.backbones"]),
        ("engine/a.py", "import importlib\nimportlib.import_module('harness.cli')", ["harness.cli"]),
        ("harness/a.py", "from reports import html", ["reports.html"]),
        ("harness/commands/a.py", "from reports import html\nimport fixtures", []),
        ("harness/commands/a.py", "import suites.people_detection", ["suites.people_detection"]),
        ("reports/a.py", "from harness.results.document import RunDocument", []),
        ("reports/a.py", "from harness.results import document", []),
        ("reports/a.py", "from harness import results_of_another_kind", ["harness.results_of_another_kind"]),
        ("reports/a.py", "from engine.plan import Plan", ["engine.plan.Plan"]),
        ("fixtures/a.py", "from harness import errors", ["harness.errors"]),
        ("suites/a.py", "import tests.helpers", ["tests.helpers"]),
    ],
)
def test_the_check_itself(path: str, source: str, expected: list[str]) -> None:
    assert forbidden(REPOSITORY / path, source) == expected
