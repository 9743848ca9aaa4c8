"""`./trainbench` in a sandbox: a copy of the script, stand-ins for the package managers, an environment.

The stand-ins are there because neither a missing package nor a failing apt can be caused on the machine.
"""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "trainbench"
NAMES = runpy.run_path(str(SCRIPT), run_name="bootstrap")
RUN_PACKAGES: tuple[str, ...] = NAMES["RUN_PACKAGES"]
BROWSER_PACKAGES: tuple[str, ...] = () if NAMES["is_ubuntu"]() else NAMES["BROWSER_PACKAGES"]
INSTALL = "apt-get install --yes --no-install-recommends"
DEADLINE = 60.0

DPKG_QUERY = """
for name in "$@"; do grep -qx "$name" "$SANDBOX/installed" && echo "$name installed"; done
exit 1
"""
APT_GET = """
echo "apt-get $* [$DEBIAN_FRONTEND]" >> "$SANDBOX/log"
test ! -e "$SANDBOX/apt-fails" || exit 100
test "$1" = update || { shift; printf '%s\\n' "$@" >> "$SANDBOX/installed"; }
echo "noise of apt"
"""
SUDO = """
test -e "$SANDBOX/may-sudo" || exit 1
shift
test "$1" = true || echo sudo >> "$SANDBOX/log"
exec "$@"
"""
PYTHON = """
case "$1 $2" in
"-m pip")
    echo pip >> "$SANDBOX/log"
    test ! -e "$SANDBOX/pip-fails" || exit 1
    if test -e "$SANDBOX/pip-hangs"; then echo $$ > "$SANDBOX/pip-pid"; exec sleep 600; fi
    while test -e "$SANDBOX/pip-waits"; do sleep 0.01; done
    printf '#!/bin/sh\\necho "trainbench $*"; pwd; exit 7\\n' > "$SANDBOX/.venv/bin/trainbench"
    chmod +x "$SANDBOX/.venv/bin/trainbench"
    echo "noise of pip";;
"-m tox") shift 2; echo "tox $*"; pwd;;
*) echo "$VERSION";;
esac
"""


class Background:
    """A start that runs beside the test; what it says goes to a file that can be read meanwhile."""

    def __init__(self, command: list[str], environment: dict[str, str], errors: Path) -> None:
        self.error_file = errors
        with errors.open("w") as file:
            # Tests that run in the background inherit an ignored SIGINT; the script would keep ignoring it.
            self.process = subprocess.Popen(
                ["/usr/bin/env", "--default-signal=INT", *command],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )

    def errors(self) -> str:
        return self.error_file.read_text()

    def finish(self) -> int:
        return self.process.wait(DEADLINE)


