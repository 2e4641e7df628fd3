"""`kernel_baseline` and `assert_fewer_kernels` in users' projects, on the null GPU."""

import json

import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers and torch of other versions than the suites'
SEEN = "seen on null NVIDIA H200, pipeline Pipeline (weights: the user's own)"

PROJECT = """
import pytest
import torch
import small_pipeline

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        latents = super().step(latents, timestep, num_inference_steps)
        {line}
        return latents

def test_kernels(kernel_baseline):
    pipeline = small_pipeline.build(pipeline=Pipeline).to("{device}")
    kernel_baseline.check(pipeline, **small_pipeline.inputs())
"""
PLAIN = "latents = latents + 1"


def run(project: pytest.Pytester, line: str, *options: str, device: str = "cuda") -> pytest.RunResult:
    """Run one test that counts a pipeline whose step ends in a line."""
    project.makepyfile(test_it=PROJECT.format(line=line, device=device))
    return project.runpytest_inprocess(*options)


def test_accepted_kernels_pass_and_two_casts_fail(project: pytest.Pytester) -> None:
    """The casts are two kernels in every step, with the dtype that each writes, and memory."""
    missing = run(project, PLAIN)
    accepting = run(project, PLAIN, "--diffopt-update=missing")
    same = run(project, PLAIN)
    casting = run(project, "latents = (latents + 1).double().float()")

    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(
        [
            "diffopt: no kernels baseline has been accepted: * launches, peak *",
            SEEN,
            "to accept it: pytest test_it.py::test_kernels --diffopt-null-gpu=h200 --diffopt-update missing",
        ],
        consecutive=True,
    )
    accepting.assert_outcomes(passed=1)
    assert (project.path / "baselines/null-nvidia-h200/test_it/test_kernels.json").is_file()
    same.assert_outcomes(passed=1)
    casting.assert_outcomes(failed=1)
    casting.stdout.fnmatch_lines(
        [
            "diffopt: the kernels differ from the accepted ones",
            "  step 0     launches 10 -> 12 (+20.0 %)",
            "  step 0     unrolled_elementwise_kernel(copy, float32) 0 -> 1",
            "  step 0     unrolled_elementwise_kernel(copy, float64) 0 -> 1",
            "  steps 1-2  launches 10 -> 12 (+20.0 %)",
            SEEN,
            "to accept this: pytest test_it.py::test_kernels --diffopt-null-gpu=h200 --diffopt-update all",
        ]
    )


def test_one_kernel_fewer_fails_until_it_is_accepted(project: pytest.Pytester) -> None:
    """A gain that is not accepted could be lost again unnoticed."""
    run(project, "latents = (latents + 1) * 2", "--diffopt-update=missing")
    fewer = run(project, PLAIN)
    accepting = run(project, PLAIN, "--diffopt-update=all")

    fewer.assert_outcomes(failed=1)
    fewer.stdout.fnmatch_lines(["diffopt: the kernels improved", "  step 0 *_elementwise_kernel(mul, float32) *"])
    accepting.assert_outcomes(passed=1)


ESTIMATED = """
import small_pipeline
import torch

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        torch.cuda._sleep(SLEEP)
        return super().step(latents, timestep, num_inference_steps)

def test_kernels(kernel_baseline):
    pipeline = small_pipeline.build(pipeline=Pipeline).to("cuda")
    kernel_baseline.check(pipeline, timeline=ASKED, **small_pipeline.inputs())
"""


def test_estimated_timeline_is_reported(project: pytest.Pytester) -> None:
    """The GPU's time of a step is in the report: 1.98e7 cycles at 1.98 GHz take 10 ms."""
    project.makepyfile(test_it=ESTIMATED.replace("ASKED", "True").replace("SLEEP", "19_800_000"))
    result = project.runpytest_inprocess("--diffopt-update=missing", "--diffopt-report=report")
    report = json.loads((project.path / "report/report.json").read_text(encoding="utf-8"))
    page = (project.path / "report/index.html").read_text(encoding="utf-8")
    (timeline,) = (entry["record"]["timeline"] for entry in report["verdicts"])
    (later,) = (phase for phase in timeline["phases"] if phase["phase"] == "later steps")

    result.assert_outcomes(passed=1)
    assert later["busy_ns"] == pytest.approx(10_000_000, rel=0.01)
    assert "Estimated timeline on nvidia-h200: no measurement of a GPU" in page


