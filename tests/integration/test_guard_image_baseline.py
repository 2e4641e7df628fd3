"""Stored images are accepted once, compared in every run, and verified by their checksums."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CASE = """
def test_image(optimized_pipeline, pipeline_inputs, image_baseline):
    {inject}
    image_baseline.check(optimized_pipeline, **pipeline_inputs)
"""
CLEAN = "assert optimized_pipeline"
BRIGHTER = "optimized_pipeline.vae.conv.bias.data += 0.5"
NEARLY = "optimized_pipeline.vae.conv.bias.data += 0.002"
WITH_REFERENCE = """
@pytest.fixture
def reference_pipeline():
    return small_pipeline.build()
"""
COMMAND = "pytest test_it.py::test_image --diffopt-update"


def write(project: pytest.Pytester, inject: str = CLEAN) -> None:
    """Write the test."""
    project.makepyfile(test_it=CASE.format(inject=inject))


def accepted(project: pytest.Pytester, *options: str) -> Path:
    """Accept the images of the clean pipeline, and return the folder."""
    write(project)
    result = project.runpytest_inprocess("--diffopt-update=missing", *options)

    result.assert_outcomes(passed=1)
    return project.path / "baselines/cpu/test_it"


def document(folder: Path) -> dict[str, Any]:
    """Read the only document."""
    (path,) = folder.glob("*.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_missing_baseline_fails(own_pipeline: pytest.Pytester) -> None:
    """Nothing was compared, and the failure has the command that accepts the images."""
    write(own_pipeline)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no images baseline has been accepted: no image to compare with",
            "seen on any processor, pipeline SmallPipeline (weights: the user's own)",
            f"to accept it: {COMMAND} missing",
        ],
        consecutive=True,
    )


def test_accepted_images_pass_and_nothing_is_written(own_pipeline: pytest.Pytester) -> None:
    """The image is stored next to its document."""
    folder = accepted(own_pipeline)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    own_pipeline.runpytest_inprocess().assert_outcomes(passed=1)
    own_pipeline.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=1)

    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.suffix for path in before) == [".json", ".png"]
    (image,) = document(folder)["images"]
    with Image.open(folder / image["name"]) as image:
        assert (image.mode, image.size) == ("RGB", (16, 16))


def test_another_image_fails(own_pipeline: pytest.Pytester) -> None:
    """The learned limits follow the figures, and the command that accepts comes last."""
    accepted(own_pipeline)
    write(own_pipeline, BRIGHTER)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 image differs from the reference",
            "  image 0: SSIM 0.* (at least 0.99* required)",
            "  image 0: PSNR * dB (at least 5* dB required)",
            "  image 0: largest error of a pixel 0.* (0.00* allowed)",
            "  image 0: mean error 0.* (0.00* allowed)",
            "  image 0: FLIP 0.* (0.0* allowed)",
            "seen in pipeline SmallPipeline (weights: the user's own); pixel values are in [[]0, 1[]]",
            f"to accept this: {COMMAND} all",
            "images: /*",
        ],
        consecutive=True,
    )


def test_thresholds_are_learned_from_the_reference(own_pipeline: pytest.Pytester) -> None:
    """The reference's images are stored; the allowed error is 1.5 times that of the optimized ones."""
    own_pipeline.makeconftest(own_pipeline.path.joinpath("conftest.py").read_text() + WITH_REFERENCE)
    write(own_pipeline, NEARLY)
    own_pipeline.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=1)
    content = document(own_pipeline.path / "baselines/cpu/test_it")

    calls = [sample["call"] for sample in content["samples"]]
    worst = max(sample["figures"]["mean_error"] for sample in content["samples"])
    assert calls == ["the test's own call", "seed 1", "seed 2", "seed 3"]
    assert worst > 0.0003
    assert content["thresholds"]["mean_error"] == pytest.approx(1.5 * worst + 0.0005)
    assert content["margin"] == 0.5
    own_pipeline.runpytest_inprocess().assert_outcomes(passed=1)


def test_thresholds_are_learned_from_rounding(own_pipeline: pytest.Pytester) -> None:
    """In half precision: from the own call, and from the reference in the same precision, rounded in five ways."""
    own_pipeline.makeconftest(own_pipeline.path.joinpath("conftest.py").read_text() + WITH_REFERENCE)
    write(own_pipeline, "import torch; optimized_pipeline.to(torch.bfloat16)")
    own_pipeline.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=1)
    content = document(own_pipeline.path / "baselines/cpu/test_it")

    assert [sample["call"] for sample in content["samples"]] == [
        "the test's own call",
        *(f"rounded as bfloat16 ({number})" for number in range(1, 6)),
    ]
    first, plain = (sample["figures"] for sample in content["samples"][:2])
    assert first == plain  # nothing but the dtype differs
    own_pipeline.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_new_image_replaces_the_old_one(own_pipeline: pytest.Pytester) -> None:
    """No file without a document is left."""
    folder = accepted(own_pipeline)
    (before,) = document(folder)["images"]
    write(own_pipeline, BRIGHTER)
    own_pipeline.runpytest_inprocess("--diffopt-update=all").assert_outcomes(passed=1)

    (after,) = document(folder)["images"]
    assert before["name"] != after["name"]
    assert [path.name for path in folder.glob("*.png")] == [after["name"]]


def test_a_black_image_is_not_accepted(own_pipeline: pytest.Pytester) -> None:
    """It would guard nothing."""
    write(own_pipeline, "optimized_pipeline.vae.conv.bias.data -= 100")
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing")

    result.assert_outcomes(failed=1)
    assert "diffopt: these images cannot be accepted: in the test's own call, the image is black" in result.outlines
    assert not list(own_pipeline.path.glob("baselines/**/*.json"))


