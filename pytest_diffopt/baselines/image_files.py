"""Images and latents beside baselines, in a folder or behind a URL: PNG and safetensors, verified, never unpickled."""

import hashlib
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from fsspec.core import url_to_fs
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pytest_diffopt.baselines.image_document import MAX_FILE_BYTES, StoredFile
from pytest_diffopt.baselines.key import BaselineKey, slug
from pytest_diffopt.errors import BaselineError, BrokenBaselineError

Levels = npt.NDArray[np.uint8]

_MAX_PIXELS = 1 << 26
_MODES = ("L", "LA", "RGB", "RGBA")
_RENEW = "restore it from version control, or accept new images with --diffopt-update all"
_HASH_DIGITS = 8
_AUDIO = "audio"
_RANK_OF_AUDIO = 3


class StoredFiles:
    """The files of one baseline, below one root.

    Args:
        root: a folder, or any URL that fsspec supports (`s3://...`, `https://...`, `hf://...`).
        key: the baseline.
    """

    def __init__(self, root: str, key: BaselineKey) -> None:
        self._root = root
        self._folder = key.folder
        self._prefix = key.relative_path.stem

    def write(self, label: str, ending: str, raw: bytes) -> StoredFile:
        """Write a file whose name contains a part of its checksum, so that files of older documents stay unchanged.

        Raises:
            BaselineError: the file is too large, or cannot be written.
        """
        digest = hashlib.sha256(raw).hexdigest()
        file = StoredFile(
            name=f"{self._prefix}.{label}-{digest[:_HASH_DIGITS]}.{ending}", sha256=digest, size_bytes=len(raw)
        )
        if len(raw) > MAX_FILE_BYTES:
            msg = (
                f"the reference {self._shown(file)} must not be larger than {MAX_FILE_BYTES} bytes, got: {len(raw)}; "
                "generate smaller images, or use fewer steps"
            )
            raise BaselineError(msg)
        try:
            self._write(file, raw)
        except Exception as error:  # file systems behind URLs raise exceptions of any type
            msg = f"the reference {self._shown(file)} cannot be written: {error}"
            raise BaselineError(msg) from error
        return file

    def read(self, file: StoredFile) -> bytes:
        """Read a file that a document names.

        Raises:
            BaselineError: its name leads out of the folder, it cannot be read, or it differs from the accepted file.
        """
        self._require_inside(file)
        try:
            with self._open(file, "rb") as stream:
                raw: bytes = stream.read(file.size_bytes + 1)  # bounded: the file may have been replaced by a huge one
        except Exception as error:  # file systems behind URLs raise exceptions of any type
            msg = f"the reference {self._shown(file)} cannot be read: {error}\n  {_RENEW}"
            raise BrokenBaselineError(msg) from error
        digest = hashlib.sha256(raw).hexdigest()
        if digest != file.sha256:
            self._refuse(file, f"its SHA-256 must be {file.sha256[:12]}..., got: {digest[:12]}...")
        return raw

    def remove(self, file: StoredFile) -> None:
        """Remove a file that no document names any longer, if it exists.

        Raises:
            BaselineError: the file cannot be removed.
        """
        self._require_inside(file)
        system, path = self._located(file)
        try:
            if system.exists(path):
                system.rm_file(path)
        except Exception as error:  # file systems behind URLs raise exceptions of any type
            msg = f"the reference {self._shown(file)} cannot be removed: {error}"
            raise BaselineError(msg) from error

    def read_image(self, file: StoredFile) -> Levels:
        """Read an image, dtype uint8, shape (height, width, channels).

        Raises:
            BaselineError: see `read`; or the file is not a PNG with eight bits per channel.
        """
        try:
            image = Image.open(BytesIO(self.read(file)), formats=["PNG"])
        except (
            OSError,
            SyntaxError,
            ValueError,
            Image.DecompressionBombError,
            Image.DecompressionBombWarning,  # where warnings are errors
        ) as error:
            self._refuse(file, f"it is not a PNG: {error}")
        self._check_format(file, image)
        try:
            levels = np.asarray(image.copy())
        except (OSError, SyntaxError, ValueError) as error:
            self._refuse(file, f"it is not a complete PNG: {error}")
        return levels if levels.ndim > len(image.size) else levels[..., np.newaxis]

    def _check_format(self, file: StoredFile, image: Image.Image) -> None:
        if image.mode not in _MODES:
            self._refuse(file, f"it must have eight bits per channel ({', '.join(_MODES)}), got: mode {image.mode!r}")
        if image.width * image.height > _MAX_PIXELS:
            size = f"{image.width} x {image.height}"
            self._refuse(file, f"it must not have more than {_MAX_PIXELS} pixels, got: {size}")

    def read_latents(self, file: StoredFile) -> dict[str, npt.NDArray[Any]]:
        """Read latents by name.

        Raises:
            BaselineError: see `read`; or the file is not a safetensors file.
        """
        try:
            return dict(load(self.read(file)))
        except (SafetensorError, ValueError, KeyError) as error:
            self._refuse(file, f"it is not a safetensors file: {error}")

    def write_image(self, number: int, levels: Levels) -> StoredFile:
        """Write an image as PNG.

        Args:
            number: the index of the image.
            levels: dtype uint8, shape (height, width, channels).

        Raises:
            BaselineError: see `write`.
        """
        raw = BytesIO()
        Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(raw, "PNG")
        return self.write(str(number), "png", raw.getvalue())

    def write_latents(self, latents: dict[str, npt.NDArray[Any]]) -> StoredFile:
        """Write latents by name as safetensors.

        Raises:
            BaselineError: see `write`.
        """
        return self.write("latents", "safetensors", save(latents))

    def write_audio(self, samples: npt.NDArray[np.float32]) -> StoredFile:
        """Write waveforms as safetensors.

        Raises:
            BaselineError: see `write`.
        """
        return self.write("audio", "safetensors", save({_AUDIO: samples}))

    def read_audio(self, file: StoredFile) -> npt.NDArray[Any]:
        """Read waveforms, shape (number, channels, samples).

        Raises:
            BaselineError: see `read`; or the file is not a safetensors file of waveforms.
        """
        samples = self.read_latents(file).get(_AUDIO)
        if samples is None or samples.ndim != _RANK_OF_AUDIO or not np.issubdtype(samples.dtype, np.floating):
            self._refuse(file, f"it must hold {_AUDIO!r} with the shape (number, channels, samples)")
        return samples

    def _located(self, file: StoredFile) -> tuple[Any, str]:

        system, root = url_to_fs(self._root)
        return system, f"{root.rstrip('/')}/{self._folder}/{file.name}"

    def _open(self, file: StoredFile, mode: str) -> Any:
        system, path = self._located(file)
        return system.open(path, mode)

    def _write(self, file: StoredFile, raw: bytes) -> None:
        system, path = self._located(file)
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.pipe_file(path, raw)

    def _require_inside(self, file: StoredFile) -> None:
        """Refuse a name that leads out of the folder: a document may come from an untrusted pull request."""
        if slug(file.name) != file.name or not file.name.startswith(f"{self._prefix}."):
            self._refuse(file, f"its name must begin with '{self._prefix}.' and contain no path, got: {file.name!r}")

    def _shown(self, file: StoredFile) -> str:
        root = self._root if "://" in self._root else PurePosixPath(self._root)
        return f"{root}/{self._folder}/{file.name}"

    def _refuse(self, file: StoredFile, problem: str) -> NoReturn:
        message = f"the reference {self._shown(file)} cannot be trusted: {problem}\n  {_RENEW}"
        raise BrokenBaselineError(message)
