"""TOML files that declare a target or a suite: strict models and one way to read them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import HarnessError


class Strict(BaseModel):
    """A declared thing: no unknown fields, and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)


def read_declaration(path: Path, model: type[Model], name: str | None, failure: type[HarnessError]) -> Model:
    """`path` as a `model` whose fields `name` and `folder` are filled in; `failure` for a malformed file.

    `name` None: the file gives it.
    """
    filled = {"folder": path.parent} if name is None else {"name": name, "folder": path.parent}
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        return model.model_validate({**fields, **filled})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise failure(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise failure(f"{path}: {where}: {first['msg']}") from error
