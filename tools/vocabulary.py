"""Find words that this project does not use: `python -m tools.vocabulary [PATH ...]`.

The project writes in the terms of PyTorch's and pytest's own documentation. The table below lists expressions that made
messages, names and docs hard to read, each with what to write instead.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: An expression and what to write instead. Each matches whole words, in any case, also inside of identifiers.
TERMS: Sequence[tuple[str, str]] = (
    (r"anew", "again, from scratch"),
    (r"(?:carry|carries|carried|carrying) out", "run, execute"),
    (r"cards?", "GPU"),
    (r"clock on the wall", "wall-clock time"),
    (r"(?:comes|came|come) to(?= [a-z]+ ?(?:[.,:;]|$)| the same)", "amounts to"),
    (r"foretells?|foretold", "estimate"),
    (r"hangs? on", "depends on"),
    (r"heard", "received, reported"),
    (r"heat(?![ _-]?map)", "temperature"),
    (r"in turn", "interleaved, alternately"),
    (r"invent(?:s|ed)?|made[- ]up", "placeholder"),
    (r"mend(?:s|ed|ing)?", "fix"),
    (r"no longer look", "measuring longer"),
    (r"no more(?! than)", "no longer"),
    (r"nobody", "no X, or the passive"),
    (r"of ours|the seeds?(?= (?:call|ask|have|has|pipelines?|say|says))", "our; name the article"),
    (r"pictures?", "image, frame"),
    (r"plant(?:s|ed|ing)?", "injected fault, inject"),
    (r"processor time", "CPU time"),
    (r"(?:is|are|be|was|were|turns?|stays?|goes|go|went|becomes?|in|all|ends?|not) (?:red|green)", "fails, passes"),
    (r"remed(?:y|ies)", "hint"),
    (r"rests? on", "uses"),
    (r"rungs?", "level"),
    (r"said|says?|saying", "print, report, show, return"),
    (r"shortfalls?", "unmet requirement"),
    (r"side by side", "concurrent"),
    (r"stands?(?![- ]in\b)|stood", "is, is listed, exists"),
    (r"tells?|told|telling", "report, print, show, distinguish"),
    (r"twins?", "eager module, reference, counterpart"),
    (r"\(up to [^()]{1,40} allowed\)", "(X allowed)"),
    (r"waits? (?:for|of) (?:the )?GPU|CPU waits?|waits? no more", "synchronize, host-device synchronization"),
    (r"wanted", "expected, intended"),
    (r"wardrobes?", "ModuleSnapshot"),
    (r"whoever", "users who, the one who"),
)
_EACH = "|".join(rf"(?P<t{i}>{term})" for i, (term, _) in enumerate(TERMS))
#: The start of a word is checked once per place, not once per term.
_ANY = re.compile(rf"(?<![a-z])(?:{_EACH})(?![a-z])", re.IGNORECASE)
_READ = (".py", ".md", ".html", ".js", ".css", ".yml", ".toml", ".txt", "Makefile")
#: Where an expression is somebody else's or a term of its own: a file's ending and the text around the match.
_EXCEPT = (
    ("tools/vocabulary.py", ""),
    ("tests/unit/tools/test_vocabulary.py", ""),
    # keys of data files that were measured, or published by others
    ("benchmarks/results_page/counted.py", "rungs"),
    ("benchmarks/results_page/published_table.py", "card"),
    ("benchmarks/results_page/published_times.py", "card"),
    # a word that diffusers puts before a prompt
    ("pytest_diffopt/pipelines/instructions.py", "where appropriate Picture"),
    ("tests/unit/benchmarks/test_counted_levels.py", "rungs"),
    ("tests/unit/benchmarks/test_published_figures.py", "card"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One expression that is not used.

    Attributes:
        place: `file:line`.
        found: the expression as written.
        instead: what to write.
        line: the line.
    """

    place: str
    found: str
    instead: str
    line: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found!r} -> {self.instead}: {self.line}"


def find(paths: Iterable[Path]) -> Iterator[Finding]:
    """Yield every expression of the table in these files, and in the files of these folders."""
    for path in sorted(_files(paths)):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield from _in_line(path, number, line)


def _in_line(path: Path, number: int, line: str) -> Iterator[Finding]:
    for match in _ANY.finditer(line):
        if any(path.as_posix().endswith(end) and text in line for end, text in _EXCEPT):
            continue
        instead = TERMS[int(str(match.lastgroup)[1:])][1]
        yield Finding(
            place=f"{path.as_posix()}:{number}", found=match.group(), instead=instead, line=line.strip()[:120]
        )


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (one for one in path.rglob("*") if one.is_file() and one.name.endswith(_READ))
        else:
            yield path


def main(arguments: Sequence[str]) -> int:
    """Print each finding; the exit code is 1 when there is one."""
    found = list(find(map(Path, arguments or ("pytest_diffopt", "docs", "README.md", "CHANGELOG.md"))))
    for finding in found:
        sys.stdout.write(f"{finding}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
