"""Why a pipeline's weights could not be loaded, and what to do about it."""

import json
from collections.abc import Iterator
from pathlib import Path

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.family import PipelineFamily

_INDEX = "model_index.json"
_INCOMPLETE = {"EntryNotFoundError", "IncompleteSnapshotError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}
# diffusers and transformers raise a plain OSError where a file of a snapshot is not there.
_INCOMPLETE_IN_WORDS = ("no file named", "in the cached files")
_ANY_CLASS = "DiffusionPipeline"


def refuse_foreign_folder(family: PipelineFamily, folder: Path) -> None:
    """Refuse a local folder that is no saved pipeline, or one of another class.

    Raises:
        PipelineError: it is not; the message says what is missing and how such a folder is made.
    """
    how = f"save one there with pipeline.save_pretrained({str(folder)!r}), or take the folder away"
    index = folder / _INDEX
    if not index.is_file():
        msg = f"{family.name} could not be loaded from {folder}: it has no {_INDEX}, so it is no saved pipeline; {how}"
        raise PipelineError(msg)
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{family.name} could not be loaded from {folder}: {_INDEX} does not say the pipeline's class; {how}"
        raise PipelineError(msg) from error
    if _ANY_CLASS != family.class_name != found:
        msg = f"{family.name} could not be loaded from {folder}: it holds a {found}, not a {family.class_name}; {how}"
        raise PipelineError(msg)


def explain_failed_load(family: PipelineFamily, origin: str, error: Exception, *, is_local: bool) -> str:
    """Say what failed, and what to do where that is known.

    Args:
        family: what should have been loaded.
        origin: from where.
        error: what `from_pretrained` raised.
        is_local: it was a folder of the user's, not the hub.
    """
    message = f"{family.name} could not be loaded {origin}: {_first_line(error)}"
    advice = _advice(family, error)
    return f"{message}\n  {advice}" if advice and not is_local else message


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _advice(family: PipelineFamily, error: Exception) -> str:
    names = {type(one).__name__ for one in _chain(error)}
    if "GatedRepoError" in names:
        return (
            f"its authors ask to accept their terms: do so at https://huggingface.co/{family.hub_id}, then log in with "
            "`hf auth login` or set HF_TOKEN; for random weights set HF_HUB_OFFLINE=1"
        )
    if names & _INCOMPLETE or any(words in str(error) for words in _INCOMPLETE_IN_WORDS):
        return (
            "the download in the hub's cache is not complete: finish it with "
            f"`hf download {family.hub_id}`, or remove it with `hf cache rm model/{family.hub_id}`"
        )
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
