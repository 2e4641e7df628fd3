"""Messages for weights that could not be loaded, with the next step."""

import json
from collections.abc import Iterator
from pathlib import Path

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.family import PipelineFamily

_INDEX = "model_index.json"
_INCOMPLETE = {"EntryNotFoundError", "IncompleteSnapshotError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}
# diffusers and transformers raise a plain OSError for a missing file of a snapshot.
_INCOMPLETE_MESSAGES = ("no file named", "in the cached files")
_ANY_CLASS = "DiffusionPipeline"


def refuse_foreign_folder(family: PipelineFamily, folder: Path) -> None:
    """Reject a local folder that is not a saved pipeline of the family's class.

    Raises:
        PipelineError: the folder cannot be used; the message states what is missing and how to create the folder.
    """
    how = f"save one there with pipeline.save_pretrained({str(folder)!r}), or remove the folder"
    index = folder / _INDEX
    if not index.is_file():
        msg = f"{family.name} could not be loaded from {folder}: not a saved pipeline, {_INDEX} is missing; {how}"
        raise PipelineError(msg)
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{family.name} could not be loaded from {folder}: {_INDEX} has no valid _class_name; {how}"
        raise PipelineError(msg) from error
    if _ANY_CLASS != family.class_name != found:
        msg = f"{family.name} could not be loaded from {folder}: it is a {found}, not a {family.class_name}; {how}"
        raise PipelineError(msg)


def explain_failed_load(family: PipelineFamily, origin: str, error: Exception, *, is_local: bool) -> str:
    """Return the message for a failed load, with the next step if it is known.

    Args:
        family: the pipeline's description.
        origin: the origin of the weights.
        error: the exception that `from_pretrained` raised.
        is_local: the weights are in the user's folder, not on the hub.
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
            f"the repository is gated: accept its terms at https://huggingface.co/{family.hub_id}, then log in with "
            "`hf auth login` or set HF_TOKEN; for random weights set HF_HUB_OFFLINE=1"
        )
    if names & _INCOMPLETE or any(message in str(error) for message in _INCOMPLETE_MESSAGES):
        return (
            "the download in the hub's cache is incomplete: finish it with "
            f"`hf download {family.hub_id}`, or remove it with `hf cache rm model/{family.hub_id}`"
        )
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
