"""Where a figure comes from: git revision, versions, host, and a digest of all that determines a result."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import harness

PROJECT_ROOT = Path(harness.__file__).resolve().parent.parent
SOURCE_FOLDERS = ("engine", "fixtures/peers", "fixtures/schemes", "harness", "targets")
"""Code and data that shape a result; reports and tests do not."""

SOURCE_SUFFIXES = frozenset({".py", ".c", ".h", ".S", ".ld", ".toml", ".in"})
_GIT_SECONDS = 10
_PACKAGES = ("numpy", "pyocd", "pyserial", "pydantic")


def trainbench_version() -> str:
    try:
        return importlib.metadata.version("trainbench")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def git_revision(root: Path = PROJECT_ROOT) -> tuple[str | None, bool | None]:
    """(commit, dirty) of the checkout trainbench runs from; (None, None) outside one or without git."""
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None, None
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain")
    return commit, None if status is None else bool(status)


@functools.cache
def running_revision() -> tuple[str | None, bool | None]:
    """`git_revision` as this process, or the one it is a fork of, first found it: of what it imported."""
    return git_revision()


def _git(root: Path, *arguments: str) -> str | None:
    try:
        completed = subprocess.run(
            # A lock that we are killed with would stay in the user's repository.
            ["git", "--no-optional-locks", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return completed.stdout.strip() if completed.returncode == 0 else None


def host_description() -> str:
    """Operating system, machine and processor, one line."""
    return f"{platform.system()} {platform.release()} {platform.machine()}, {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else "unknown processor"


def package_versions() -> dict[str, str]:
    """Versions of the libraries that figures pass through."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        versions[name] = package_version(name)
    return versions


@functools.cache
def package_version(name: str) -> str:
    """Of an installed distribution. Kept, because looking one up reads every folder of packages."""
    return importlib.metadata.version(name)


@functools.cache
def source_digest(root: Path = PROJECT_ROOT, folders: tuple[str, ...] = SOURCE_FOLDERS) -> str:
    """SHA-256 over the project's own sources: it changes with every edit, committed or not."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES and path.is_file():
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def inputs_digest(inputs: Mapping[str, object]) -> str:
    """SHA-256 of a JSON-able description of a run's inputs, independent of key order."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
