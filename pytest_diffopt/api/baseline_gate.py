"""What every gate with a stored baseline does: measure, accept where the user permits it, compare, conclude."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.arguments import NOT_NEGATIVE, SOME_TEXT, require
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.records import Environment, Record, Subject
from pytest_diffopt.session.baseline_owner import BaselineOwner
from pytest_diffopt.session.settings import Settings

#: Why a baseline is right, when the test does not give a reason.
DEFAULT_REASON = "accepted with --diffopt-update"

_Document = TypeVar("_Document", bound=Baseline)


def _keep_everything(_before: Any, _after: Any) -> None:
    """Leave what belonged to the replaced document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison(Generic[_Document]):
    """What one gate compares with its stored baseline.

    Attributes:
        subject: what was measured.
        document_type: the kind of document that the baseline is.
        renew: makes the document to accept from the accepted one; None when there is nothing fit to accept.
        conclude: judges against the accepted document (None without one), given the environment and the command that
            runs the test again, and concludes.
        replaced: runs after a document was written in place of the accepted one, if any.
    """

    subject: Subject
    document_type: type[_Document]
    renew: Callable[[_Document | None, Environment], _Document | None]
    conclude: Callable[[_Document | None, Environment, str], None]
    replaced: Callable[[_Document | None, _Document], None] = _keep_everything


def record_comparison(
    record: Any,
    document_type: type[_Document],
    *,
    judge: Callable[..., Verdict],
    renew: Callable[[_Document | None, Environment], _Document | None],
) -> Comparison[_Document]:
    """Return the comparison of a finished record.

    Args:
        record: what was measured.
        document_type: the kind of document that the baseline is.
        judge: the guard: takes the record, the baseline, `environment=` and `rerun=`.
        renew: makes the document to accept.
    """

    def judge_and_conclude(baseline: _Document | None, environment: Environment, rerun: str) -> None:
        __tracebackhide__ = True
        finished: Record = record
        conclude(finished, judge(record, baseline, environment=environment, rerun=rerun))

    return Comparison(subject=record.subject, document_type=document_type, renew=renew, conclude=judge_and_conclude)


@dataclass(frozen=True, kw_only=True)
class BaselineGate:
    """What every gate with a stored baseline has.

    Attributes:
        owner: the test that owns the baseline.
        store: the baselines.
        settings: what the user asked for.
    """

    owner: BaselineOwner
    store: BaselineStore
    settings: Settings

    @staticmethod
    def _require(gate: str, *, reason: str, margin: float | None = None) -> None:
        """Check what every gate takes.

        Raises:
            ProbeError: the reason is empty, or the margin is no number of at least 0.
        """
        require(SOME_TEXT, reason, f"{gate}.check(reason=...)")
        require(NOT_NEGATIVE.or_none(), margin, f"{gate}.check(margin=...)")

    def _settle(self, comparison: Comparison[_Document]) -> None:
        """Accept the baseline where this run may, then judge and conclude."""
        __tracebackhide__ = True
        environment = self._environment(comparison.subject)
        key = self._key(comparison.subject)
        self.store.claim(key, nodeid=self.owner.nodeid, concern=comparison.document_type.concern)
        accepted = self.store.read(key, comparison.document_type)
        renewed = comparison.renew(accepted, environment) if self.store.can_accept(key) else None
        if renewed is not None:
            self.store.accept(key, renewed, nodeid=self.owner.nodeid)
            comparison.replaced(accepted, renewed)
        comparison.conclude(renewed or accepted, environment, self._rerun_command)

    def _key(self, subject: Subject) -> BaselineKey:
        slug = self._environment(subject).device_slug
        return BaselineKey(device_slug=slug, suite=self.owner.suite, case=self.owner.name, scale=subject.scale)

    @property
    def _rerun_command(self) -> str:
        return self.owner.rerun_command(self.settings)

    def _environment(self, subject: Subject) -> Environment:
        return capture_environment(subject.device)

    def _margin(self, margin: float | None) -> float:
        return self.settings.margin if margin is None else margin
