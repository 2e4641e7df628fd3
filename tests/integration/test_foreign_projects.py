"""A project with fixtures and markers of the plugin's names, but not the plugin's, runs as if it were not installed."""

import json

import pytest

#: Fixtures of a project that knows nothing of diffusion pipelines.
CONFTEST = """
import sys
import pytest

@pytest.fixture(scope="session")
def optimized_pipeline():
    return ["extract", "load"]

@pytest.fixture
def pipeline_inputs():
    return {"rows": 3}

@pytest.fixture
def latency_baseline(request):
    return request.node.name

def pytest_configure(config):
    config.addinivalue_line("markers", "gpu(model): the GPU on which a test runs")

def pytest_unconfigure(config):
    print("imported:", sorted({"torch", "diffusers", "numpy", "msgspec"} & set(sys.modules)))
"""
TESTS = """
import pytest

@pytest.mark.gpu("a100")
def test_marked(optimized_pipeline, pipeline_inputs):
    assert (optimized_pipeline, pipeline_inputs) == (["extract", "load"], {"rows": 3})

@pytest.mark.diffopt("fast", level=3)
def test_their_other_marker(latency_baseline):
    assert latency_baseline == "test_their_other_marker"

@pytest.mark.parametrize("reference_pipeline", [1, 2])
def test_parametrized(reference_pipeline):
    assert reference_pipeline in {1, 2}

@pytest.mark.gpu
def test_fails(optimized_pipeline):
    assert optimized_pipeline == []
"""
OUTCOMES = ["test_marked PASSED", "test_their_other_marker PASSED", "test_parametrized[[]1[]] PASSED"]


@pytest.fixture
def foreign(pytester: pytest.Pytester) -> pytest.Pytester:
    """Make a project that registers its markers and requires that markers are registered."""
    pytester.makeini(
        """
        [pytest]
        addopts = -p no:cacheprovider -p no:benchmark --strict-markers
        markers = diffopt(name, level): a test of differential optimization
        """
    )
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)
    return pytester


def outcome_lines(result: pytest.RunResult) -> list[str]:
    """Return the lines of `-v` with a test's outcome, without the percentage."""
    return [line.partition(" [")[0] for line in result.outlines if "::" in line and " - " not in line]


