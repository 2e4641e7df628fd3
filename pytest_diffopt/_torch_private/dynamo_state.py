"""What Dynamo has seen since its last reset: which functions, how many frames, and how often each was compiled."""

from types import CodeType

import torch._dynamo.convert_frame as _convert_frame
import torch.compiler


def is_known_to_dynamo(code: CodeType) -> bool:
    """Return whether Dynamo compiled, skipped or gave up a function since its last reset."""
    return code in _convert_frame.input_codes


def frames_since_reset() -> int:
    """Return how many functions Dynamo has tried to compile since its last reset; it numbers them from 0."""
    return _convert_frame.FRAME_COUNTER


class DynamoState:
    """What Dynamo knew when this object was made, to compare with what it knows later."""

    def __init__(self) -> None:
        # Dynamo keeps weak references to the functions that it knows until its next reset, so that one more, which
        # nothing runs, is known for exactly as long.
        self._known_until_reset: CodeType = compile("", "<pytest-diffopt>", "exec")
        _convert_frame.input_codes.add(self._known_until_reset)
        self._num_frames = frames_since_reset()
        self._compilations = _compilations(self._num_frames)

    @property
    def is_reset(self) -> bool:
        """Whether Dynamo was reset since."""
        return not is_known_to_dynamo(self._known_until_reset)

    @property
    def num_new_frames(self) -> int:
        """How many functions Dynamo has tried to compile for the first time since, or since its reset after that."""
        return frames_since_reset() - (0 if self.is_reset else self._num_frames)

    @property
    def is_recompiled(self) -> bool:
        """Whether Dynamo has compiled a function again that it knew then."""
        return not self.is_reset and _compilations(self._num_frames) != self._compilations


def _compilations(num_frames: int) -> tuple[int, ...]:
    """Return how often Dynamo has tried to compile each of the first functions."""
    return tuple(_convert_frame.FRAME_COMPILE_COUNTER.get(number, 0) for number in range(num_frames))


def reset_dynamo() -> None:
    """Discard all compiled code, and what Dynamo knows about each function."""
    torch.compiler.reset()