class Sandbox:
    """A checkout of the script alone; `log` has the package managers' calls in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = root / "trainbench"
        self.log_file = root / "log"
        self.backgrounds = 0
        shutil.copy(SCRIPT, self.script)
        (root / "pyproject.toml").write_text("# a project\n")
        self.install(*RUN_PACKAGES)
        self.log_file.touch()
        self.stub("bin/dpkg-query", DPKG_QUERY)
        self.stub("bin/apt-get", APT_GET)
        self.stub("bin/sudo", SUDO)
        self.stub("bin/id", "echo 0")
        self.stub(".venv/bin/python", PYTHON)
        (root / ".venv/bin/pip").write_text(f"#!{root / '.venv/bin/python'}\n")
        self.environment = {
            **os.environ,
            "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "SANDBOX": str(root),
            "VERSION": sys.version,
        }

    def stub(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text.strip()}\n")
        path.chmod(0o755)

    def install(self, *packages: str) -> None:
        (self.root / "installed").write_text("".join(f"{package}\n" for package in packages))

    def flag(self, name: str) -> Path:
        path = self.root / name
        path.touch()
        return path

    def command(self, *arguments: str, prelude: str = "") -> list[str]:
        """The script as a user starts it, or after `prelude`, Python that changes what it finds."""
        if not prelude:
            return [sys.executable, str(self.script), *arguments]
        start = f"import runpy; runpy.run_path({str(self.script)!r}, run_name='__main__')"
        return [sys.executable, "-c", f"import sys\n{prelude}\n{start}", *arguments]

    def start(self, *arguments: str, prelude: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, prelude=prelude),
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )

    def start_in_background(self) -> Background:
        self.backgrounds += 1
        return Background(self.command("run"), self.environment, self.root / f"errors{self.backgrounds}")

    def log(self) -> list[str]:
        return self.log_file.read_text().splitlines()

    def stamps(self) -> set[str]:
        state = self.root / ".trainbench"
        return {path.name for path in state.iterdir()} - {"setup.lock"} if state.exists() else set()


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def test_the_process_becomes_the_program_with_its_arguments_output_and_exit_code(sandbox: Sandbox) -> None:
    first = sandbox.start("run", "people-detection", "--seed", "1 2")
    assert (first.returncode, first.stdout) == (7, "trainbench run people-detection --seed 1 2\n/\n")
    assert "noise of pip" in first.stderr
    assert sandbox.stamps() == {"system-run", "python"}


def test_a_second_start_asks_no_package_manager(sandbox: Sandbox) -> None:
    sandbox.start("--version")
    before = sandbox.log()
    sandbox.stub("bin/dpkg-query", 'echo dpkg-query >> "$SANDBOX/log"')
    again = sandbox.start("--version")
    assert (again.returncode, again.stdout, again.stderr) == (7, "trainbench --version\n/\n", "")
    assert sandbox.log() == before


def test_only_missing_packages_are_installed_after_one_update(sandbox: Sandbox) -> None:
    sandbox.install(*(p for p in RUN_PACKAGES if p not in ("clang", "qemu-system-arm")))
    assert sandbox.start("run").returncode == 7
    assert sandbox.log() == [
        "apt-get update [noninteractive]",
        f"{INSTALL} -o DPkg::Lock::Timeout=300 clang qemu-system-arm [noninteractive]",
        "pip",
    ]


def test_apt_is_left_alone_where_nothing_is_missing(sandbox: Sandbox) -> None:
    sandbox.start("run")
    assert sandbox.log() == ["pip"]


def test_without_root_and_sudo_the_exact_line_is_printed(sandbox: Sandbox) -> None:
    sandbox.stub("bin/id", "echo 1000")
    sandbox.install("gcc", "libc6-dev", "clang")
    answer = sandbox.start("run")
    assert answer.returncode == 2
    expected = (
        f"sudo apt-get update && sudo {INSTALL} ccache gcc-arm-none-eabi libnewlib-arm-none-eabi"
        " qemu-system-arm"
    )
    assert answer.stderr.splitlines()[-1] == expected
    assert (sandbox.log(), sandbox.stamps()) == ([], set())


def test_passwordless_sudo_is_used(sandbox: Sandbox) -> None:
    sandbox.stub("bin/id", "echo 1000")
    sandbox.flag("may-sudo")
    sandbox.install(*RUN_PACKAGES[1:])
    assert sandbox.start("run").returncode == 7
    assert [line.split(" ")[0] for line in sandbox.log()] == ["sudo", "apt-get", "sudo", "apt-get", "pip"]


def test_arguments_of_test_are_those_of_pytest(sandbox: Sandbox) -> None:
    sandbox.start("test")
    assert sandbox.start("test").stdout.startswith("tox \n")
    assert sandbox.start("test", "--durations=60", "-k", "x").stdout.startswith(
        "tox -- --durations=60 -k x\n"
    )


def test_test_adds_the_browser_and_runs_tox_in_the_checkout(sandbox: Sandbox) -> None:
    sandbox.start("run")
    answer = sandbox.start("test", "-e", "lint", "--")
    assert (answer.returncode, answer.stdout) == (0, f"tox -e lint --\n{sandbox.root}\n")
    assert sandbox.log()[0] == "pip"
    assert [line.split(" [")[0].split("300 ")[-1] for line in sandbox.log()[2:]] == (
        [" ".join(BROWSER_PACKAGES)] if BROWSER_PACKAGES else []
    )
    assert sandbox.stamps() == {"system-run", "system-test", "python"}


def test_pythons_venv_package_is_installed_where_debian_left_it_out(sandbox: Sandbox) -> None:
    sandbox.start("run", prelude="sys.modules['ensurepip'] = None")
    version = "{}.{}".format(*sys.version_info[:2])
    assert sandbox.log()[1].split(" [")[0].endswith(f" python{version}-venv")


def test_an_apt_that_fails_leaves_no_stamp_and_is_tried_again(sandbox: Sandbox) -> None:
    sandbox.install()
    fails = sandbox.flag("apt-fails")
    answer = sandbox.start("run")
    assert answer.returncode == 2
    assert f"trainbench: apt-get could not install {' '.join(RUN_PACKAGES)}" in answer.stderr
    assert sandbox.stamps() == set()
    fails.unlink()
    assert sandbox.start("run").returncode == 7


def test_a_pip_that_fails_leaves_no_stamp_and_is_tried_again_without_apt(sandbox: Sandbox) -> None:
    fails = sandbox.flag("pip-fails")
    answer = sandbox.start("run")
    assert answer.returncode == 2
    assert "pip could not install the project" in answer.stderr
    assert sandbox.stamps() == {"system-run"}
    fails.unlink()
    assert sandbox.start("run").returncode == 7
    assert sandbox.log() == ["pip", "pip"]


def test_a_changed_pyproject_installs_again(sandbox: Sandbox) -> None:
    sandbox.start("run")
    (sandbox.root / "pyproject.toml").write_text("# another project\n")
    sandbox.start("run")
    sandbox.start("run")
    assert sandbox.log() == ["pip", "pip"]


def test_a_missing_program_installs_again(sandbox: Sandbox) -> None:
    sandbox.start("run")
    (sandbox.root / ".venv/bin/trainbench").unlink()
    assert sandbox.start("run").returncode == 7


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_starts_at_once_set_up_once(sandbox: Sandbox) -> None:
    waits = sandbox.flag("pip-waits")
    first = sandbox.start_in_background()
    wait_for(lambda: sandbox.log() == ["pip"])
    second = sandbox.start_in_background()
    wait_for(lambda: "waiting for it to end" in second.errors())
    waits.unlink()
    assert [first.finish(), second.finish()] == [7, 7]
    assert sandbox.log() == ["pip"]


@pytest.fixture
def hanging(sandbox: Sandbox) -> Iterator[tuple[Sandbox, Background, int]]:
    """A set-up in the middle of pip, and pip's process id."""
    sandbox.flag("pip-hangs")
    pid_file = sandbox.flag("pip-pid")
    start = sandbox.start_in_background()
    try:
        wait_for(lambda: pid_file.read_text().endswith("\n"))
        yield sandbox, start, int(pid_file.read_text())
    finally:
        if start.process.poll() is None:
            os.killpg(start.process.pid, signal.SIGKILL)
            start.finish()


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a zombie that nobody waits for has."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_ctrl_c_ends_the_set_up_without_a_stamp(hanging: tuple[Sandbox, Background, int]) -> None:
    sandbox, start, pid = hanging
    os.killpg(start.process.pid, signal.SIGINT)  # what a terminal does
    assert start.finish() == 130
    assert start.errors().endswith("\ntrainbench: set-up interrupted; the next start takes it up again\n")
    assert "Traceback" not in start.errors()
    assert sandbox.stamps() == {"system-run"}
    wait_for(lambda: is_gone(pid))


