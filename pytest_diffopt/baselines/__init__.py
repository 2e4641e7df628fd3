"""What was accepted: read strictly before a record is judged, written only when somebody asks; without torch."""

from pytest_diffopt.baselines.documents import Baseline, CompileBaseline, CountBaseline, LatencyBaseline, MemoryBaseline
from pytest_diffopt.baselines.image_document import ImageBaseline
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.baselines.store import BaselineStore

__all__ = [
    "Baseline",
    "BaselineKey",
    "BaselineStore",
    "CompileBaseline",
    "CountBaseline",
    "ImageBaseline",
    "LatencyBaseline",
    "MemoryBaseline",
]
