"""A process that has imported trainbench and forks one that runs it, once for each line of JSON it reads.

`{"argv": […], "stderr": FILE, "environment": {…}, "builds": FILE or null, "save": FILE or null,
"elf": FILE or null, "file_limit": BYTES or null}`. Answers `started PID`, then `ended WAIT_STATUS`.
The fork runs the command line as `trainbench` does; only compiling and building are left out where `builds`
(pickled) has what they make, and the profiling builds always.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

if (
    __name__ == "__main__"
):  # each job of a run imports this module under another name, and needs nothing of it
    import harness.devices.qemu
    import harness.run.execute
    import harness.run.request
    import harness.run.runner as runner
    import reports
    from harness import cli
    from harness.provenance import source_digest
    from harness.run.builds import Builds

    _RUN_SUITE = runner.run_suite
    __all__ = ["harness", "reports"]


def run(told: dict[str, Any]) -> NoReturn:
    """In the fork: become a trainbench."""
    os.setsid()
    os.environ.update(told["environment"])
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    errors = os.open(told["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    if told["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["file_limit"], resource.RLIM_INFINITY))
    builds = None if told["builds"] is None else pickle.loads(Path(told["builds"]).read_bytes())
    if told["elf"] is not None:
        builds = with_elf(builds, Path(told["elf"]))

    def run_suite(request: runner.Request, watcher: runner.Watcher) -> list[Any]:
        wanted = builds or Builds(request.out / runner.BUILD_FOLDER)
        documents = _RUN_SUITE(replace(request, profile=False), watcher, wanted)
        if told["save"] is not None:
            Path(told["save"]).write_bytes(pickle.dumps(wanted))
        return documents

    runner.run_suite = run_suite
    sys.argv = ["trainbench", *told["argv"]]
    cli.main()


def with_elf(builds: Builds, elf: Path) -> Builds:
    """The same builds with the emulator's firmware in another place."""
    prepared = {
        key: replace(
            made,
            firmware={
                name: firmware if name == "host" else replace(firmware, elf=elf)
                for name, firmware in made.firmware.items()
            },
        )
        for key, made in builds.prepared.items()
    }
    return Builds(builds.folder, prepared)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    source_digest()  # kept by this process: edits made meanwhile change nothing for its forks
    say("ready")
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(told)
        say(f"started {pid}")
        _, status = os.waitpid(pid, 0)
        say(f"ended {status}")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(sys.argv[1:])
