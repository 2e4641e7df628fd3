"""`--gpu` is short for `--diffopt-gpu` unless another plugin or a conftest defines an option of that name."""

import pytest

_SHORT = "--gpu"
_LONG = "--diffopt-gpu"
_END_OF_OPTIONS = "--"


def lengthen_gpu_option(parser: pytest.Parser, args: list[str]) -> None:
    """Replace `--gpu` by `--diffopt-gpu` in the command line, in place, unless somebody else's option has that name.

    The short name is never defined, so that a conftest which pytest loads later, during the collection, can define it.

    Args:
        parser: pytest's options, after every plugin and every initial conftest was loaded.
        args: the arguments that pytest is about to parse.
    """
    if _SHORT in args and not _is_defined(parser):
        end = args.index(_END_OF_OPTIONS) if _END_OF_OPTIONS in args else len(args)
        args[:end] = [_LONG if arg == _SHORT else arg for arg in args[:end]]


def _is_defined(parser: pytest.Parser) -> bool:
    """Return whether anybody defined `--gpu`.

    pytest lists its options only in private attributes; parsing `--gpu` instead would run the other option's action.
    """
    groups = [*parser._groups, parser._anonymous]  # noqa: SLF001
    return any(_SHORT in option.names() for group in groups for option in group.options)
