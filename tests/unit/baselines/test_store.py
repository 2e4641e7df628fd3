"""The store returns accepted documents, and writes atomically and only with permission."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_diffopt.baselines.documents import LatencyBaseline, MemoryBaseline
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.errors import BaselineError
from pytest_diffopt.records import Concern
from tests.unit.baselines.baseline_examples import KEY, latency, memory

NODEID = "suites/test_sdxl.py::test_latency[sdxl-bf16+sdpa]"


@pytest.fixture
def store(tmp_path: Path) -> BaselineStore:
    """A store that may write everything, in a folder that does not exist yet."""
    return BaselineStore(tmp_path / "baselines", WritePermission.ALL)


def with_permission(store: BaselineStore, permission: WritePermission) -> BaselineStore:
    """Open the folder of a store again, as a later session does."""
    return BaselineStore(store.root, permission)


def lines(error: pytest.ExceptionInfo[BaselineError]) -> list[str]:
    """Return the lines of a message."""
    return str(error.value).splitlines()


def files(root: Path) -> list[str]:
    """List every file below a folder."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_an_accepted_document_is_read_back(store: BaselineStore) -> None:
    """Its file is the only one in the tree."""
    path = store.accept(KEY, latency(), nodeid=NODEID)

    assert latency() == store.read(KEY, LatencyBaseline)
    assert path == store.path(KEY)
    assert [str(KEY.relative_path)] == files(store.root)


def test_a_missing_folder_has_no_baseline(store: BaselineStore) -> None:
    """Reading does not create the folder."""
    assert store.read(KEY, LatencyBaseline) is None
    assert not store.root.exists()


def test_nothing_is_written_without_permission(store: BaselineStore) -> None:
    """Without `--diffopt-update` the folder is unchanged."""
    closed = with_permission(store, WritePermission.NEVER)

    with pytest.raises(BaselineError) as error:
        closed.accept(KEY, latency(), nodeid=NODEID)

    assert not closed.can_accept(KEY)
    assert not closed.root.exists()
    assert [
        f"the baseline {store.path(KEY)} may not be written",
        "  to allow it: --diffopt-update missing or all",
    ] == lines(error)


def test_missing_permits_the_first_and_not_the_second(store: BaselineStore) -> None:
    """`--diffopt-update missing` accepts what is new and replaces nothing."""
    careful = with_permission(store, WritePermission.MISSING)
    careful.accept(KEY, latency(100), nodeid=NODEID)

    with pytest.raises(BaselineError) as error:
        careful.accept(KEY, latency(200), nodeid=NODEID)

    assert not careful.can_accept(KEY)
    assert latency(100) == careful.read(KEY, LatencyBaseline)
    assert [f"the baseline {store.path(KEY)} already exists", "  to replace it: --diffopt-update all"] == lines(error)


def test_all_permits_to_replace(store: BaselineStore) -> None:
    """`--diffopt-update all` replaces what was accepted."""
    store.accept(KEY, latency(100), nodeid=NODEID)
    store.accept(KEY, latency(200), nodeid=NODEID)

    assert latency(200) == store.read(KEY, LatencyBaseline)


def test_accepting_the_same_figures_changes_no_byte(store: BaselineStore) -> None:
    """A file contains no time, so a commit shows only changed figures."""
    first = store.accept(KEY, latency(), nodeid=NODEID).read_bytes()

    assert first == store.accept(KEY, latency(), nodeid=NODEID).read_bytes()


def test_two_tests_may_not_accept_one_case(store: BaselineStore) -> None:
    """The error names both tests."""
    store.accept(KEY, latency(), nodeid="a/test_sdxl.py::test_x")

    with pytest.raises(BaselineError) as error:
        store.accept(KEY, latency(), nodeid="b/test_sdxl.py::test_x")

    assert [
        f"two tests own the baseline {store.path(KEY)}:",
        "  a/test_sdxl.py::test_x",
        "  b/test_sdxl.py::test_x",
        "  rename one of them: a baseline belongs to one test",
    ] == lines(error)


def test_cases_that_differ_only_in_capitals_are_refused(store: BaselineStore) -> None:
    """They share a file on a case-insensitive file system; they are refused on every file system."""
    store.claim(KEY, nodeid="test_a", concern=Concern.LATENCY)

    with pytest.raises(BaselineError, match="two tests own the baseline"):
        store.claim(replace(KEY, case=KEY.case.upper()), nodeid="test_A", concern=Concern.LATENCY)


def test_one_test_may_not_accept_two_concerns(store: BaselineStore) -> None:
    """A case has one baseline; the second would silently replace the first."""
    store.accept(KEY, latency(), nodeid=NODEID)

    with pytest.raises(BaselineError) as error:
        store.accept(KEY, memory(), nodeid=NODEID)

    assert [
        f"{NODEID} uses the baseline {store.path(KEY)} for latency and for memory",
        "  check each concern in its own test: a case has one baseline",
    ] == lines(error)


