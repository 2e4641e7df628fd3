"""The public interface: options, ini names, markers, fixtures and names; document each change in the changelog."""

import pytest

import pytest_diffopt

OPTIONS = [
    "--diffopt-against",
    "--diffopt-allow-ci-update",
    "--diffopt-base",
    "--diffopt-baselines",
    "--diffopt-calibrate",
    "--diffopt-editable",
    "--diffopt-explain",
    "--diffopt-gpu",
    "--diffopt-margin",
    "--diffopt-max-seconds",
    "--diffopt-null-gpu",
    "--diffopt-null-gpu-values",
    "--diffopt-prune",
    "--diffopt-references",
    "--diffopt-report",
    "--diffopt-require",
    "--diffopt-scale",
    "--diffopt-summary",
    "--diffopt-time-steps",
    "--diffopt-update",
    "--diffopt-weights",
    "--diffopt-worker-timeout",
]
INI_NAMES = [
    "diffopt_base",
    "diffopt_baselines",
    "diffopt_gpu",
    "diffopt_inconclusive",
    "diffopt_margin",
    "diffopt_max_seconds",
    "diffopt_null_gpu",
    "diffopt_null_gpu_values",
    "diffopt_references",
    "diffopt_report",
    "diffopt_require",
    "diffopt_scale",
    "diffopt_stale_allowances",
    "diffopt_summary",
    "diffopt_time_steps",
    "diffopt_weights",
    "diffopt_worker_timeout",
]
MARKERS = ["diffopt", "gpu"]
FIXTURES = [
    "compile_baseline",
    "count_baseline",
    "diffopt_batch",
    "diffopt_device",
    "diffopt_pipeline",
    "diffopt_recipe",
    "diffopt_reference_recipe",
    "effect_baseline",
    "image_baseline",
    "kernel_baseline",
    "latency_baseline",
    "memory_baseline",
    "optimized_pipeline",
    "pipeline_inputs",
    "pipeline_shape_variations",
    "pipeline_variations",
    "reference_pipeline",
    "simulated_pipeline",
]
PUBLIC_NAMES = [
    "AllowedGraphBreaks",
    "AllowedRecompiles",
    "AllowedSyncs",
    "AudioThresholds",
    "CompileGate",
    "CountGate",
    "DiffoptAssertionError",
    "EffectGate",
    "ImageGate",
    "ImageThresholds",
    "KernelGate",
    "LatencyGate",
    "MemoryGate",
    "Optimization",
    "PipelineInputs",
    "Scale",
    "__version__",
    "another_scheduler",
    "assert_compiled_matches_eager",
    "assert_faster",
    "assert_fewer_kernels",
    "assert_images_similar",
    "assert_memory_stable",
    "assert_no_graph_breaks",
    "assert_no_recompiles",
    "assert_no_syncs",
    "assert_optimizations_applied",
    "assert_optimizations_effective",
    "assert_quantized_matches_dequantized",
    "assert_repeatable",
    "assert_same_images",
    "assert_same_images_in_parallel",
    "conclude_own_guard",
    "ladder",
    "lora_disabled",
    "lora_loaded",
    "lora_scaled",
    "lora_variations",
    "no_syncs",
    "parse_recipe",
    "register_optimization",
    "register_pipeline",
    "shape_variations",
]
SHOW = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    groups = config._parser._groups
    ours = next(group for group in groups if group.name == "diffopt")
    print("options", sorted(name for option in ours.options for name in option.names()))
    print("ini", sorted(name for name in config._parser._inidict if name.startswith("diffopt")))
    markers = [line.partition("(")[0] for line in config.getini("markers")]
    print("markers", sorted({name for name in markers if name in {"diffopt", "gpu"}}))
"""


def test_options_ini_names_and_markers_are_unchanged(project: pytest.Pytester) -> None:
    """As registered with pytest."""
    project.makeconftest(SHOW)
    result = project.runpytest_inprocess("-s")

    for kind, names in {"options": OPTIONS, "ini": INI_NAMES, "markers": MARKERS}.items():
        assert f"{kind} {names}" in result.outlines


def test_the_fixtures_are_unchanged(project: pytest.Pytester) -> None:
    """`pytest --fixtures` shows each with a docstring."""
    result = project.runpytest_inprocess("--fixtures", "-v")
    ours = [line.split()[0] for line in result.outlines if "pytest_diffopt/plugin/fixtures.py:" in line]

    assert sorted(ours) == FIXTURES
    result.stdout.no_fnmatch_line("*pytest_diffopt/plugin/fixtures.py*: no docstring*")


def test_every_permanent_option_has_an_ini_name() -> None:
    """Only options of a single run have none: writing baselines, comparing revisions, calibrating, explaining."""
    ini_names = {
        "diffopt_" + option.removeprefix("--").removeprefix("diffopt-").replace("-", "_") for option in OPTIONS
    }

    assert sorted(ini_names - set(INI_NAMES)) == [
        "diffopt_against",
        "diffopt_allow_ci_update",
        "diffopt_calibrate",
        "diffopt_editable",
        "diffopt_explain",
        "diffopt_prune",
        "diffopt_update",
    ]


def test_the_public_names_are_unchanged() -> None:
    """`__all__` is sorted and complete."""
    assert pytest_diffopt.__all__ == PUBLIC_NAMES
