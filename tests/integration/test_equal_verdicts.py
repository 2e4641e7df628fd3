"""A test has the same verdict alone, in any order and in any number: no state of an earlier test decides."""

import pytest

MODEL = """
import torch

class Denoiser(torch.nn.Module):
    def __init__(self, heads=1):
        super().__init__()
        self.heads = heads
        self.layer = torch.nn.Linear(8, 8 * heads)

    def forward(self, x):
        return self.layer(x).unflatten(-1, (self.heads, 8)).sum(-2)

def compiled(heads=1, backend="aot_eager"):
    model = Denoiser(heads)
    model.compile(backend=backend)
    return model

def wrong(graph, example_inputs):
    return lambda *inputs: [2 * output for output in graph(*inputs)]

def call(rows=2):
    return {"x": torch.ones(rows, 8)}
"""
FIXTURE = """
import pytest
import models

@pytest.fixture(scope="module")
def optimized_pipeline():
    return models.compiled()
"""
COMPILES = """
import models
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

def test_graph(optimized_pipeline):
    assert_no_graph_breaks(optimized_pipeline, **models.call())

def test_recompiles(optimized_pipeline):
    assert_no_recompiles(optimized_pipeline, [models.call(), models.call()])
"""


@pytest.fixture
def models(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project with a module of models, whose class several tests compile."""
    project.makepyfile(models=MODEL)
    return project


def test_a_second_file_with_the_same_class_has_the_same_verdicts(models: pytest.Pytester) -> None:
    """Dynamo holds the code of the first file's model, which would serve the second one without a compilation."""
    models.makeconftest(FIXTURE)
    models.makepyfile(test_one=COMPILES, test_two=COMPILES)

    for files in (["test_one.py", "test_two.py"], ["test_two.py", "test_one.py"]):
        result = models.runpytest_inprocess("--tb=short", *files)

        result.assert_outcomes(passed=4)


def test_a_wrong_backend_fails_for_the_tenth_model_of_a_class(models: pytest.Pytester) -> None:
    """Dynamo gives a function up after eight versions: the ninth model would run uncompiled, and equal eager."""
    models.makepyfile(
        test_it="""
import models, pytest
from pytest_diffopt import assert_compiled_matches_eager

@pytest.mark.parametrize("heads", range(1, 11))
@pytest.mark.parametrize("backend", [models.wrong, "aot_eager"], ids=["wrong", "right"])
def test_numbers(heads, backend):
    assert_compiled_matches_eager(models.compiled(heads, backend), **models.call())
"""
    )
    result = models.runpytest_inprocess("--tb=short", "-v")

    result.assert_outcomes(passed=10, failed=10)
    result.stdout.fnmatch_lines(["*test_numbers[[]wrong-9[]] FAILED*", "*test_numbers[[]wrong-10[]] FAILED*"])


BREAKS_THEN_FULLGRAPH = """
import models, pytest, torch
from pytest_diffopt import assert_no_graph_breaks

class Prints(models.Denoiser):
    def forward(self, x):
        for _ in range(2):
            print("noise left")
        return super().forward(x)

@pytest.mark.parametrize("fullgraph", {order})
def test_graph(fullgraph):
    model = Prints()
    model.compile(backend="eager", fullgraph=fullgraph)
    assert_no_graph_breaks(model, **models.call())
"""


@pytest.mark.parametrize("order", ["[True, False]", "[False, True]"])
def test_a_function_that_dynamo_skips_is_judged_again(models: pytest.Pytester, order: str) -> None:
    """After a break Dynamo may skip the function for good: a later model would seem never to be called."""
    models.makepyfile(test_it=BREAKS_THEN_FULLGRAPH.format(order=order))
    result = models.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=2)
    result.stdout.no_fnmatch_line("*never called*")
    result.stdout.fnmatch_lines(["regressed  graph breaks  Prints*1 graph break*"] * 2)