@pytest.mark.parametrize("place", ["here", "GitHub Actions"])
def test_it_runs_as_without_the_plugin(foreign: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The outcomes are equal, nothing heavy is imported, and no line is added."""
    if place == "GitHub Actions":
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(foreign.path / "summary.md"))
    without = foreign.runpytest_subprocess("-v", "-p", "no:diffopt", timeout=600)
    beside = foreign.runpytest_subprocess("-v", timeout=600)

    assert outcome_lines(beside) == outcome_lines(without)
    beside.assert_outcomes(passed=4, failed=1)
    beside.stdout.fnmatch_lines(["imported: []"])
    beside.stdout.no_fnmatch_line("diffopt: *")
    assert not (foreign.path / "summary.md").exists()


def test_its_tests_need_no_gpu(foreign: pytest.Pytester) -> None:
    """`--diffopt-gpu` is for diffopt tests, and there is none."""
    result = foreign.runpytest_subprocess("--diffopt-gpu", "-k", "not fails", timeout=600)

    result.assert_outcomes(passed=4, deselected=1)
    result.stdout.fnmatch_lines(["not proven: --diffopt-gpu was given, but no diffopt test ran"])


def test_its_markers_are_listed_beside_ours(foreign: pytest.Pytester) -> None:
    """`pytest --markers` shows both definitions of a name."""
    result = foreign.runpytest_inprocess("--markers")

    result.stdout.fnmatch_lines_random(
        [
            "@pytest.mark.gpu(model): the GPU on which a test runs",
            "@pytest.mark.gpu(memory_gib, capability, count): this diffopt test needs *",
            "@pytest.mark.diffopt(name, level): a test of differential optimization",
            "@pytest.mark.diffopt(pipeline, recipe, scale, batch): *",
        ]
    )


def test_a_diffopt_test_in_a_project_with_its_own_markers(project: pytest.Pytester) -> None:
    """A mark with the plugin's keywords is the plugin's; a mark in another form is the project's."""
    project.makeini(
        """
        [pytest]
        addopts = -p no:cacheprovider --strict-markers
        markers =
            gpu(model): the GPU on which a test runs
            diffopt: a word that the project uses too
        """
    )
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.gpu("a100")
        @pytest.mark.diffopt(pipeline="sdxl", recipe="fp32")
        def test_with_their_gpu_marker(diffopt_pipeline, diffopt_recipe):
            assert diffopt_pipeline.family.name == "sdxl"

        @pytest.mark.gpu(memory_gib=24)
        @pytest.mark.diffopt(pipeline="sdxl")
        def test_with_our_gpu_marker(diffopt_pipeline):
            raise AssertionError("it needs a GPU")

        @pytest.mark.gpu
        @pytest.mark.diffopt
        def test_of_the_project():
            pass
        """
    )
    result = project.runpytest_inprocess("-rs")

    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * needs a GPU: run with --diffopt-gpu"])


OVERRIDES = """
import pytest
{imports}

@pytest.fixture
def optimized_pipeline():
    return "their own"
"""
NEEDS_GPU = """
import pytest
{imports}

@pytest.mark.gpu
def test_it(optimized_pipeline):
    pass
"""


@pytest.mark.parametrize(
    ("in_conftest", "in_test", "outcomes"),
    [
        ("", "", {"passed": 1}),
        ("from pytest_diffopt import PipelineInputs", "", {"skipped": 1}),
        ("", "from pytest_diffopt import assert_no_syncs", {"skipped": 1}),
        ("", "import pytest_diffopt", {"skipped": 1}),
        ("", "class Lazy:\n    __module__ = __class__ = property(lambda self: 1 / 0)\nlazy = Lazy()", {"passed": 1}),
    ],
)
def test_an_overridden_fixture_belongs_to_a_project_that_imports_the_package(
    project: pytest.Pytester, in_conftest: str, in_test: str, outcomes: dict[str, int]
) -> None:
    """Then the test is a diffopt test without a marker, and is skipped without a GPU; by its name alone it is not."""
    project.makeconftest(OVERRIDES.format(imports=in_conftest))
    project.makepyfile(test_it=NEEDS_GPU.format(imports=in_test))

    project.runpytest_inprocess().assert_outcomes(**outcomes)


def test_a_fixture_that_extends_ours_is_still_ours(project: pytest.Pytester) -> None:
    """It requests the plugin's fixture under its own name."""
    project.makeconftest(
        """
        import pytest

        @pytest.fixture
        def pipeline_inputs(pipeline_inputs):
            return {**pipeline_inputs, "prompt": "another"}
        """
    )
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.gpu
        def test_it(pipeline_inputs):
            pass
        """
    )

    project.runpytest_inprocess().assert_outcomes(skipped=1)


#: What a plugin could change of the process, as the test of another project sees it.
PROCESS = """
import atexit, gc, json, locale, logging, os, pathlib, random, signal, sys, tempfile, threading, warnings

def name(thing):
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"

def test_process(tmp_path, request):
    ours = ("runpytest-", "__pycache__", ".pytest_cache", "found.json")  # pytest's own, and this file's
    files = sorted(path.name for path in pathlib.Path().iterdir() if not path.name.startswith(ours))
    modules = {module.partition(".")[0] for module in sys.modules} - sys.stdlib_module_names - {"pytest_diffopt"}
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    found = {
        "signals": {one.name: name(signal.getsignal(one)) for one in signal.valid_signals() if hasattr(one, "name")},
        "threads": [thread.name for thread in threading.enumerate()],
        "hooks": [name(one) for one in (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook)],
        "warnings": [repr(one) for one in warnings.filters] + [name(warnings.showwarning)],
        "loggers": {one.name: [name(type(handler)) for handler in one.handlers] for one in loggers},
        "levels": {one.name: (one.level, one.propagate, one.disabled) for one in loggers},
        "environment": {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"},
        "folder": [os.getcwd(), tempfile.tempdir, files, sorted(path.name for path in tmp_path.parent.iterdir())],
        "garbage": [gc.get_threshold(), len(gc.callbacks), gc.get_freeze_count(), gc.isenabled(), gc.get_debug()],
        "exit": atexit._ncallbacks(),
        "imports": [sys.path, [name(one) for one in sys.meta_path], [name(one) for one in sys.path_hooks]],
        "modules": sorted(modules),
        "tracing": [sys.gettrace(), sys.getprofile()],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), locale.setlocale(locale.LC_ALL)],
        "random": hash(random.Random(0).random()),
        "plugins": sorted(str(one) for one, _ in request.config.pluginmanager.list_name_plugin() if "diffopt" not in one
                          and not one.isdigit()),
        "ini": request.config.getini("filterwarnings"),
    }
    pathlib.Path("found.json").write_text(json.dumps(found))
