"""Train the tiny pipelines: `python -m tools.train_tiny`, to be interrupted and started again at will.

Each lesson trains one component (and sometimes a text encoder with it) on images drawn by code; weights and their
provenance end beside the package's code. Two cores need a few hours for all of it; two processes with different
lessons may run side by side.
"""

import argparse
from pathlib import Path

from tools.tiny_training.curriculum import CURRICULUM
from tools.tiny_training.training import teach


def main() -> None:
    """Teach the lessons that were asked for, one after the other."""
    known = {lesson.name: lesson for lesson in CURRICULUM}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "lessons", nargs="*", metavar="LESSON", help=f"all by default, in this order: {', '.join(known)}"
    )
    parser.add_argument("--cache", type=Path, default=Path(".training"), help="where interrupted lessons are kept")
    parser.add_argument("--steps", type=int, help="as many for each lesson, in place of its own number")
    parser.add_argument(
        "--from-shipped", action="store_true", help="begin each lesson with the weights that the package has of it"
    )
    asked = parser.parse_args()
    if unknown := set(asked.lessons) - set(known):
        parser.error(f"no lesson is called {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    asked.cache.mkdir(parents=True, exist_ok=True)
    for name in asked.lessons or known:
        lesson = known[name]
        lesson.steps = asked.steps or lesson.steps
        lesson.starts_from = name if asked.from_shipped else lesson.starts_from
        teach(lesson, cache=asked.cache)


if __name__ == "__main__":
    main()
