"""Networks small enough to run often, and the trainers compiled from them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Helper modules: import-mode=importlib adds no folder by itself.
sys.path.insert(0, str(Path(__file__).parent))

from small_networks import small_backbone
from trainer_builds import KernelObjects

from engine.frontends.backbone import Backbone


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return small_backbone()


@pytest.fixture(scope="session")
def kernel_objects(tmp_path_factory: pytest.TempPathFactory) -> KernelObjects:
    return KernelObjects(tmp_path_factory.mktemp("kernel-objects"))
