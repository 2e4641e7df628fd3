"""A graph break is reported at the user's own line."""

import pytest
import torch
from packaging.version import Version

from tests.integration.compiled_projects import EAGER, NO_BREAKS, allowing, run


@pytest.mark.parametrize(
    ("line", "facts", "left_out"),
    [
        (
            'print("drawing")',
            [
                'print("drawing")',
                "Failed to trace builtin operator  (GB0059)",
                "hint: Avoid calling builtin `print` with argument types [[]'str'[]].*",
                "hint: *",
                "hint: Please report an issue to PyTorch.",
            ],
            0,
        ),
        (
            "latents = latents * latents.mean().item()",
            [
                "latents = latents * latents.mean().item()",
                "Unsupported Tensor.item() call with capture_scalar_outputs=False  (GB0124)",
                "hint: Set `torch._dynamo.config.capture_scalar_outputs = True` *",
            ],
            3,  # one a step
        ),
        (
            "latents = latents if latents.sum() > 0 else latents + 1",
            [
                "latents = latents if latents.sum() > 0 else latents + 1",
                "Data-dependent branching  (GB0170)",
                *["hint: *"] * (3 if Version(torch.__version__) >= Version("2.12.0a0") else 2),
            ],
            3,  # one a step
        ),
    ],
    ids=["print", "item", "branch"],
)
def test_a_graph_break_fails_and_names_the_line(
    own_pipeline: pytest.Pytester, line: str, facts: list[str], left_out: int
) -> None:
    """The line, its source, Dynamo's reason and hint, the operators outside any graph, and the allowance."""
    result = run(own_pipeline, NO_BREAKS.format(line=line, options=EAGER))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (0 allowed)",
            "  test_it.py:7  in forward",
            *(f"    {text}" for text in facts),
            "seen while compiling pipeline SmallPipeline (weights: the user's own), * frames compiled: "
            f"* operators captured; a call runs {left_out} outside any graph",
            'to accept this: allow_graph_breaks=[[]AllowedGraphBreaks(where="test_it.py:forward", break_reason="*',
        ],
        consecutive=True,
    )


def test_one_graph_passes(own_pipeline: pytest.Pytester) -> None:
    """A forward that Dynamo can trace in one piece passes."""
    result = run(own_pipeline, NO_BREAKS.format(line="latents = latents * 1.0", options=EAGER))

    result.assert_outcomes(passed=1)


def test_an_accepted_break_passes_and_another_one_fails(own_pipeline: pytest.Pytester) -> None:
    """The allowance covers only this function and this reason."""
    accepted = run(own_pipeline, allowing(NO_BREAKS.format(line='print("drawing")', options=EAGER)))
    line = 'print("drawing"); latents = latents * latents.mean().item()'
    another = run(own_pipeline, allowing(NO_BREAKS.format(line=line.replace("; ", "\n        "), options=EAGER)))

    accepted.assert_outcomes(passed=1)
    another.assert_outcomes(failed=1)
    another.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (0 allowed)",
            "  test_it.py:8  in forward",
            "    latents = latents * latents.mean().item()",
        ],
        consecutive=True,
    )


def test_an_unused_allowance_fails(own_pipeline: pytest.Pytester) -> None:
    """It would hide the break if it returned."""
    result = run(own_pipeline, allowing(NO_BREAKS.format(line="pass", options=EAGER)))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break allowance is no longer needed",
            "  test_it.py:forward (GB0059): 0 times (1 allowed); its reason: prints progress",
            "seen while compiling *",
            "remove or lower it in allow_graph_breaks, so that the break cannot return unnoticed",
        ],
        consecutive=True,
    )


def test_a_read_that_fullgraph_captures_fails(own_pipeline: pytest.Pytester) -> None:
    """Torch keeps `.item()` in the graph, and the CPU still blocks on the GPU."""
    line = "latents = latents * latents.mean().item()"
    result = run(own_pipeline, NO_BREAKS.format(line=line, options=EAGER + ", fullgraph=True"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (0 allowed)",
            "  test_it.py:7  in forward",
            f"    {line}",
            "    the graph holds .item()",
            "    fullgraph=True keeps the read in the graph; it still syncs the CPU with the GPU",
            "seen while compiling pipeline SmallPipeline (weights: the user's own), 1 frame compiled",
            'to accept this: allow_graph_breaks=[[]AllowedGraphBreaks(where="test_it.py:forward", '
            'break_reason="the graph holds .item()", reason="...")[]]',
        ],
        consecutive=True,
    )


USER_ERRORS = """
import torch
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

class Loops(torch.nn.Module):
    def forward(self, x):
        return [x for _ in range(x.sum().item())]

class Experts(torch.nn.Module):
    def forward(self, x):
        counts = torch.bincount(x, minlength=2).tolist()
        return [x * 2 for count in counts if count > 1]

class Prints(torch.nn.Module):
    def forward(self, x):
        def double(x):
            print("noise left")
            return x * 2
        return torch.cond(x.sum() > 0, double, lambda x: x * 1, (x,))

class Shapes(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x.sum(), (x,))

class Wrong(torch.nn.Module):
    def forward(self, x):
        return x + torch.ones(7)

def watched(model):
    model.compile(backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(capture_scalar_outputs=True, capture_dynamic_output_shape_ops=True):
        assert_no_graph_breaks(model, torch.tensor([0, 1, 1]))

def test_loop():
    watched(Loops())

def test_experts():
    watched(Experts())

def test_operator():
    watched(Prints())

def test_shapes():
    watched(Shapes())

def test_recompiles():
    model = Loops()
    model.compile(backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(capture_scalar_outputs=True):
        assert_no_recompiles(model, [{"x": torch.tensor([0, 1, 1])}])

def test_wrong_in_eager_too():
    watched(Wrong())
"""


def test_every_user_error_of_dynamo_is_a_graph_break(project: pytest.Pytester) -> None:
    """With the user's line and no traceback; an operator that fails in eager code too raises its own error."""
    project.makepyfile(test_it=USER_ERRORS)
    result = project.runpytest_inprocess("--tb=line")

    result.assert_outcomes(failed=6)
    lines = {
        "Loops": (6, "return [[]x for _ in range(x.sum().item())[]]"),
        "Experts": (10, "counts = torch.bincount(x, minlength=2).tolist()"),
        "Prints": (16, 'print("noise left")'),
        "Shapes": (22, "return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x.sum(), (x,))"),
    }
    for line, source in [*lines.values(), lines["Loops"]]:
        result.stdout.fnmatch_lines(
            [
                "diffopt: 1 graph break (0 allowed)",
                f"  test_it.py:{line}  in *",
                f"    {source}",
                "fullgraph=True makes it an error: fix the line, or compile without fullgraph to count the breaks",
            ]
        )
    result.stdout.fnmatch_lines(["*TorchRuntimeError*"])
