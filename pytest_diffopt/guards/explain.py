"""The layout of every failure: headline, facts, where it was seen, what to do."""

from collections.abc import Iterable

PREFIX = "diffopt: "


def explain(headline: str, facts: Iterable[str] = (), *, seen: str = "", remedy: str = "") -> tuple[str, ...]:
    """Compose the lines that a person reads at two in the morning.

    Args:
        headline: one sentence, with "(up to X allowed)" beside its figure.
        facts: a line each, already in the order of their weight.
        seen: where and on what it was seen.
        remedy: what to change, or the exact command that accepts it.
    """
    last = [line for line in (seen, remedy) if line]
    return (PREFIX + headline, *(f"  {fact}" for fact in facts), *last)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write `1 graph break` or `2 graph breaks`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def allowed(limit: str | float) -> str:
    """Write the limit that stands beside a figure."""
    return f"(up to {limit} allowed)"