def test_sigterm_ends_pip_too(hanging: tuple[Sandbox, Background, int]) -> None:
    sandbox, start, pid = hanging
    start.process.terminate()
    assert start.finish() == 143
    assert "Traceback" not in start.errors()
    assert sandbox.stamps() == {"system-run"}
    wait_for(lambda: is_gone(pid))


def test_pip_ends_when_the_set_up_is_killed(hanging: tuple[Sandbox, Background, int]) -> None:
    sandbox, start, pid = hanging
    start.process.kill()
    start.finish()
    wait_for(lambda: is_gone(pid))
    (sandbox.root / "pip-hangs").unlink()
    assert sandbox.start("run").returncode == 7


def test_an_old_python_is_refused_in_one_sentence(sandbox: Sandbox) -> None:
    answer = sandbox.start("run", prelude="sys.version_info = (3, 10, 4, 'final', 0)")
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "needs Python 3.11 or newer, but" in answer.stderr
    assert "is 3.10.4" in answer.stderr


def test_a_system_without_dpkg_is_told_what_to_install(sandbox: Sandbox) -> None:
    (sandbox.root / "bin/dpkg-query").unlink()
    sandbox.environment["PATH"] = str(sandbox.root / "bin")
    answer = sandbox.start("run")
    assert answer.returncode == 2
    assert "neither Debian nor Ubuntu" in answer.stderr
    assert " ".join(RUN_PACKAGES) in answer.stderr


def test_a_broken_environment_is_made_anew_with_pip(sandbox: Sandbox) -> None:
    (sandbox.root / ".venv/bin/pip").unlink()
    (sandbox.root / ".venv/leftover").touch()
    (sandbox.root / "pyproject.toml").write_text("this is no TOML\n")
    answer = sandbox.start(
        "run"
    )  # the environment is real, so is its pip, and the project cannot be installed
    assert answer.returncode == 2
    assert (sandbox.root / ".venv/bin/pip").exists()
    assert not (sandbox.root / ".venv/leftover").exists()
    assert "pip could not install the project" in answer.stderr
    assert sandbox.stamps() == {"system-run"}
