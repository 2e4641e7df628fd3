"""Read JSON files strictly: an error has the key, the rule and the value."""

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from pytest_diffopt.baselines.strict_json import JSONProblem, described, parse
from pytest_diffopt.errors import DiffoptError

Text = Annotated[str, Meta(min_length=1)]
#: A measured time or speed; zero is invalid.
Positive = Annotated[float, Meta(gt=0)]
Whole = Annotated[int, Meta(ge=0)]

_Document = TypeVar("_Document")


class FiguresError(DiffoptError):
    """A file of figures cannot be read or shown."""


def read_document(path: Path, document_type: type[_Document]) -> _Document:
    """Read a JSON file.

    Raises:
        FiguresError: it cannot be read, or is not a valid document.
    """
    try:
        content = parse(path.read_bytes())
        return convert(content, document_type)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise FiguresError(msg) from error
    except JSONProblem as error:
        msg = f"{path} is invalid: {error}"
        raise FiguresError(msg) from error


def convert(content: object, document_type: type[_Document]) -> _Document:
    """Convert parsed JSON to a document.

    Raises:
        JSONProblem: it is invalid; the message has the key, the rule and the value.
    """
    try:
        return msgspec.convert(content, document_type, strict=True)
    except msgspec.ValidationError as error:
        raise JSONProblem(described(str(error), content)) from error
