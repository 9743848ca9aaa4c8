from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MOST_LINES = 400


def test_no_source_file_grows_into_a_heap() -> None:
    folders = ("engine", "fixtures", "harness", "reports", "suites", "targets")
    files = [p for f in folders for suffix in ("*.py", "*.c", "*.h") for p in (REPOSITORY / f).rglob(suffix)]
    lengths = {str(p.relative_to(REPOSITORY)): len(p.read_text("utf-8").splitlines()) for p in files}
    assert {name: count for name, count in lengths.items() if count > MOST_LINES} == {}
