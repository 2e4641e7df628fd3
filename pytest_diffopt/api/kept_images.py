"""Image files of a verdict: kept when a check fails, and for every check when a report shows them."""

from dataclasses import replace

from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.image_files import save_image
from pytest_diffopt.api.kept_videos import keep_video
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.guards.videos import worst_frame
from pytest_diffopt.probes.flip import flip_heat_map
from pytest_diffopt.probes.image_arrays import Pixels
from pytest_diffopt.probes.image_results import ImageResult
from pytest_diffopt.records import Concern, ImageFiles, ImageRecord
from pytest_diffopt.session.active_test import active_test


def conclude_images(record: ImageRecord, verdict: Verdict, ours: ImageResult, theirs: ImageResult) -> None:
    """Keep the images of a check that did not pass, or of every check when a report shows them; then conclude."""
    __tracebackhide__ = True
    is_reported = verdict.outcome is not Outcome.PASSED
    if record.differences and (is_reported or active_test().artifacts.keeps_everything):
        try:
            record = _with_files(record, ours, theirs)
            line = f"images: {_folder_of(record)}"
        except DiffoptError as error:  # a file that cannot be written must not hide the verdict
            line = str(error)
        if is_reported:
            verdict = replace(verdict, explanation=(*verdict.explanation, line))
    conclude(record, verdict)


def _with_files(record: ImageRecord, ours: ImageResult, theirs: ImageResult) -> ImageRecord:
    name = str(sum(verdict.concern is Concern.IMAGES for verdict in active_test().concluded))
    return _with_videos(record, name, ours, theirs) if record.videos else _with_images(record, name, ours, theirs)


def _with_images(record: ImageRecord, name: str, ours: ImageResult, theirs: ImageResult) -> ImageRecord:
    assert ours.images is not None and theirs.images is not None, "unreachable because the record is of images"  # noqa: S101, PT018
    pairs = enumerate(zip(ours.images, theirs.images, strict=True))
    files = [_kept(f"{name}-{number}", *pair) for number, pair in pairs]
    differences = [replace(one, files=its) for one, its in zip(record.differences, files, strict=True)]
    return replace(record, differences=tuple(differences))


def _with_videos(record: ImageRecord, name: str, ours: ImageResult, theirs: ImageResult) -> ImageRecord:
    """Keep all frames of each video in one file, and the worst frame of all in full size."""
    trios = enumerate(zip(record.videos, ours.videos, theirs.videos, strict=True))
    videos = [
        replace(one, files=keep_video(active_test().artifacts, f"{name}-video-{number}", video, reference))
        for number, (one, video, reference) in trios
    ]
    differences = list(record.differences)
    if all(one.has_same_shape for one in videos):
        worst = worst_frame(differences)
        assert ours.images is not None and theirs.images is not None, "unreachable because the record is of frames"  # noqa: S101, PT018
        files = _kept(f"{name}-worst", ours.images[worst], theirs.images[worst])
        differences[worst] = replace(differences[worst], files=files)
    return replace(record, differences=tuple(differences), videos=tuple(videos))


def _kept(name: str, image: Pixels, reference: Pixels) -> ImageFiles:
    artifacts = active_test().artifacts
    return ImageFiles(
        image=save_image(artifacts, image, f"{name}-image"),
        reference=save_image(artifacts, reference, f"{name}-reference"),
        heat_map=save_image(artifacts, flip_heat_map(image, reference), f"{name}-heat-map"),
    )


def _folder_of(record: ImageRecord) -> str:
    files = [one.files.image for one in record.differences if one.files]
    files += [one.files.filmstrip for one in record.videos if one.files]
    return active_test().artifacts.path_of(files[0].rpartition("/")[0])
