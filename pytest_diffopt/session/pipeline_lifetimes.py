"""The pipelines of a session: what each one is, and when it was built and first called."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import pytest

from pytest_diffopt.environment import gpu_device
from pytest_diffopt.records import Device, Subject

if TYPE_CHECKING:
    from pytest_diffopt.probes.compile_log import CompileLog, LogPosition, Owner, OwnLog


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineLifetime:
    """The lifetime of one pipeline.

    Compiled code belongs to functions, which pipelines share. A lifetime therefore starts again whenever Dynamo is
    reset: by another pipeline that shares a function, or by the user.

    Attributes:
        subject: the pipeline, its recipe and device.
        start: the position of the compile log before the build, or at the last reset: what is compiled in the build or
            in a call from then on is the pipeline's.
        warm: the position of the compile log after the first complete call; None before it.
        first_call_ns: the duration of that call; 0 if it was not timed.
        compile_ns: the part of that duration spent on compilation.
        owner: the pipeline in the compile log; None if it cannot be weakly referenced.
    """

    subject: Subject
    start: "LogPosition"
    warm: "LogPosition | None" = None
    first_call_ns: int = 0
    compile_ns: int = 0
    owner: "Owner | None" = field(default=None, compare=False)


class WatchedPipelines:
    """The pipelines of a session and the compile log that they share, opened when the first one is built.

    Attributes:
        ended: the modules of pipelines whose fixtures have ended, as long as something references them.
    """

    def __init__(self) -> None:
        self.ended: WeakSet[Any] = WeakSet()
        self._lifetimes: WeakKeyDictionary[Any, PipelineLifetime] = WeakKeyDictionary()
        self._log: CompileLog | None = None

    @property
    def log(self) -> "CompileLog":
        """The session's compile log; it watches from now on."""
        if self._log is None:
            from pytest_diffopt.probes.compile_log import CompileLog  # noqa: PLC0415 - imports torch

            self._log = CompileLog().__enter__()
        self._log.resume()
        return self._log

    def watch_compiler(self) -> None:
        """Watch the compiler again, if it was watched before the last `leave_compiler`."""
        if self._log is not None:
            self._log.resume()

    def leave_compiler(self) -> None:
        """Restore Dynamo's functions until the next use of the log: a test of another project is about to run."""
        if self._log is not None:
            self._log.pause()

    def close(self) -> None:
        """Close the compile log, which restores Dynamo's functions, and forget the lifetimes, which refer to it."""
        if self._log is not None:
            self._log.__exit__()
            self._log = None
            self._lifetimes.clear()

    def register(self, target: Any, subject: Subject, start: "LogPosition") -> None:
        """Register a pipeline with the position of the compile log before its build."""
        owner = self.log.owner_of(target)
        if owner is not None:
            self.log.claim(start, owner)
        self._lifetimes[target] = PipelineLifetime(subject=subject, start=start, owner=owner)

    def start_afresh(self) -> None:
        """Reset Dynamo if it knows any function: a pipeline is about to be built, and may share it."""
        if self.log.knows_any:
            _reset_dynamo()

    def log_of(self, lifetime: PipelineLifetime) -> "OwnLog":
        """Return the part of the compile log that belongs to a pipeline."""
        from pytest_diffopt.probes.compile_log import OwnLog  # noqa: PLC0415 - imports torch

        return OwnLog(log=self.log, owner=lifetime.owner)

    def adopt(self, target: Any, start: "LogPosition", *, recipe: str) -> None:
        """Register a pipeline that the user's code built, unless it is known or cannot be weakly referenced."""
        try:
            if target not in self._lifetimes:
                self.register(target, _own_subject(target, recipe), start)
        except TypeError:
            return  # `lifetime_of` describes it at each request

    def note_warm(self, target: Any, *, first_call_ns: int = 0, compile_ns: int = 0) -> None:
        """Note the first complete call of a registered pipeline; later calls change nothing.

        Args:
            target: the pipeline.
            first_call_ns: the duration of the call, if it was timed.
            compile_ns: the part of it spent on compilation.
        """
        try:
            known = self._lifetimes.get(target)
        except TypeError:  # a callable that cannot be weakly referenced has no lifetime to store
            return
        if known is not None and known.warm is None:
            self._lifetimes[target] = replace(
                known,
                warm=self.log.mark(),
                first_call_ns=first_call_ns or known.first_call_ns,
                compile_ns=compile_ns or known.compile_ns,
            )

    def lifetime_of(self, target: Any, *, recipe: str = "") -> PipelineLifetime:
        """Return the lifetime of a pipeline; the lifetime of an unregistered one starts now.

        If Dynamo knows functions of the pipeline from elsewhere, it is reset first: the verdict must not depend on what
        was compiled before. Within a call that is being watched nothing is reset.

        Args:
            target: the pipeline.
            recipe: the recipe that the test names; used if no recipe was applied through this package.
        """
        self.adopt(target, self.log.mark(), recipe=recipe)
        try:
            known = self._lifetimes[target]
        except TypeError:  # a callable that cannot be weakly referenced
            return PipelineLifetime(subject=_own_subject(target, recipe), start=self.log.mark())
        return self._with_recipe(self._continued(target, known), recipe)

    def subject_of(self, target: Any, *, recipe: str = "") -> Subject:
        """Return what a pipeline is, for an assertion that judges no compiled code; Dynamo is never reset.

        Args:
            target: the pipeline.
            recipe: the recipe that the test names; used if no recipe was applied through this package.
        """
        self.adopt(target, self.log.mark(), recipe=recipe)
        try:
            return self._with_recipe(self._lifetimes[target], recipe).subject
        except TypeError:  # a callable that cannot be weakly referenced
            return _own_subject(target, recipe)

    @staticmethod
    def _with_recipe(known: PipelineLifetime, recipe: str) -> PipelineLifetime:
        if recipe and not known.subject.recipe:  # adopted from a fixture of a wider scope than the test's marker
            return replace(known, subject=replace(known.subject, recipe=recipe))
        return known

    def _continued(self, target: Any, known: PipelineLifetime) -> PipelineLifetime:
        """Return the lifetime, started again if Dynamo was reset since its start or must be reset now."""
        from pytest_diffopt.probes.own_calls import called_target  # noqa: PLC0415 - imported with the log

        owner = self.log.owner_of(target)
        if owner is not None and called_target() is None and self.log.is_shared(target, owner):
            _reset_dynamo()
        now = self.log.mark()
        if now.resets != known.start.resets:
            known = self._lifetimes[target] = replace(known, start=now, warm=None)
        return known


def _reset_dynamo() -> None:
    from pytest_diffopt._torch_private.dynamo_state import reset_dynamo  # noqa: PLC0415 - imports torch

    reset_dynamo()


def _own_subject(target: Any, recipe: str) -> Subject:
    name = getattr(target, "__name__", None) or type(target).__name__
    return Subject(pipeline=name, recipe=recipe, device=_device(target))


def _device(target: Any) -> Device:
    device = getattr(target, "device", None)
    return Device.CPU if device is None or getattr(device, "type", "cpu") in {"cpu", "meta"} else gpu_device()


_PIPELINES = pytest.StashKey[WatchedPipelines]()


def watched_pipelines_of(config: pytest.Config) -> WatchedPipelines:
    """Return the pipelines of this session."""
    return config.stash.setdefault(_PIPELINES, WatchedPipelines())