def test_a_renamed_file_is_refused(store: BaselineStore) -> None:
    """A baseline guards only the case for which it was accepted."""
    other = replace(KEY, case="test_other")
    store.accept(KEY, latency(), nodeid=NODEID).rename(store.path(other))

    with pytest.raises(BaselineError) as error:
        with_permission(store, WritePermission.NEVER).read(other, LatencyBaseline)

    assert [
        f"the baseline {store.path(other)} cannot be trusted: case: must be test_other, got: {KEY.case}",
        "  the file was renamed, or two tests share it: accept it again with --diffopt-update all",
    ] == lines(error)


@pytest.mark.parametrize("permission", [WritePermission.NEVER, WritePermission.MISSING])
def test_a_broken_file_raises(store: BaselineStore, permission: WritePermission) -> None:
    """A file that cannot be trusted does not count as a missing baseline."""
    store.accept(KEY, latency(), nodeid=NODEID).write_bytes(b"{")

    with pytest.raises(BaselineError, match="cannot be trusted: it is not valid JSON"):
        with_permission(store, permission).read(KEY, LatencyBaseline)


def test_a_broken_file_can_be_replaced(store: BaselineStore) -> None:
    """With `--diffopt-update all` it counts as missing and is replaced."""
    store.accept(KEY, latency(), nodeid=NODEID).write_bytes(b"{")

    assert store.read(KEY, LatencyBaseline) is None
    store.accept(KEY, latency(), nodeid=NODEID)
    assert store.read(KEY, LatencyBaseline) == latency()


def test_a_newer_file_is_not_replaced(store: BaselineStore) -> None:
    """An older plugin does not replace a file of a newer one, not even with `--diffopt-update all`."""
    path = store.accept(KEY, latency(), nodeid=NODEID)
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 3'))

    with pytest.raises(BaselineError, match="written by a newer pytest-diffopt"):
        store.read(KEY, LatencyBaseline)


def test_a_file_in_place_of_the_folder_raises(tmp_path: Path) -> None:
    """Reading and writing both report it."""
    root = tmp_path / "baselines"
    root.write_text("not a folder")
    store = BaselineStore(root, WritePermission.ALL)
    hint = "  a file exists where a folder is needed: move it, or name another folder with --diffopt-baselines"

    with pytest.raises(BaselineError) as reading:
        store.read(KEY, LatencyBaseline)
    with pytest.raises(BaselineError) as writing:
        store.accept(KEY, latency(), nodeid=NODEID)

    path = store.path(KEY)
    assert [f"cannot read the baseline {path}: Not a directory ({path})", hint] == lines(reading)
    assert [f"cannot write the baseline {path}: Not a directory ({path.parent})", hint] == lines(writing)


def test_a_folder_in_place_of_the_file_raises(store: BaselineStore) -> None:
    """The error names the folder."""
    path = store.path(KEY)
    path.mkdir(parents=True)

    with pytest.raises(BaselineError) as error:
        store.read(KEY, LatencyBaseline)

    assert [
        f"cannot read the baseline {path}: Is a directory ({path})",
        "  a folder exists where a file is needed: move it, or name another folder with --diffopt-baselines",
    ] == lines(error)


