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
    "attention": attention.FAULTS,
    "denoiser": denoisers.FAULTS,
    "scheduler": schedulers.FAULTS,
    "guidance": guidance.FAULTS,
    "autoencoder": autoencoders.FAULTS,
    "text encoder": text_encoders.FAULTS,
    "conditioning": conditioning.FAULTS,
    "quantization": quantization.FAULTS,
    "state": leaks.FAULTS,
    "compilation": compilation.FAULTS,
    "syncs": syncs.FAULTS,
    "performance": performance.FAULTS,
}
FAULTS: tuple[InjectedFault, ...] = tuple(fault for faults in SUBJECTS.values() for fault in faults)


def find_fault(name: str) -> InjectedFault:
    """Return the fault with a name.

    Raises:
        argparse.ArgumentTypeError: no fault has this name.
    """
    known = {fault.name: fault for fault in FAULTS}
    if name not in known:
        message = f"unknown fault {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"
        raise argparse.ArgumentTypeError(message)
    return known[name]