def test_timeline_is_estimated_if_asked_for(project: pytest.Pytester) -> None:
    """It takes further calls; anything but true or false is an error."""
    project.makepyfile(test_it=ESTIMATED.replace("ASKED", "False").replace("SLEEP", "1"))
    project.runpytest_inprocess("--diffopt-update=missing", "--diffopt-report=report").assert_outcomes(passed=1)
    report = json.loads((project.path / "report/report.json").read_text(encoding="utf-8"))
    project.makepyfile(test_it=ESTIMATED.replace("ASKED", "'yes'").replace("SLEEP", "1"))
    wrong = project.runpytest_inprocess()

    assert [entry["record"]["timeline"] for entry in report["verdicts"]] == [None]
    wrong.assert_outcomes(failed=1)
    wrong.stdout.fnmatch_lines(["*kernel_baseline.check(timeline=...) must be True or False, got: 'yes'"])


def test_figures_do_not_depend_on_other_tests(project: pytest.Pytester) -> None:
    """Memory that others hold and their free blocks in the allocator's cache change nothing."""
    run(project, PLAIN, "--diffopt-update=missing")
    others = [torch.ones(number, 1000, device="cuda") for number in (100, 1000, 10)]
    del others[1]
    result = run(project, PLAIN)

    result.assert_outcomes(passed=1)


def test_pipeline_on_the_cpu_is_unwatched(project: pytest.Pytester) -> None:
    """It launches nothing, which must not pass, and nothing is accepted."""
    result = run(project, PLAIN, "--diffopt-update=missing", device="cpu")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: no operation of the denoise loop ran on *: nothing was watched"])
    assert not (project.path / "baselines").exists()


def test_calls_that_differ_are_inconclusive(project: pytest.Pytester) -> None:
    """A state that grows from call to call."""
    line = "self.calls = getattr(self, 'calls', 0) + 1; [latents.mul_(1) for _ in range(self.calls)]"
    result = run(project, line)

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*each call launches something else (* launches, peak *"])


CHAIN = """
import small_pipeline

class TwoLoops(small_pipeline.SmallPipeline):
    def __call__(self, num_inference_steps=2, **inputs):
        super().__call__(num_inference_steps=num_inference_steps, **inputs)
        return super().__call__(num_inference_steps=num_inference_steps, **inputs)

def test_kernels(kernel_baseline):
    pipeline = small_pipeline.build(pipeline=TwoLoops).to("cuda")
    kernel_baseline.check(pipeline, **small_pipeline.inputs())
"""


def test_two_loops_of_a_call_are_counted(project: pytest.Pytester) -> None:
    """The work after each loop belongs to one phase, and the second loop goes on with the steps."""
    project.makepyfile(test_it=CHAIN)
    project.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=1)
    path = project.path / "baselines/null-nvidia-h200/test_it/test_kernels.json"
    document = json.loads(path.read_text(encoding="utf-8"))

    assert document["num_steps"] == 4
    assert list(document["phases"]) == ["after the loop", "before the loop", "step 0", "step 1", "steps 2-3"]
    assert document["phases"]["after the loop"]["library_calls"]["cudnn convolution 1x4x16x16 + 3x4x1x1"] == 2


COMPILED = """
import pytest
import torch
from pytest_diffopt import assert_fewer_kernels

class Gate(torch.nn.Module):
    def forward(self, hidden):
        first, second = hidden.chunk(2, dim=-1)
        {line}
        return first * torch.nn.functional.gelu(second) + 1

eager = Gate().cuda()
hidden = torch.ones(64, 256, device="cuda")

@pytest.fixture
def compiled():
    torch.compiler.reset()
    yield torch.compile(Gate().cuda())
    torch.compiler.reset()

def test_kernels(compiled, kernel_baseline):
    kernel_baseline.check(compiled, hidden)

def test_fewer(compiled):
    assert_fewer_kernels(compiled, eager, hidden, by=3)

def test_not_fewer(compiled):
    assert_fewer_kernels(eager, compiled, hidden)

def test_bad_factor():
    assert_fewer_kernels(eager, eager, hidden, by=0.5)
"""