def test_a_read_only_file_system_raises(store: BaselineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has a hint, and the old file is kept."""
    path = store.accept(KEY, latency(100), nodeid=NODEID)

    def refuse(self: Path, target: Path) -> None:
        del target
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(BaselineError) as error:
        store.accept(KEY, latency(200), nodeid=NODEID)

    assert latency(100) == store.read(KEY, LatencyBaseline)
    assert [
        f"cannot write the baseline {path}: Read-only file system ({path.with_name(f'.{path.name}.unfinished')})",
        "  check the permissions and the free disk space, or name another folder with --diffopt-baselines",
    ] == lines(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_raises(store: BaselineStore) -> None:
    """The error names the file."""
    store.root.mkdir()
    store.root.chmod(0o500)

    with pytest.raises(BaselineError, match=r"cannot write the baseline .*: Permission denied"):
        store.accept(KEY, latency(), nodeid=NODEID)


def test_a_lock_folder_that_is_a_link_is_refused(
    store: BaselineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could point to any folder, so nothing is written."""
    locks = tmp_path / f"pytest-diffopt-locks-{os.getuid()}"
    locks.symlink_to(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with pytest.raises(BaselineError) as error:
        store.accept(KEY, latency(), nodeid=NODEID)

    assert [
        f"{locks} is owned by another user or is a link",
        "  remove it, or set TMPDIR to a folder of your own",
    ] == lines(error)


def test_a_lock_that_is_never_released_raises(store: BaselineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session does not hang."""
    from pytest_diffopt.baselines import store as store_module  # noqa: PLC0415 - `store` is the fixture here

    monkeypatch.setattr(store_module, "_LOCK_TIMEOUT_S", 0.01)
    path = store.path(KEY)

    with store_module._locked(path), pytest.raises(BaselineError) as error:
        store.accept(KEY, latency(), nodeid=NODEID)

    assert [
        f"another process has locked the baseline {path} for 0 s",
        "  end it, then run again",
    ] == lines(error)


def test_prune_removes_files_that_no_case_owns(store: BaselineStore) -> None:
    """Only in the collected suites, on every device and at every scale."""
    gone = replace(KEY, case="test_gone")
    kept = [KEY, replace(KEY, scale="full"), replace(KEY, device_slug="cpu"), replace(KEY, suite="test_other")]
    for key in [*kept, gone, replace(gone, device_slug="cpu", scale="")]:
        store.accept(key, latency(case=key.case), nodeid=str(key))
    folder = store.path(KEY).parent
    image = store.path(KEY).with_suffix(".png")
    for path in [image, folder / "README.md", folder / "test_gone.tiny.png", folder / ".a.json.unfinished"]:
        path.write_bytes(b"")

    removed = store.prune([KEY], ["test_sdxl", "test_never_accepted"])

    assert {
        store.path(gone),
        store.path(replace(gone, device_slug="cpu", scale="")),
        folder / "test_gone.tiny.png",
        folder / ".a.json.unfinished",
    } == set(removed)
    assert all(store.path(key).exists() for key in kept)
    assert image.exists()
    assert (folder / "README.md").exists()


def test_prune_of_a_missing_folder_removes_nothing(store: BaselineStore) -> None:
    """Nothing has been accepted yet."""
    assert store.prune([], ["test_sdxl"]) == ()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.baselines.baseline_examples import KEY, latency
from dataclasses import replace
from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.baselines.write_permission import WritePermission
store = BaselineStore(Path(sys.argv[2]), WritePermission.ALL)
print("ready", flush=True)
rounds, samples, cases = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
for round_number in range(rounds):
    for case in cases:
        key = replace(KEY, case=case)
        store.accept(key, latency(*[1 + round_number % 2] * samples, case=case), nodeid=case)
"""


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.baselines.baseline_examples import KEY, latency
from pytest_diffopt.baselines.documents import LatencyBaseline
from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.baselines.write_permission import WritePermission
store = BaselineStore(Path(sys.argv[2]), WritePermission.ALL)
accepted = [latency(*[figure] * 2_000) for figure in (1, 2)]
dice = random.Random(0)
for _ in range(int(sys.argv[3])):
    child = os.fork()
    if not child:
        while True:
            for document in accepted:
                store.accept(KEY, document, nodeid="test")
    time.sleep(dice.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if store.read(KEY, LatencyBaseline) not in accepted:
        sys.exit("a kill left an incomplete baseline")
"""


def start_writer(root: Path, cases: list[str], *, rounds: int, samples: int) -> subprocess.Popen[bytes]:
    """Start a process that accepts baselines in a loop."""
    command = [
        sys.executable,
        "-c",
        WRITER,
        str(Path(__file__).parents[3]),
        str(root),
        str(rounds),
        str(samples),
        *cases,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_a_killed_writer_leaves_a_complete_baseline(store: BaselineStore) -> None:
    """A hundred writers are killed at random times: the file is the old or the new one, and can be written again."""
    store.accept(KEY, latency(*[1] * 2_000), nodeid=NODEID)
    root = Path(__file__).parents[3]
    # All writers are forked from one process that has imported everything, so a hundred are killed within seconds.
    subprocess.run([sys.executable, "-c", KILLER, str(root), str(store.root), "100"], check=True, timeout=600)

    store.accept(KEY, latency(3), nodeid=NODEID)
    assert [str(KEY.relative_path)] == files(store.root)


def test_concurrent_writers_lose_no_baseline(store: BaselineStore) -> None:
    """Two processes write different cases and one common case."""
    cases = [[f"test_{name}[{index}]" for index in range(8)] + ["test_shared"] for name in ("a", "b")]
    writers = [start_writer(store.root, own, rounds=20, samples=10) for own in cases]
    codes = [writer.wait(timeout=600) for writer in writers]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()

    assert codes == [0, 0]
    for case in {*cases[0], *cases[1]}:
        assert store.read(replace(KEY, case=case), LatencyBaseline) is not None
    assert len(files(store.root)) == 17


def test_another_device_has_its_own_baseline(store: BaselineStore) -> None:
    """The figures of one GPU do not apply to another."""
    store.accept(KEY, latency(), nodeid=NODEID)

    other = BaselineKey(device_slug="nvidia-l4", suite=KEY.suite, case=KEY.case, scale=KEY.scale)
    assert store.read(other, MemoryBaseline) is None
