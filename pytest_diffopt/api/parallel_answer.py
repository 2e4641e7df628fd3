"""What one of several processes returns of a call that they make together: its result, and what its recipe did."""

import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import distributed

from pytest_diffopt._torch_private.gloo_gathering import any_sizes_gathered
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.probes.audio import Waveforms
from pytest_diffopt.probes.image_results import ImageResult
from pytest_diffopt.records import EffectRecord
from pytest_diffopt.session.second_process import FOLDER_VARIABLE, RANK_VARIABLE

_GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
_STEP = "step."
_LONGEST_ERROR = 400  # characters; Dynamo's own errors take pages


@dataclass(frozen=True, kw_only=True, slots=True)
class RankAnswer:
    """The answer of one process.

    Attributes:
        result: what the call returned.
        effects: what each optimization of the recipe did in another call.
    """

    result: ImageResult
    effects: EffectRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Rank:
    """One of the processes that make a call together.

    Attributes:
        number: from 0.
        processes: how many there are.
        folder: where they meet and answer.
    """

    number: int
    processes: int
    folder: Path

    def __str__(self) -> str:
        """Return `rank 1 of 2`."""
        return f"rank {self.number} of {self.processes}"

    @property
    def answer_file(self) -> Path:
        """The file of the answer."""
        return self.folder / f"answer-{self.number}.safetensors"

    @property
    def error_file(self) -> Path:
        """The file of the error that kept it from answering."""
        return self.folder / f"error-{self.number}.txt"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables that make a process this rank."""
        return {RANK_VARIABLE: f"{self.number}/{self.processes}", FOLDER_VARIABLE: str(self.folder)}


def rank_of_this_process() -> Rank | None:
    """Return which of several processes this one is; None in every other process."""
    number, _, processes = os.environ.get(RANK_VARIABLE, "").partition("/")
    if not processes:
        return None
    return Rank(number=int(number), processes=int(processes), folder=Path(os.environ[FOLDER_VARIABLE]))


def answer_together(rank: Rank, make: Callable[[], RankAnswer]) -> None:
    """Make the answer in a process group with the other ranks, and write it; an error is written and raised."""
    try:
        with _process_group(rank):
            _write(make(), rank.answer_file)
            distributed.barrier()  # the others may still need this process
    except Exception as error:
        text = _in_one_line(error)
        _replace(rank.error_file, lambda file: file.write_text(text, encoding="utf-8"))
        raise


def read_answer(file: Path) -> RankAnswer:
    """Read the answer of a process."""
    with safe_open(str(file), framework="pt") as opened:
        parts = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dictionary
        facts: dict[str, str] = opened.metadata()
    steps = sum(name.startswith(_STEP) for name in parts)
    images, audio = parts.get("images"), parts.get("audio")
    return RankAnswer(
        result=ImageResult(
            images=None if images is None else images.numpy(),
            frames_per_video=int(facts["frames_per_video"]),
            audio=None if audio is None else Waveforms(samples=audio.numpy(), rate_hz=int(facts["rate_hz"])),
            latents=parts.get("latents"),
            audio_latents=parts.get("audio_latents"),
            steps=tuple(parts[f"{_STEP}{number}"] for number in range(steps)),
            denoisers=msgspec.json.decode(facts["denoisers"], type=tuple[str, ...]),
        ),
        effects=msgspec.json.decode(facts["effects"], type=EffectRecord),
    )


def _write(answer: RankAnswer, file: Path) -> None:
    result = answer.result
    parts: dict[str, Any] = {
        "images": None if result.images is None else torch.from_numpy(result.images),
        "audio": None if result.audio is None else torch.from_numpy(result.audio.samples),
        "latents": result.latents,
        "audio_latents": result.audio_latents,
        **{f"{_STEP}{number}": step for number, step in enumerate(result.steps)},
    }
    facts = {
        "frames_per_video": str(result.frames_per_video),
        "rate_hz": str(result.audio.rate_hz if result.audio else 0),
        "denoisers": msgspec.json.encode(result.denoisers).decode(),
        "effects": msgspec.json.encode(answer.effects).decode(),
    }
    tensors = {name: part.detach().cpu().contiguous() for name, part in parts.items() if part is not None}
    _replace(file, lambda unfinished: save_file(tensors, unfinished, facts))


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file that is complete as soon as it exists."""
    unfinished = file.with_suffix(".unfinished")
    write(unfinished)
    unfinished.replace(file)


@contextmanager
def _process_group(rank: Rank) -> Iterator[None]:
    """Join the ranks of this machine by gloo; they find each other by a file, so that no port is needed."""
    if sys.platform == "linux":
        # gloo else looks up the name of the machine, which a container may not know
        os.environ.setdefault(_GLOO_INTERFACE, "lo")
    distributed.init_process_group(
        "gloo", init_method=f"file://{rank.folder / 'ranks'}", rank=rank.number, world_size=rank.processes
    )
    try:
        with any_sizes_gathered():
            yield
    finally:
        distributed.destroy_process_group()


def _in_one_line(error: Exception) -> str:
    """Return the error and the line that raised it; an error of this package contains what to do."""
    if isinstance(error, DiffoptError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = textwrap.shorten(str(error), _LONGEST_ERROR, placeholder=" ...")
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}:{place.lineno}, in {place.name})"
