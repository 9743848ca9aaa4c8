"""Update rules leave the host's state on an emulated Cortex-M7 too."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from engine.frontends.npz_file import write_npz
from harness.profile.run import ProfileRequest, profile_scheme

STEPS = 20
RATES = {"adam": 1e4, "lars": 1e6}
"""Of convolutions, so that weights move at a profile's learning rate. sgd runs on devices in the suites, and
momentum is the second half of lars."""


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network of the compiler's tests; test folders are no packages, so it is loaded by path."""
    source = Path(__file__).parents[2] / "engine" / "small_networks.py"
    spec = importlib.util.spec_from_file_location("small_networks_for_profiles", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("backbone") / "small.npz"
    write_npz(module.small_backbone(), path)
    return path


@pytest.mark.emulator
@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
@pytest.mark.parametrize("rule", RATES)
def test_state_is_the_host_s_on_an_emulator(backbone_file: Path, tmp_path: Path, rule: str) -> None:
    found = {}
    for target in ("host", "qemu-mps2-an500"):
        request = ProfileRequest(
            backbone=backbone_file,
            scheme="last:4",
            classes=4,
            target=target,
            rounding="stochastic",
            gradient="i16",
            steps=STEPS,
            rule=rule,
            convolution_rate=RATES[rule],
        )
        run = profile_scheme(request, tmp_path / target, lambda done, total: None)
        found[target] = run.digests
        assert run.scheme.rule == rule
    (host,), (device,) = found.values()
    assert (host.steps, host.state) == (device.steps, device.state)
    assert host.steps == STEPS
