# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Reading cases for training and evaluation: MONAI's ``LoadImaged``, over files that are whole."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.transforms import LoadImaged
from monai.utils import ensure_tuple

from mededit_monai.core.errors import InputError
from mededit_monai.io.whole import GZIP, nifti_size, read_whole


class LoadWholed(LoadImaged):
    """
    MONAI's ``LoadImaged``, whose readers stop where the voxels end: every file is read to its checksum before.

    A file is looked at once in a process, as long as its size and time stay what they were.

    Raises:
        InputError: a file that is not there, is cut short or damaged, or is no image.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._whole: set[tuple[str, int, int]] = set()

    def __call__(self, data: Mapping[Hashable, Any], reader: Any = None) -> dict[Hashable, Any]:
        """As MONAI's."""
        for key in self.key_iterator(dict(data)):
            for file in ensure_tuple(data[key]):
                self._require_whole(Path(file).expanduser())
        try:
            return super().__call__(data, reader)
        except (InputError, OSError, MemoryError):
            raise
        except Exception as error:
            files = ", ".join(str(data[key]) for key in self.key_iterator(dict(data)))
            why = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise InputError(f"{files}: cannot be read as images ({why}); wanted NIfTI files.") from error

    def _require_whole(self, path: Path) -> None:
        try:
            facts = os.stat(path)
        except FileNotFoundError:
            raise InputError(f"{path}: not found; check the path in the datalist.") from None
        known = (str(path), facts.st_size, facts.st_mtime_ns)
        if known not in self._whole:
            require_whole_image(path)
            self._whole.add(known)


def require_whole_image(path: str | Path) -> None:
    """
    Refuse an image that is cut short or damaged.

    gzip is decompressed to its checksum. NIfTI has none of its own: it must be as long as its header says.

    Raises:
        InputError: names the file.
        OSError: no permission, a disk that cannot be read.
    """
    path = Path(path)
    if path.is_file():
        with open(path, "rb") as stream:
            start = stream.read(540)
        if start and start[:2] != GZIP:
            _require_length(path, start, path.stat().st_size)
            return
    content = read_whole(path)
    _require_length(path, content[:540], len(content))


def _require_length(path: Path, start: bytes, length: int) -> None:
    wanted = nifti_size(start)  # 1 of another format, whose reader knows
    if length < wanted:
        raise InputError(f"{path}: is truncated ({length} bytes, wanted {wanted} by its header); copy it again.")
