"""The wheel: what a user gets with `pip install` has to work without the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "fixtures", "harness", "reports", "suites", "targets")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_every_file_of_the_packages(wheel: Path) -> None:
    files = [p for package in PACKAGES for p in (REPOSITORY / package).rglob("*") if p.is_file()]
    expected = {p.relative_to(REPOSITORY).as_posix() for p in files if "__pycache__" not in p.parts}
    assert expected <= set(zipfile.ZipFile(wheel).namelist())
    assert {"targets/qemu-mps2-an500/target.toml", "engine/runtime/trainer.h"} <= expected


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_metadata_names_the_licence_and_the_entry_points(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {n.rpartition("/")[2]: n for n in archive.namelist() if ".dist-info/" in n}
    metadata = archive.read(texts["METADATA"]).decode()
    assert "License-Expression: Apache-2.0\n" in metadata
    assert archive.read(texts["LICENSE"]) == (REPOSITORY / "LICENSE").read_bytes()
    entry_points = archive.read(texts["entry_points.txt"]).decode()
    assert "trainbench = harness.cli:main" in entry_points
    assert "[pyocd.probe]" in entry_points
    assert "[pytest11]" in entry_points


def test_the_wheel_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import harness.targets as t; "
        "print(t.__file__); print(*(t.load_target(n).name for n in t.target_names()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    file, names = answer.stdout.splitlines()
    assert Path(file).is_relative_to(site)
    boards = ["nucleo-f446re", "nucleo-h743zi2", "nucleo-l4r5zi"]
    emulators = ["qemu-mps2-an386", "qemu-mps2-an500", "renode-stm32f7"]
    assert names.split() == ["host", *boards, *emulators, "stm32f746g-disco"]
