"""What Dynamo has seen since its last reset: which functions, and how many frames."""

from types import CodeType

import torch._dynamo.convert_frame as _convert_frame
import torch.compiler


def is_known_to_dynamo(code: CodeType) -> bool:
    """Return whether Dynamo compiled, skipped or gave up a function since its last reset."""
    return code in _convert_frame.input_codes


def frames_since_reset() -> int:
    """Return how many functions Dynamo has tried to compile since its last reset; it numbers them from 0."""
    return _convert_frame.FRAME_COUNTER


def reset_dynamo() -> None:
    """Discard all compiled code, and what Dynamo knows about each function."""
    torch.compiler.reset()