def test_calls_of_other_tests_do_not_count(models: pytest.Pytester) -> None:
    """A plain test calls the model with other shapes, and compiles another function with a graph break."""
    models.makeconftest(FIXTURE)
    plain = """
import models, torch

def test_plain(optimized_pipeline):
    for rows in range(3, 6):
        optimized_pipeline(**models.call(rows))
    torch.compile(lambda x: x * x.sum().item(), backend="eager")(torch.ones(2))
"""
    models.makepyfile(test_it=COMPILES + plain.replace("import models, torch\n", "import torch\n"))

    for names in (["test_plain", "test_graph", "test_recompiles"], ["test_recompiles", "test_plain", "test_graph"]):
        result = models.runpytest_inprocess("--tb=short", *(f"test_it.py::{name}" for name in names))

        result.assert_outcomes(passed=3)


def test_models_that_take_turns_are_judged_alone(models: pytest.Pytester) -> None:
    """Two living models of one class: neither is recompiled because of the other."""
    models.makepyfile(
        test_it="""
import models
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

def test_turns():
    first, second = models.compiled(1), models.compiled(2)
    for model in (first, second, first, second):
        assert_no_recompiles(model, [models.call(), models.call()])
        assert_no_graph_breaks(model, **models.call())
"""
    )
    result = models.runpytest_inprocess("--tb=short", "-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["passed  graph breaks  Denoiser*0 graph breaks in 1 compiled frame; *"] * 4)


CACHES = """
import functools
import torch
from pytest_diffopt import assert_no_syncs

@functools.lru_cache
def positions(device):
    return torch.arange(8.0).to(device)

class Rotary:
    def __init__(self):
        self.tables = None

    def __call__(self, device):
        if self.tables is None:
            self.tables = [torch.ones(8)]
        if self.tables[0].device != device:
            self.tables = [table.to(device) for table in self.tables]
        return self.tables[0]

class Denoiser(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)
        self.rotary = Rotary()

    def forward(self, x):
        return self.layer(x) * positions(x.device) * self.rotary(x.device)

model = Denoiser()

def test_plain():
    assert model(torch.ones(2, 8)).device.type == "cpu"
"""
ASSERTS = """
def test_syncs_{number}():
    assert_no_syncs(model, torch.ones(2, 8))
"""


@pytest.mark.parametrize("order", [(1, 2, 0), (0, 1, 2), (1, 0, 2)], ids=str)
def test_caches_by_device_hold_nothing_of_the_simulated_gpu(project: pytest.Pytester, order: tuple[int, ...]) -> None:
    """A function's cache and a plain object of the model: each assertion sees the same, and a plain call works."""
    project.makepyfile(test_it=CACHES + ASSERTS.format(number=1) + ASSERTS.format(number=2))
    names = [["test_plain", "test_syncs_1", "test_syncs_2"][number] for number in order]
    result = project.runpytest_inprocess("--tb=short", "-v", *(f"test_it.py::{name}" for name in names))

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["passed  syncs  Denoiser    0 syncs in 1 step; 2 in the first call only"] * 2)


