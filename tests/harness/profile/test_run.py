"""The folder of a profile's builds."""

from __future__ import annotations

import shutil

import pytest

from harness.errors import BuildError
from harness.profile.run import build_folder


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ValueError()])
def test_the_folder_is_gone_afterwards(error: BaseException | None) -> None:
    def use() -> None:
        nonlocal used
        with build_folder() as used:
            (used / "file").touch()
            if error is not None:
                raise error

    used = None
    if error is None:
        use()
    else:
        with pytest.raises(type(error)):
            use()
    assert used is not None
    assert not used.exists()


def test_the_log_that_a_build_error_names_stays() -> None:
    with pytest.raises(BuildError), build_folder() as folder:
        (folder / "build.log").touch()
        raise BuildError("see the log")
    assert (folder / "build.log").exists()
    shutil.rmtree(folder)
