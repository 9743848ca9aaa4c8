"""Programs end with their deadline, and what they said is kept."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.deadline import Deadline
from harness.errors import DeviceHang
from harness.firmware.run_tool import run_tool


def test_exit_code_and_output(tmp_path: Path) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    log = tmp_path / "log"
    assert run_tool([sys.executable, "-u", "-c", program], tmp_path, log, Deadline.after(20)) == 7
    assert sorted(log.read_text().split()) == ["err", "out"]


def test_deadline_ends_the_program_and_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(DeviceHang, match="sh runs in"):
        run_tool(["sh", "-c", "sleep 60 & echo $!; wait"], tmp_path, log, Deadline.after(0.5))
    child = int(log.read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_program_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from harness.deadline import Deadline\n"
        "from harness.firmware.run_tool import run_tool\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "run_tool(['sh', '-c', 'echo $$; exec sleep 60'], folder, folder / 'log', Deadline.after(50))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = Deadline.after(30)
    while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text().strip():
        deadline.check("the tool starts")
    child = psutil.Process(int((tmp_path / "log").read_text()))
    parent.kill()
    parent.wait()
    child.wait(10)
