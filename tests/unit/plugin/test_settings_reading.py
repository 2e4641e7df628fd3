"""The command line and the ini file become one frozen `Settings`; an invalid value is a usage error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.plugin.settings_reading import read_settings
from pytest_diffopt.session.settings import Settings

pytest_plugins = ["pytester"]

Configure = Callable[..., Settings]


@pytest.fixture
def settings_of(pytester: pytest.Pytester) -> Configure:
    """Return a function that reads the settings of a command line and an ini file."""

    def read(*arguments: str, ini: str = "", environment: dict[str, str] | None = None) -> Settings:
        pytester.makeini(f"[pytest]\n{ini}")
        return read_settings(pytester.parseconfig(*arguments), environment or {})

    return read


def test_without_options_the_defaults_are_used(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """Tiny scale, no GPU, baselines under the root folder, and nothing is written."""
    assert settings_of() == Settings(
        use_gpu=False,
        scale=Scale.TINY,
        baselines_folder=pytester.path / "baselines",
        weights_folder=None,
        update=WritePermission.NEVER,
        prune=False,
        report_folder=None,
        max_seconds=10.0,
        margin=0.05,
    )


def test_every_setting_has_a_command_line_option(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """Relative folders are below the root folder; absolute ones are unchanged."""
    settings = settings_of(
        "--gpu",
        "--diffopt-scale=full",
        "--diffopt-baselines=stored",
        "--diffopt-weights=/models",
        "--diffopt-update=all",
        "--diffopt-prune",
        "--diffopt-report=out",
        "--diffopt-max-seconds=2.5",
        "--diffopt-margin=0.1",
    )

    assert settings == Settings(
        use_gpu=True,
        scale=Scale.FULL,
        baselines_folder=pytester.path / "stored",
        weights_folder=Path("/models"),
        update=WritePermission.ALL,
        prune=True,
        report_folder=pytester.path / "out",
        max_seconds=2.5,
        margin=0.1,
        paired_max_seconds=2.5,
        paired_margin=0.1,
    )


INI = """
diffopt_gpu = true
diffopt_scale = full
diffopt_baselines = stored
diffopt_weights = models
diffopt_report = out
diffopt_max_seconds = 2.5
diffopt_margin = 0.1
"""


def test_every_permanent_setting_has_an_ini_option(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """Only writing baselines has none."""
    assert settings_of(ini=INI) == Settings(
        use_gpu=True,
        scale=Scale.FULL,
        baselines_folder=pytester.path / "stored",
        weights_folder=pytester.path / "models",
        report_folder=pytester.path / "out",
        max_seconds=2.5,
        margin=0.1,
        paired_max_seconds=2.5,
        paired_margin=0.1,
    )


def test_references_can_be_a_folder_or_a_url(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """A folder is relative to the root; a URL is unchanged. The command line overrides the ini file."""
    ini = "diffopt_references = s3://bucket/references"

    assert settings_of().references == ""
    assert settings_of(ini=ini).references == "s3://bucket/references"
    assert settings_of("--diffopt-references=far", ini=ini).references == str(pytester.path / "far")


def test_explain_is_off_by_default(settings_of: Configure) -> None:
    """It needs additional calls, so it is enabled per run only."""
    assert settings_of("--diffopt-explain").explain
    assert not settings_of().explain


def test_the_command_line_overrides_the_ini_file(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """Each option is overridden separately."""
    settings = settings_of("--diffopt-scale=tiny", "--diffopt-margin=0.2", ini=INI)

    assert (settings.scale, settings.margin) == (Scale.TINY, 0.2)
    assert (settings.max_seconds, settings.baselines_folder) == (2.5, pytester.path / "stored")


@pytest.mark.parametrize(
    ("ini", "arguments", "message"),
    [
        ("diffopt_null_gpu_values = none", (), "diffopt_null_gpu_values must be small or all, got: 'none'"),
        ("diffopt_scale = huge", (), "diffopt_scale must be one of tiny, full, got: 'huge'"),
        ("diffopt_margin = much", (), "diffopt_margin must be a positive number, got: 'much'"),
        ("diffopt_margin = nan", (), "diffopt_margin must be a positive number, got: 'nan'"),
        ("diffopt_max_seconds = inf", (), "diffopt_max_seconds must be a positive number, got: 'inf'"),
        ("diffopt_report = a\0b", (), r"diffopt_report must not contain a NUL character, got: 'a\x00b'"),
        ("", ("--diffopt-against=\0",), r"diffopt_against must not contain a NUL character, got: '\x00'"),
        ("", ("--diffopt-editable=\0",), r"diffopt_editable must not contain a NUL character, got: '\x00'"),
        ("", ("--diffopt-margin=0",), "diffopt_margin must be a positive number, got: '0.0'"),
        ("", ("--diffopt-max-seconds=-1",), "diffopt_max_seconds must be a positive number, got: '-1.0'"),
    ],
)
def test_an_invalid_value_is_a_usage_error(
    settings_of: Configure, ini: str, arguments: tuple[str, ...], message: str
) -> None:
    """The message contains the rule and the value."""
    with pytest.raises(pytest.UsageError) as error:
        settings_of(*arguments, ini=ini)

    assert str(error.value) == message


@pytest.mark.parametrize("option", ["--diffopt-update=missing", "--diffopt-update=all", "--diffopt-prune"])
@pytest.mark.parametrize("value", ["1", "true", "github"])
def test_baselines_are_not_written_in_ci(settings_of: Configure, option: str, value: str) -> None:
    """The message contains both alternatives."""
    with pytest.raises(pytest.UsageError) as error:
        settings_of(option, environment={"CI": value})

    assert str(error.value) == (
        f"{option.partition('=')[0]} would write baselines in CI, got: CI={value}; "
        "run it on your machine and commit the result, or add --diffopt-allow-ci-update"
    )


@pytest.mark.parametrize("environment", [{}, {"CI": ""}, {"CI": "0"}, {"CI": "False"}, {"CI": "no"}])
def test_baselines_are_written_outside_of_ci(settings_of: Configure, environment: dict[str, str]) -> None:
    """A false value of `CI` counts as unset."""
    assert settings_of("--diffopt-update=missing", environment=environment).update is WritePermission.MISSING


def test_ci_writes_baselines_with_permission(settings_of: Configure) -> None:
    """`--diffopt-allow-ci-update` gives it."""
    settings = settings_of("--diffopt-update=all", "--diffopt-allow-ci-update", environment={"CI": "1"})

    assert settings.update is WritePermission.ALL


def test_reading_in_ci_needs_no_permission(settings_of: Configure) -> None:
    """CI compares with stored baselines by default."""
    assert settings_of(environment={"CI": "1"}).update is WritePermission.NEVER


def test_a_foreign_gpu_option_is_used(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """A conftest that defines `--gpu` keeps its option, and the plugin does not read its value."""
    pytester.makeconftest(
        "def pytest_addoption(parser):\n    parser.addoption('--gpu', action='store_true', help='ours')\n"
    )

    assert not settings_of("--gpu").use_gpu
    assert settings_of("--diffopt-gpu").use_gpu


def test_the_settings_of_the_paired_gate(settings_of: Configure, pytester: pytest.Pytester) -> None:
    """The revision, the compared package's folder relative to the invocation folder, and the timeout of a worker."""
    settings = settings_of(
        "--diffopt-against=main",
        "--diffopt-editable=engine",
        ini="diffopt_worker_timeout = 30\ndiffopt_time_steps = true",
    )

    assert (settings.against, settings.editable) == ("main", pytester.path / "engine")
    assert (settings.worker_timeout_seconds, settings.time_steps) == (30.0, True)
    assert (settings.paired_max_seconds, settings.paired_margin) == (60.0, 0.01)
    assert settings.is_paired
    assert not settings_of().is_paired
    assert settings_of("--diffopt-calibrate").is_paired