"""


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-W", "error", "--strict-markers", "--strict-config"),
        ("--import-mode=importlib", "-s", "-p", "no:terminal"),
        ("-p", "no:cacheprovider", "-p", "no:logging", "-p", "no:junitxml"),
    ],
    ids=["plain", "strict", "importlib", "without plugins of pytest"],
)
def test_the_process_is_as_without_the_plugin(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """Signals, threads, hooks, warnings, loggers, environment, files, garbage collector, imports, other plugins."""
    pytester.makepyfile(test_it=PROCESS)
    found = []
    for plugin in (("-p", "no:diffopt"), ()):
        result = pytester.runpytest_subprocess("-p", "no:benchmark", *plugin, *options, timeout=600)
        assert result.ret == 0
        found.append(json.loads((pytester.path / "found.json").read_text()))

    without, beside = found
    assert {key for key in without if without[key] != beside[key]} == set()


def test_it_can_be_switched_off_and_on(foreign: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the loading of installed plugins nothing of it is there; `-p diffopt` loads it by its name."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    foreign.makepyfile(test_it="def test_it(pytestconfig):\n    print(pytestconfig.pluginmanager.hasplugin('diffopt'))")
    without = foreign.runpytest_subprocess("-s", timeout=600)
    beside = foreign.runpytest_subprocess("-s", "-p", "diffopt", timeout=600)

    without.assert_outcomes(passed=1)
    without.stdout.fnmatch_lines(["*False*", "imported: []"])
    beside.assert_outcomes(passed=1)
    beside.stdout.fnmatch_lines(["*True*", "imported: []"])


OURS = """
import pytest
import torch
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

class Model(torch.nn.Module):
    def forward(self, x):
        return x * 2

@pytest.fixture(scope="module")
def model():
    model = Model()
    model.compile(backend="eager")
    return model

@pytest.mark.parametrize("time", range(3))
def test_ours(model, time):
    assert_no_graph_breaks(model, torch.ones(1, 2))
    assert_no_recompiles(model, [{"x": torch.ones(1, 2)}] * 2)
"""
THEIRS = """
import torch
from torch._dynamo import convert_frame, output_graph, symbolic_convert

def functions():
    return [
        convert_frame._compile,
        symbolic_convert.InstructionTranslatorBase.log_graph_break,
        output_graph.OutputGraph.call_user_compiler,
    ]

def compiled(rows):
    graphs = []
    torch.compile(torch.nn.Linear(2, 2), backend=lambda graph, _: graphs.append(graph) or graph)(torch.ones(rows, 2))
    return len(graphs)

def test_the_compiler_is_torch_s():
    assert [one.__module__.partition(".")[0] for one in functions()] == ["torch"] * 3

def test_compiles():
    assert compiled(rows=3) == 1

def test_compiles_after_a_reset():
    torch.compiler.reset()
    assert compiled(rows=4) == 1
"""


def test_torch_s_compiler_is_its_own_while_another_project_s_test_runs(project: pytest.Pytester) -> None:
    """In between of diffopt tests, whose verdicts do not change."""
    project.makepyfile(test_ours=OURS, test_theirs=THEIRS)
    ours = [f"test_ours.py::test_ours[{time}]" for time in range(3)]
    theirs = "test_theirs.py::test_compiles"
    result = project.runpytest_inprocess(
        ours[0], "test_theirs.py::test_the_compiler_is_torch_s", theirs, ours[1], f"{theirs}_after_a_reset", ours[2]
    )

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["6 verdicts: 6 passed"])
