"""`trainbench farm emulators`: emulated boards, labgrid's exporter that offers them, and their places."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import FarmError, UsageError
from harness.farm.emulators import EmulatedBoard, exporter_file, group_name, serve, start_exporter
from harness.farm.hold import make_places
from harness.farm.messages import NewPlace
from harness.targets import load_target


def export_emulators(
    coordinator: str,
    name: str,
    targets: Sequence[str],
    host: str,
    tags: Sequence[str],
    ready: Callable[[], None],
) -> None:
    """Serve until interrupted; `ready` is called once boards are offered. FarmError: the exporter ended."""
    extra = dict(_tag(text) for text in tags)
    boards = [EmulatedBoard(load_target(target), host) for target in targets]
    with tempfile.TemporaryDirectory(prefix="trainbench-farm-") as folder:
        configuration = Path(folder) / "exporter.yaml"
        configuration.write_text(exporter_file(boards, host, name), encoding="utf-8")
        exporter = None
        try:
            make_places(
                coordinator,
                tuple(
                    NewPlace(
                        name=group_name(name, number),
                        tags={**extra, "target": board.target.name},
                        match=f"{name}/{group_name(name, number)}/*",
                    )
                    for number, board in enumerate(boards)
                ),
            )
            exporter = start_exporter(coordinator, name, configuration)
            ready()
            serve(boards, lambda: exporter.poll() is None)
            raise FarmError(
                f"labgrid's exporter ended: {exporter.how_it_ended()}: {exporter.output()[-400:]}"
            )
        finally:
            if exporter is not None:
                exporter.end(grace=2.0)
            for board in boards:
                board.close()


def _tag(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key or not value:
        raise UsageError(f"{text!r} is no tag; write KEY=VALUE")
    return key, value
