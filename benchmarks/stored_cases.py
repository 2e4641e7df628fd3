"""Time how long a run takes to find its baselines among 10 000 stored ones: `python benchmarks/stored_cases.py`.

The stored cases belong to 100 suites on one GPU. A run claims and reads the baselines of its own tests, here the 100 of
one suite. The time to claim all of them is printed too. The best of several tries counts, because the first try fills
the file system's cache.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_diffopt.baselines.documents import LatencyBaseline
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.records import Concern, Device, Environment, LatencyRecord, Subject

_SUITES, _CASES_A_SUITE = 100, 100
_SAMPLES_NS = tuple(range(2_400_000_000, 2_430_000_000, 1_000_000))
_TRIES = 5
_MOST_MS = 100.0


def main() -> int:
    """Print the times; the exit code is 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", type=int, default=_SUITES, help="how many suites of 100 cases are stored")
    suites: int = parser.parse_args().suites
    keys = [[_key(suite, case) for case in range(_CASES_A_SUITE)] for suite in range(suites)]
    everything = [key for suite in keys for key in suite]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "baselines"
        for key in everything:
            _store(root, key)
        read_ms = _best_ms(lambda: _read(root, keys[len(keys) // 2]))
        claim_ms = _best_ms(lambda: _claim(BaselineStore(root), everything))
    allowed = f"of CPU time ({_MOST_MS:g} ms allowed)"
    print(f"{len(everything)} stored cases")
    print(f"claiming and reading the {_CASES_A_SUITE} that a run of one suite needs: {read_ms:.1f} ms {allowed}")
    print(f"claiming all of them: {claim_ms:.1f} ms {allowed}")
    return int(max(read_ms, claim_ms) > _MOST_MS)


def _key(suite: int, case: int) -> BaselineKey:
    return BaselineKey(
        device_slug="nvidia-h200", suite=f"suites/test_{suite}", case=f"test_latency[sdxl-{case}]", scale="tiny"
    )


def _store(root: Path, key: BaselineKey) -> None:
    """Write one document directly: `BaselineStore` locks and syncs each file, which would take minutes."""
    path = root / key.relative_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_TEXT.replace(b"CASE", key.case.encode()))


def _text() -> bytes:
    """Return a document as `BaselineStore` writes it."""
    key = BaselineKey(device_slug="nvidia-h200", suite="suites/test_0", case="CASE", scale="tiny")
    document = LatencyBaseline.from_record(
        LatencyRecord(
            subject=Subject(pipeline="sdxl", scale="tiny", recipe="bf16 + sdpa", device=Device.CUDA),
            warmup_ns=(),
            samples_ns=_SAMPLES_NS,
            num_steps=30,
        ),
        case=key.case,
        environment=Environment(device_slug="nvidia-h200", device_name="NVIDIA H200", versions={"torch": "2.13.0"}),
        margin=0.05,
        floor_ns=1_000_000,
        reason="first accepted",
    )
    with tempfile.TemporaryDirectory() as folder:
        store = BaselineStore(Path(folder), WritePermission.ALL)
        return store.accept(key, document, nodeid="suites/test_0.py::CASE").read_bytes()


_TEXT = _text()


def _claim(store: BaselineStore, keys: Sequence[BaselineKey]) -> BaselineStore:
    for key in keys:
        store.claim(key, nodeid=f"{key.suite}.py::{key.case}", concern=Concern.LATENCY)
    return store


def _read(root: Path, keys: Sequence[BaselineKey]) -> None:
    store = _claim(BaselineStore(root), keys)
    found = [store.read(key, LatencyBaseline) for key in keys]
    if None in found:
        message = "a stored case was not found"
        raise SystemExit(message)


def _best_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_TRIES):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times) * 1000


if __name__ == "__main__":
    sys.exit(main())
