"""The synthetic run documents of the report's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    """tests/reports/documents.py; test folders are no packages, so it is loaded by path."""
    name = "report_documents"
    if name not in sys.modules:
        path = Path(__file__).parents[2] / "reports" / "documents.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
