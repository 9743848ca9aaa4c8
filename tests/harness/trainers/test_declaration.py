"""Reading a folder with a trainer: what is there, what trainer.toml says, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.trainers.declaration import TrainerError, read_trainer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "trainer.c").write_text("int x;\n")
    return made


def test_a_folder_without_a_declaration_is_named_after_itself(folder: Path) -> None:
    trainer = read_trainer(folder)
    assert trainer.name == "mine"
    parts = trainer.parts()
    assert parts.sources == ((folder / "trainer.c").resolve(),)
    assert any((include / "trainer.h").is_file() for include in parts.includes)


def test_its_own_trainer_h_is_taken(folder: Path) -> None:
    (folder / "trainer.h").write_text("\n")
    assert read_trainer(folder).parts().includes == (folder.resolve(),)


def test_the_declaration_is_read(folder: Path) -> None:
    (folder / "engine" / "include").mkdir(parents=True)
    (folder / "engine" / "trainer.c").write_text("int y;\n")
    (folder / "trainer.toml").write_text(
        'name = "other"\nsources = ["*.c", "engine/*.c"]\nincludes = ["engine/include"]\nflags = ["-DX=1"]\n'
        "learning_rate = 0.5\nepochs = 3\n"
    )
    trainer = read_trainer(folder)
    assert (trainer.name, trainer.learning_rate, trainer.epochs) == ("other", 0.5, 3)
    parts = trainer.parts()
    assert [path.name for path in parts.sources] == ["trainer.c", "trainer.c"]
    assert (folder / "engine" / "include").resolve() in parts.includes
    assert parts.flags == ("-DX=1",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rate = -1\n", "learning_rate"),
        ("rate = 1\n", "rate: Extra inputs"),
        ("name = \n", "not valid TOML"),
        ('name = "a/b"\n', "cannot be its name"),
        ("sources = []\n", "sources"),
    ],
)
def test_a_bad_declaration_is_refused_by_name(folder: Path, text: str, words: str) -> None:
    (folder / "trainer.toml").write_text(text)
    with pytest.raises(TrainerError, match=words):
        read_trainer(folder)


@pytest.mark.parametrize("pattern", ["*.cpp", "engine/*.c", "/etc/*.c", "trainer.toml"])
def test_a_pattern_that_gives_no_source_is_refused(folder: Path, pattern: str) -> None:
    (folder / "trainer.toml").write_text(f'sources = ["{pattern}"]\n')
    with pytest.raises(TrainerError, match=r"has no \.c file that matches"):
        read_trainer(folder).parts()


def test_a_missing_include_folder_is_refused(folder: Path) -> None:
    (folder / "trainer.toml").write_text('includes = ["include"]\n')
    with pytest.raises(TrainerError, match=r"include folder .* is not there"):
        read_trainer(folder).parts()


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        read_trainer(tmp_path / "nowhere")


def test_the_digest_is_of_sources_headers_and_declaration(folder: Path, tmp_path: Path) -> None:
    digests = {read_trainer(folder).digest()}
    assert digests == {read_trainer(folder).digest()}
    for name, text in (("trainer.c", "int z;\n"), ("a.h", "\n"), ("trainer.toml", 'flags = ["-DX"]\n')):
        (folder / name).write_text(text)
        digests.add(read_trainer(folder).digest())
    assert len(digests) == 4
    (folder / "notes.txt").write_text("no source")
    assert read_trainer(folder).digest() in digests
