"""Every injected fault, by subject."""

import argparse
from collections.abc import Mapping

from benchmarks.injected_faults import (
    attention,
    autoencoders,
    compilation,
    conditioning,
    denoisers,
    guidance,
    leaks,
    performance,
    quantization,
    schedulers,
    syncs,
    text_encoders,
)
from benchmarks.injected_faults.declaring import InjectedFault
from pytest_diffopt.errors import did_you_mean

SUBJECTS: Mapping[str, tuple[InjectedFault, ...]] = {
    "attention": attention.BUGS,
    "denoiser": denoisers.BUGS,
    "scheduler": schedulers.BUGS,
    "guidance": guidance.BUGS,
    "autoencoder": autoencoders.BUGS,
    "text encoder": text_encoders.BUGS,
    "conditioning": conditioning.BUGS,
    "quantization": quantization.BUGS,
    "state": leaks.BUGS,
    "compilation": compilation.BUGS,
    "syncs": syncs.BUGS,
    "performance": performance.BUGS,
}
BUGS: tuple[InjectedFault, ...] = tuple(bug for bugs in SUBJECTS.values() for bug in bugs)


def find_bug(name: str) -> InjectedFault:
    """Return the bug of that name.

    Raises:
        argparse.ArgumentTypeError: there is none.
    """
    known = {bug.name: bug for bug in BUGS}
    if name not in known:
        message = f"there is no bug {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"
        raise argparse.ArgumentTypeError(message)
    return known[name]