ATTENTION = """
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry, attention_backend

class Processor:
    _attention_backend = None

class Attention(torch.nn.Module, AttentionModuleMixin):
    def __init__(self):
        super().__init__()
        self.processor = Processor()

    def forward(self, x):
        chosen = self.processor._attention_backend or _AttentionBackendRegistry.get_active_backend()[0]
        return x * x.sum().item() if chosen == AttentionBackendName._NATIVE_MATH else x * 2

class Denoiser(ModelMixin, ConfigMixin):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(2))
        self.attention = Attention()

    def forward(self, x):
        return self.attention(x) * self.scale
"""
SETS_BACKENDS = """
import attention, pytest, torch
from pytest_diffopt import assert_no_syncs

@pytest.fixture(scope="module")
def shared():
    model = attention.Denoiser()
    model.set_attention_backend("_native_math")
    return model

@pytest.fixture
def own():
    model = attention.Denoiser()
    model.set_attention_backend("_native_math")
    return model

def test_sets_it_in_a_test():
    attention.Denoiser().set_attention_backend("_native_math")

def test_with_a_shared_model(shared):
    assert_no_syncs(shared, torch.ones(2))

def test_with_an_own_model(own):
    assert_no_syncs(own, torch.ones(2))

def test_another_model():
    assert_no_syncs(attention.Denoiser(), torch.ones(2))

def test_another_model_beside(own, shared):
    assert_no_syncs(attention.Denoiser(), torch.ones(2))
"""
SETS_A_CONTEXT = """
import attention, torch
from pytest_diffopt import assert_no_syncs

def test_within_a_context():
    with attention.attention_backend("_native_math"):
        assert_no_syncs(attention.Denoiser(), torch.ones(2))
"""
BACKEND_TESTS = (
    "test_it.py::test_sets_it_in_a_test",
    "test_it.py::test_with_a_shared_model",
    "test_it.py::test_another_model",
    "test_it.py::test_with_an_own_model",
    "test_it.py::test_another_model_beside",
    "test_context.py::test_within_a_context",
)


@pytest.mark.parametrize("order", [BACKEND_TESTS, BACKEND_TESTS[::-1]], ids=["forwards", "backwards"])
def test_each_test_has_its_own_attention_backend(project: pytest.Pytester, order: tuple[str, ...]) -> None:
    """A model's choice is not the default of other models; the default that a test's own context sets counts."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry  # noqa: PLC0415 - slow to import

    before = _AttentionBackendRegistry.get_active_backend()[0]
    project.makepyfile(attention=ATTENTION, test_it=SETS_BACKENDS, test_context=SETS_A_CONTEXT)
    try:
        result = project.runpytest_inprocess("--tb=short", "-v", *order)
    finally:
        _AttentionBackendRegistry.set_active_backend(before)

    result.assert_outcomes(passed=3, failed=3)
    for name in ("with_a_shared_model", "with_an_own_model", "within_a_context"):
        result.stdout.fnmatch_lines([f"*::test_{name} FAILED*"])


APPLIED = """
import models, pytest, torch
from pytest_diffopt import assert_no_graph_breaks, assert_no_syncs, assert_optimizations_applied

class Pipeline:
    def __init__(self):
        self.unet, self.device = models.Denoiser(), torch.device("cpu")
        self.components = {"unet": self.unet}

    def to(self, device):
        self.unet.to(device)

    def __call__(self, x):
        return self.unet(x)

@pytest.fixture(scope="module")
def pipeline():
    pipeline = Pipeline()
    pipeline.unet.compile(backend="eager")
    pipeline(**models.call())
    assert_no_graph_breaks(pipeline, **models.call())
    return pipeline

RECIPE = 'compile(target=["unet"], backend="eager")'

def test_another_model():
    assert_no_graph_breaks(models.compiled(), **models.call())

def test_applied(pipeline):
    assert_no_syncs(pipeline, **models.call())
    assert_optimizations_applied(pipeline, recipe=RECIPE)

def test_reset():
    torch.compiler.reset()

def test_applied_again(pipeline):
    assert_optimizations_applied(pipeline, recipe=RECIPE)

def test_never_called():
    pipeline = Pipeline()
    pipeline.unet.compile(backend="eager")
    assert_optimizations_applied(pipeline, recipe=RECIPE)
"""


def test_a_reset_does_not_unapply_compilation(models: pytest.Pytester) -> None:
    """The pipeline has run compiled code, which a reset for another model discarded; one that never ran any fails."""
    models.makepyfile(test_it=APPLIED)
    names = ("applied", "another_model", "reset", "applied_again", "never_called")
    result = models.runpytest_inprocess("--tb=short", *(f"test_it.py::test_{name}" for name in names))

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*unet is compiled, but its compiled code has not run"])
