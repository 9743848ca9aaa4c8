"""The kernels under test, both of their paths, built once a session with the host's gcc."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # helper modules: import-mode=importlib adds no folder by itself

import kernel_bindings

PATHS = {"plain": [], "dsp": ["-DTB_DSP=1"], "vector": ["-mavx2"], "native": ["-march=native"]}


@pytest.fixture(scope="session", params=PATHS)
def kernels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> kernel_bindings.Kernels:
    """The plain loops, those with vectors, and the paths for DSP instructions, emulated here."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    if request.param == "vector" and not kernel_bindings.runs_avx2():
        pytest.skip("this processor has no AVX2")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    kernel_bindings.build_library(["gcc", "-O3", *PATHS[request.param]], library)
    return kernel_bindings.Kernels(library)
