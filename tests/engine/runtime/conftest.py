"""The kernels under test, built once a session with the host's gcc."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # helper modules: import-mode=importlib adds no folder by itself

import kernel_bindings


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> kernel_bindings.Kernels:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    kernel_bindings.build_library(["gcc", "-O3"], library)
    return kernel_bindings.Kernels(library)
