"""Open a pull request with the baselines that the runners measured."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.github.commands import RefusedError, output_of

_BASELINES = Path("baselines")
_ENDINGS = frozenset({".json", ".png", ".safetensors"})
_LARGEST_BYTES = 16 * 1024 * 1024
_AUTHOR = (
    "-c",
    "user.name=github-actions[bot]",
    "-c",
    "user.email=41898282+github-actions[bot]@users.noreply.github.com",
)


def measured_files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the path of each measured baseline, and its path in the repository.

    Args:
        folder: the artifacts of all runners, one folder for each, with a subfolder `baselines/`.

    Raises:
        RefusedError: a file is not a baseline; artifacts are untrusted, since runners run code of pull requests.
    """
    for source in sorted(folder.glob("*/baselines/**/*")):
        if source.is_dir() and not source.is_symlink():
            continue
        _refuse_other_files(source)
        yield source, _BASELINES / source.relative_to(folder / source.relative_to(folder).parts[0] / "baselines")


def _refuse_other_files(source: Path) -> None:
    if source.is_symlink() or not source.is_file() or source.suffix not in _ENDINGS:
        msg = f"a baseline must be a file that ends with {', '.join(sorted(_ENDINGS))}, got: {source}"
        raise RefusedError(msg)
    if source.stat().st_size > _LARGEST_BYTES:
        msg = f"a baseline must have at most {_LARGEST_BYTES} bytes, got: {source.stat().st_size} in {source}"
        raise RefusedError(msg)
    if source.suffix == ".json":
        try:
            json.loads(source.read_bytes())
        except (ValueError, RecursionError) as error:
            msg = f"a baseline must be valid JSON, got: {source}: {error}"
            raise RefusedError(msg) from error


def copy_baselines(folder: Path) -> list[Path]:
    """Copy the measured baselines into the repository, and return the changed files."""
    for source, target in list(measured_files(folder)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    output_of("git", "add", "--", str(_BASELINES))
    return [Path(name) for name in output_of("git", "diff", "--cached", "--name-only").splitlines()]


def propose(changed: list[Path], *, base: str, branch: str, link: str, reason: str) -> str:
    """Commit the changed files to a new branch, open a pull request, and return its URL."""
    devices = sorted({path.parts[1] for path in changed if len(path.parts) > 1})
    title = f"Accept baselines measured on {', '.join(devices)}"
    body = f"{reason}\n\n{len(changed)} files. [The run that measured them, with its reports]({link})\n"
    output_of("git", "switch", "--quiet", "--create", branch)
    output_of("git", *_AUTHOR, "commit", "--quiet", "--message", f"{title}\n\n{reason}")
    output_of("gh", "auth", "setup-git")
    output_of("git", "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    return output_of("gh", "pr", "create", "--base", base, "--head", branch, "--title", title, "--body", body)


def _refuse_forks(base: str) -> None:
    if not base:
        msg = "cannot open a pull request to the branch of a fork: download the baselines from the artifacts"
        raise RefusedError(msg)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, help="the folder with the artifacts of all runners")
    parser.add_argument("--base", required=True, help="the base branch of the pull request")
    parser.add_argument("--branch", required=True, help="the head branch of the pull request")
    parser.add_argument("--link", required=True, help="the URL of the run that measured them")
    parser.add_argument("--reason", required=True, help="why the new figures are right")
    return parser.parse_args()


def main() -> int:
    """Open the pull request, or print why there is none."""
    options = _options()
    try:
        _refuse_forks(options.base)
        changed = copy_baselines(options.artifacts)
        if not changed:
            sys.stdout.write(
                "::notice title=diffopt::the measured figures equal the accepted ones: nothing to propose\n"
            )
            return 0
        url = propose(changed, base=options.base, branch=options.branch, link=options.link, reason=options.reason)
    except RefusedError as error:
        sys.stdout.write(f"::error title=diffopt::{error}\n")
        return 1
    sys.stdout.write(f"{url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
