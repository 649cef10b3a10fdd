# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prepared cases on disk: MONAI's ``PersistentDataset`` in a folder whose files are known as ours."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import PersistentDataset
from monai.data.utils import pickle_hashing

from mededit_monai.io.held import reserve_together
from mededit_monai.io.outputs import OutputFolder, make_folder


class PreparedCases(PersistentDataset):
    """
    As MONAI's, but its folder's marker lists the files, and one that is damaged or was prepared otherwise is prepared
    again.

    Args:
        data: cases; transform: deterministic preparation.
        cache_dir: folder.

    Raises:
        InputError: a file in the way that is not ours.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Callable, cache_dir: str | Path) -> None:
        make_folder(cache_dir)
        super().__init__(data, transform, cache_dir=cache_dir, hash_transform=_recipe)
        self._whole: set[Path] = set()
        reserve_together(OutputFolder(cache_dir), [self._place(case).name for case in data])

    def _place(self, case: Mapping[str, Any]) -> Path:
        """Where MONAI keeps a case."""
        return Path(self.cache_dir) / f"{self.hash_func(case).decode()}{self.transform_hash}.pt"

    def _cachecheck(self, item_transformed: Any) -> Any:
        place = self._place(item_transformed)
        if place not in self._whole:
            if place.is_file() and not _is_whole(place):  # a run that was killed while it wrote
                place.unlink(missing_ok=True)
            self._whole.add(place)
        return super()._cachecheck(item_transformed)


def _recipe(transforms: Sequence[Callable]) -> bytes:
    """Of what a preparation consists: its settings, or the names of its parts where one cannot be pickled."""
    try:
        return pickle_hashing(transforms)
    except (pickle.PicklingError, AttributeError, TypeError):
        return pickle_hashing([type(one).__name__ for one in transforms])


def _is_whole(place: Path) -> bool:
    """Whether the checksums of what ``torch.save`` wrote are right; torch does not look at them."""
    try:
        with zipfile.ZipFile(place) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
        return False