def test_two_valued_images_are_not_accepted(own_pipeline: pytest.Pytester) -> None:
    """Every other call draws a different image, so no threshold could distinguish it from a bug."""
    own_pipeline.makeconftest(
        own_pipeline.path.joinpath("conftest.py").read_text()
        + WITH_REFERENCE
        + """
class Flipping(small_pipeline.SmallPipeline):
    calls = 0

    def __call__(self, **inputs):
        output = super().__call__(**inputs)
        Flipping.calls += 1
        if Flipping.calls % 2:
            output.images = 1 - output.images
        return output

@pytest.fixture(scope="module")
def optimized_pipeline():
    return small_pipeline.build(pipeline=Flipping)
"""
    )
    write(own_pipeline)
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: these images are two-valued, and a threshold that lets both kinds pass would guard nothing",
            "  SSIM * or more: seed [13], seed [13]",
            "  SSIM * or less: *",
            "  test a call that is less sensitive to rounding (another seed, more steps, less guidance), or compare "
            "with assert_same_images(..., thresholds=...)",
        ],
        consecutive=True,
    )


def test_references_may_be_behind_a_url(own_pipeline: pytest.Pytester) -> None:
    """The document stays with the code; images are read through fsspec."""
    url = (own_pipeline.path / "far").as_uri()
    folder = accepted(own_pipeline, f"--diffopt-references={url}")
    own_pipeline.runpytest_inprocess(f"--diffopt-references={url}").assert_outcomes(passed=1)
    shutil.rmtree(own_pipeline.path / "far")
    result = own_pipeline.runpytest_inprocess(f"--diffopt-references={url}")

    assert [path.suffix for path in folder.iterdir()] == [".json"]
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"diffopt: the reference {url}/cpu/test_it/test_image.0-*.png cannot be read: *"])


def test_an_unknown_protocol_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """The message names what is missing, without a traceback."""
    write(own_pipeline)
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing", "--diffopt-references=nowhere://bucket/refs")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: the reference nowhere://bucket/refs/cpu/*.png cannot be written: Protocol not known: nowhere"]
    )


def altered(folder: Path, *, raw: bytes | None = None, name: str = "", size_bytes: int = 0) -> None:
    """Change the stored image, or its entry in the document, with a matching checksum."""
    import hashlib  # noqa: PLC0415 - only this one needs it

    (path,) = folder.glob("*.json")
    content = json.loads(path.read_text())
    image = content["images"][0]
    if raw is not None:
        (folder / image["name"]).write_bytes(raw)
        image["sha256"], image["size_bytes"] = hashlib.sha256(raw).hexdigest(), len(raw)
    image["name"] = name or image["name"]
    image["size_bytes"] = size_bytes or image["size_bytes"]
    path.write_text(json.dumps(content))


def png(image: Image.Image, path: Path) -> bytes:
    """Write a PNG and return its bytes."""
    image.save(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("text", "it is not a PNG: cannot identify image file *"),
        ("JPEG", "it is not a PNG: cannot identify image file *"),
        ("truncated", "it is not a complete PNG: *"),
        ("16-bit", "it must have eight bits per channel (L, LA, RGB, RGBA), got: mode 'I;16'"),
        ("palette", "it must have eight bits per channel (L, LA, RGB, RGBA), got: mode 'P'"),
        ("bomb", "it must not have more than 67108864 pixels, got: 9000 x 9000"),
    ],
)
def test_a_file_that_is_no_image_is_an_error(own_pipeline: pytest.Pytester, kind: str, problem: str) -> None:
    """Even with the right checksum; a decompression bomb is never unpacked."""
    folder, scratch = accepted(own_pipeline), own_pipeline.path / "scratch.png"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    raw = {
        "text": b"a text",
        "JPEG": png(noise, scratch.with_suffix(".jpg")),
        "truncated": png(noise, scratch)[:1000],
        "16-bit": png(Image.new("I;16", (16, 16)), scratch),
        "palette": png(noise.convert("P"), scratch),
        "bomb": png(Image.new("L", (9000, 9000)), scratch) if kind == "bomb" else b"",
    }[kind]
    altered(folder, raw=raw)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"diffopt: the reference */cpu/test_it/test_image.0-*.png cannot be trusted: {problem}",
            "  restore it from version control, or accept new images with --diffopt-update all",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("name", ["../../../secret.png", "/etc/passwd", "another_test.0-00000000.png"])
def test_a_name_outside_the_folder_is_refused(own_pipeline: pytest.Pytester, name: str) -> None:
    """A document may come from an untrusted pull request."""
    altered(accepted(own_pipeline), name=name)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"diffopt: the reference *: its name must begin with 'test_image.' and contain no path, got: '{name}'"]
    )


def test_an_altered_image_is_refused(own_pipeline: pytest.Pytester) -> None:
    """Whether by hand, by a merge or by a bad disk."""
    folder = accepted(own_pipeline)
    (path,) = folder.glob("*.png")
    Image.new("RGB", (16, 16)).save(path)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: the reference * cannot be trusted: its SHA-256 must be *..., got: *..."])


def test_a_size_past_the_limit_is_refused(own_pipeline: pytest.Pytester) -> None:
    """No more than 16 MiB are ever read."""
    altered(accepted(own_pipeline), size_bytes=1 << 30)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: the baseline * cannot be trusted: images[[]0[]].size_bytes: must be *"])
