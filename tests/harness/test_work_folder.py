"""What becomes of a command's temporary folder."""

import pytest

from harness.errors import BuildError, MeasurementError
from harness.work_folder import work_folder


def test_it_is_removed() -> None:
    with work_folder("test") as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()


@pytest.mark.parametrize("error", [MeasurementError, KeyboardInterrupt])
def test_it_is_removed_after_an_error(error: type[BaseException]) -> None:
    with pytest.raises(error), work_folder("test") as folder:
        raise error
    assert not folder.exists()


def test_the_log_of_a_build_that_failed_is_kept() -> None:
    with pytest.raises(BuildError), work_folder("test") as folder:
        (folder / "build.log").write_text("what the tools said")
        raise BuildError
    assert (folder / "build.log").is_file()
    (folder / "build.log").unlink()
    folder.rmdir()