def test_fusion_that_a_break_loses(project: pytest.Pytester) -> None:
    """Inductor's kernel is one; with a graph break in the module it is none or another one."""
    project.makepyfile(test_it=COMPILED.format(line="pass"))
    fused = project.runpytest_inprocess("--diffopt-update=missing")
    project.makepyfile(test_it=COMPILED.format(line="second = torch.compiler.disable(torch.sigmoid)(second)"))
    broken = project.runpytest_inprocess("-k", "test_kernels or test_fewer")

    fused.assert_outcomes(passed=2, failed=2)
    fused.stdout.fnmatch_lines(
        [
            "diffopt: 3 launches, the reference 1: 0.33x fewer (fewer required)",
            "  subject    pipeline Gate (weights: the user's own)",
            "  reference  pipeline OptimizedModule (weights: the user's own)",
            "  elementwise_kernel(gelu, float32) 0 -> 1",
            "  elementwise_kernel(mul, float32) 0 -> 1",
            "  triton_poi_fused_add_gelu_mul_split 1 -> 0",
            "  vectorized_elementwise_kernel(add, float32) 0 -> 1",
            "seen on null NVIDIA H200, from the reference to the subject",
            "check that the optimization is applied; or lower by=... in the test",
            "*assert_fewer_kernels(by=...) must be a number of at least 1, got: 0.5",
        ]
    )
    broken.assert_outcomes(failed=2)
    broken.stdout.fnmatch_lines(
        [
            "diffopt: the kernels differ from the accepted ones",
            "  the call  launches 1 -> 2 (+100.0 %)",
            "  the call  *_kernel*(sigmoid, float32) 0 -> 1",
        ]
    )


def test_estimated_timeline_has_the_kernels_of_inductor(project: pytest.Pytester) -> None:
    """Their time is that of their arguments: 64 KiB read and 32 KiB written at 4.8 TB/s take 20 ns."""
    check = "kernel_baseline.check(compiled, hidden{})"
    text = COMPILED.format(line="pass").replace(check.format(""), check.format(", timeline=True"))
    project.makepyfile(test_it=text)
    result = project.runpytest_inprocess("-k", "test_kernels", "--diffopt-update=missing", "--diffopt-report=report")
    report = json.loads((project.path / "report/report.json").read_text(encoding="utf-8"))
    timeline = report["verdicts"][0]["record"]["timeline"]

    result.assert_outcomes(passed=1)
    assert (timeline["launches"], timeline["without_model"]) == (1, 0)
    assert timeline["phases"][0]["busy_ns"] == 20


FAULTS = """
import pytest
import torch

@torch.library.custom_op("diffopt_kernels::scaled", mutates_args=())
def scaled(values: torch.Tensor) -> torch.Tensor:
    return values * 2

@scaled.register_fake
def _(values):
    return torch.empty_like(values)

class Gate(torch.nn.Module):
    def forward(self, hidden):
        first, second = hidden.chunk(2, dim=-1)
        LINE
        return first * torch.nn.functional.gelu(second) + 1

def test_kernels(kernel_baseline):
    torch.compiler.reset()
    kernel_baseline.check(torch.compile(Gate().cuda()), torch.ones(64, 256, device="cuda"))
    torch.compiler.reset()
"""
FUSED = "  the call  triton_poi_fused_add_gelu_mul_split 1 -> 0"


def test_injected_faults_of_compiled_code_fail(project: pytest.Pytester) -> None:
    """Each changes a kernel's name or a number: a cast, an operation that cannot be fused, a line that breaks."""
    faults = {
        "second = second.double().float()": ["  the call  triton_poi_fused__to_copy_add_gelu_mul_split 0 -> 1"],
        "second = torch.ops.diffopt_kernels.scaled(second)": [
            "  the call  launches 1 -> * (+*",
            "  the call  *elementwise_kernel(mul, float32) 0 -> 1",
        ],
        "first = first + 1; print(end=''); second = second * 2": ["  the call  launches 1 -> 2 (+100.0 %)", FUSED],
    }
    project.makepyfile(test_it=FAULTS.replace("LINE", "pass"))
    project.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=1)
    for line, expected in faults.items():
        project.makepyfile(test_it=FAULTS.replace("LINE", line))
        result = project.runpytest_inprocess()

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["diffopt: the kernels differ from the accepted ones", *expected])
