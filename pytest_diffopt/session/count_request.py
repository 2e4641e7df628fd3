"""A process that another one started to count one call, because its own pipeline is on a GPU.

Such a process runs without a GPU, builds named pipelines without weights, and ends the test at the call.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

REQUEST_VARIABLE = "DIFFOPT_COUNT_REQUEST"
_WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "DIFFOPT_NULL_GPU_DEVICE": ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class CountRequest:
    """What another process asked for.

    Attributes:
        file: where the answer goes.
        number: the call of the test that is counted, from 0.
        gpu_model: the GPU to simulate.
    """

    file: str
    number: int
    gpu_model: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by which the other process knows this request."""
        return _WITHOUT_GPU | {REQUEST_VARIABLE: json.dumps(asdict(self))}

    @property
    def answer(self) -> Path:
        """The file of the answer."""
        return Path(self.file)


def count_request() -> CountRequest | None:
    """Return what this process was started to count; None in every other process."""
    text = os.environ.get(REQUEST_VARIABLE)
    return CountRequest(**json.loads(text)) if text else None
