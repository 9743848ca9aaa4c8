from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.schemes import Scheme, read_scheme
from harness.search.scheme_file import scheme_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCHEMES = st.builds(
    Scheme,
    name=TEXT,
    description=TEXT,
    bias_last=st.integers(0, 100),
    weights=st.dictionaries(st.integers(0, 99), st.floats(0.001, 1.0), max_size=4).map(
        lambda ratios: tuple(sorted(ratios.items()))
    ),
    selection=st.sampled_from(["magnitude", "first"]),
    network=st.tuples(st.integers(0, 99), st.integers(0, 10**6)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCHEMES, st.lists(TEXT, max_size=3))
def test_what_is_written_is_read(tmp_path: Path, scheme: Scheme, comments: list[str]) -> None:
    path = tmp_path / "scheme.toml"
    path.write_bytes(scheme_toml(scheme, [c for c in comments if c.isprintable()]).encode())
    assert read_scheme(path) == scheme
