"""Train the tiny pipelines: `python -m tools.train_tiny`. An interrupted training resumes when started again.

Each lesson trains one component on images that are drawn by code, and writes the weights and their provenance into the
package. All lessons take a few hours on two cores; processes with different lessons can run concurrently.
"""

import argparse
from pathlib import Path

from tools.tiny_training.autoencoders import KLAutoencoderLesson
from tools.tiny_training.curriculum import CURRICULUM
from tools.tiny_training.training import teach


def main() -> None:
    """Train the given lessons one after another."""
    known = {lesson.name: lesson for lesson in CURRICULUM}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "lessons", nargs="*", metavar="LESSON", help=f"all by default, in this order: {', '.join(known)}"
    )
    parser.add_argument("--cache", type=Path, default=Path(".training"), help="folder for interrupted lessons")
    parser.add_argument("--steps", type=int, help="number of steps, in place of each lesson's own")
    parser.add_argument("--from-shipped", action="store_true", help="start each lesson from the package's weights")
    parser.add_argument("--decoder-only", action="store_true", help="train an autoencoder whose encoder stays as it is")
    arguments = parser.parse_args()
    if unknown := set(arguments.lessons) - set(known):
        parser.error(f"unknown lesson: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    lessons = [known[name] for name in arguments.lessons or known]
    if arguments.decoder_only:
        if unsuited := [one.name for one in lessons if not isinstance(one, KLAutoencoderLesson)]:
            parser.error(f"--decoder-only needs lessons of an autoencoder with an encoder, got: {', '.join(unsuited)}")
        if not arguments.from_shipped:
            parser.error("--decoder-only needs --from-shipped: the encoder of random weights would stay as it is")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for lesson in lessons:
        lesson.steps = arguments.steps or lesson.steps
        lesson.starts_from = lesson.name if arguments.from_shipped else lesson.starts_from
        if isinstance(lesson, KLAutoencoderLesson):
            lesson.decoder_only = arguments.decoder_only
        teach(lesson, cache=arguments.cache)


if __name__ == "__main__":
    main()
