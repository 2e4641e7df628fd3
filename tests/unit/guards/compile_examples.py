"""Compilations shared by the tests of this folder."""

from typing import Any

from pytest_diffopt.records import CompiledFrame, CompiledModule, FailedGuard, GraphBreak, GuardKind
from pytest_diffopt.records.code_location import CodeLocation

FORWARD = CodeLocation(file="diffusers/unet.py", line=40, function="forward", source="def forward(self, x):")
PRINTS = GraphBreak(
    where=CodeLocation(file="models/own.py", line=12, function="gate", source="print(x)"),
    reason="Failed to trace builtin operator",
    code="GB0059",
    hints=("Remove the print", "Or use fullgraph=False"),
)
READS = GraphBreak(where=CodeLocation(file="models/own.py", line=20, function="gate"), reason="Tensor.item()")
GUIDANCE = FailedGuard(
    kind=GuardKind.VALUE, source="guidance", old="float 5.0", new="float 7.5", text="guidance == 5.0", where=FORWARD
)
SIZE = FailedGuard(
    kind=GuardKind.SHAPE,
    source="latents",
    old="size 16 in dimension 2",
    new="size 24 in dimension 2",
    text="tensor 'latents' size mismatch at index 2. expected 16, actual 24",
)
UNET = CompiledModule(name="unet", region="UNet.forward", instances=1, has_run=True)


def frame(failed: FailedGuard | None = None, **changes: Any) -> CompiledFrame:
    """Return a compilation of `UNet.forward`."""
    facts: dict[str, Any] = {
        "region": "UNet.forward",
        "where": FORWARD,
        "compile_id": "0/0",
        "operations": 7,
        "guards": 3,
        "is_compiled": True,
        "compile_ns": 1_000_000,
        "failed_guard": failed,
    }
    return CompiledFrame(**(facts | changes))
