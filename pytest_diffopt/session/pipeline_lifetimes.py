"""What is known of each pipeline of this session: what it is, and when its life began."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from pytest_diffopt.records import Device, Subject

if TYPE_CHECKING:
    from pytest_diffopt.probes.compilation import CompileLog, LogPosition


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineLifetime:
    """One pipeline's life.

    Attributes:
        subject: what it is.
        start: where the compile log stood before it was built: what is compiled while it is built counts as its own.
        warm: where the compile log stood after its first whole call; None before that.
        first_call_ns: how long that call took; 0 where nobody timed it.
        compile_ns: what of it was compiling.
    """

    subject: Subject
    start: "LogPosition"
    warm: "LogPosition | None" = None
    first_call_ns: int = 0
    compile_ns: int = 0


class WatchedPipelines:
    """The pipelines of a session and the compile log that they share, opened when the first one is built.

    Attributes:
        ended: the modules of pipelines whose fixtures have ended, as long as anything holds them.
    """

    def __init__(self) -> None:
        self.ended: WeakSet[Any] = WeakSet()
        self._lifetimes: WeakKeyDictionary[Any, PipelineLifetime] = WeakKeyDictionary()
        self._log: CompileLog | None = None

    @property
    def log(self) -> "CompileLog":
        """The session's compile log."""
        if self._log is None:
            from pytest_diffopt.probes.compilation import CompileLog  # noqa: PLC0415 - imports torch

            self._log = CompileLog().__enter__()
        return self._log

    def close(self) -> None:
        """Let Dynamo's own limits hold again."""
        if self._log is not None:
            self._log.__exit__()
            self._log = None

    def register(self, target: Any, subject: Subject, start: "LogPosition") -> None:
        """Write down what a pipeline is and when its life began."""
        self._lifetimes[target] = PipelineLifetime(subject=subject, start=start)

    def adopt(self, target: Any, start: "LogPosition", *, recipe: str) -> None:
        """Register what somebody else built, unless it is known or cannot be weakly referenced."""
        try:
            if target not in self._lifetimes:
                self.register(target, _own_subject(target, recipe), start)
        except TypeError:
            return  # `lifetime_of` describes it each time that it is asked

    def note_warm(self, target: Any, *, first_call_ns: int = 0, compile_ns: int = 0) -> None:
        """Write down that a registered pipeline made its first whole call; later ones change nothing.

        Args:
            target: the pipeline.
            first_call_ns: how long the call took, where it was timed.
            compile_ns: what of it was compiling.
        """
        try:
            known = self._lifetimes.get(target)
        except TypeError:  # a callable that cannot be weakly referenced has no life to remember
            return
        if known is not None and known.warm is None:
            self._lifetimes[target] = replace(
                known, warm=self.log.mark(), first_call_ns=first_call_ns, compile_ns=compile_ns
            )

    def lifetime_of(self, target: Any, *, recipe: str = "") -> PipelineLifetime:
        """Return what is known of a pipeline; one that nobody registered begins to live now, as the user's own.

        Args:
            target: the pipeline.
            recipe: what the asking test calls its recipe; it counts where nobody applied one through this package.
        """
        self.adopt(target, self.log.mark(), recipe=recipe)
        try:
            known = self._lifetimes[target]
        except TypeError:  # a callable that cannot be weakly referenced
            return PipelineLifetime(subject=_own_subject(target, recipe), start=self.log.mark())
        if recipe and not known.subject.recipe:  # a fixture of a wider scope than the test's marker was adopted
            return replace(known, subject=replace(known.subject, recipe=recipe))
        return known


def _own_subject(target: Any, recipe: str) -> Subject:
    name = getattr(target, "__name__", None) or type(target).__name__
    return Subject(pipeline=name, recipe=recipe, device=_device(target))


def _device(target: Any) -> Device:
    device = getattr(target, "device", None)
    return Device.CPU if device is None or getattr(device, "type", "cpu") in {"cpu", "meta"} else Device.CUDA
