"""Formats figures with at most four digits and a unit."""

_THOUSAND = 1000
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_SMALL_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def shown_count(count: int) -> str:
    """Format a count: `13.5 T`; a count below 10 000 is shown in full: `1706`."""
    return str(count) if count < 10 * _THOUSAND else _scaled(count).rstrip()


def shown_bytes(nbytes: int) -> str:
    """Format bytes in powers of ten: `9.85 GB`."""
    return f"{_scaled(nbytes)}B"


def shown_seconds(seconds: float) -> str:
    """Format a time: `13.7 ms`."""
    for unit_seconds, unit in _SMALL_SECONDS:
        if seconds >= unit_seconds:
            return f"{seconds / unit_seconds:.3g} {unit}"
    return "0 s" if not seconds else f"{seconds / unit_seconds:.2g} {unit}"


def _scaled(amount: float) -> str:
    for prefix in _PREFIXES[:-1]:
        if amount < _THOUSAND:
            return f"{amount:.3g} {prefix}"
        amount /= _THOUSAND
    return f"{amount:.3g} {_PREFIXES[-1]}"
