# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prepared cases on disk: MONAI's ``PersistentDataset`` in a folder whose files are known as ours."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai.data import PersistentDataset
from monai.data.utils import pickle_hashing

from mededit_monai.io.held import reserve_together
from mededit_monai.io.outputs import OutputFolder, make_folder


class PreparedCases(PersistentDataset):
    """
    As MONAI's, but its folder's marker lists the files, and one that is damaged or was prepared otherwise is prepared
    again. So is a case one of whose files has another size or time than when it was prepared; what counts is how the
    files were when this was made.

    Args:
        data: cases; transform: deterministic preparation.
        cache_dir: folder.

    Raises:
        InputError: a file in the way that is not ours.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Callable, cache_dir: str | Path) -> None:
        make_folder(cache_dir)
        self._keys: dict[bytes, bytes] = {}
        super().__init__(data, transform, cache_dir=cache_dir, hash_func=self._key, hash_transform=_recipe)
        self._whole: set[Path] = set()
        reserve_together(OutputFolder(cache_dir), [self._place(case).name for case in data])

    def _key(self, case: Mapping[str, Any]) -> bytes:
        """A hash of a case and of its files as they were first seen."""
        named = pickle_hashing(case)
        if named not in self._keys:
            files = list(_file_facts(case))
            self._keys[named] = pickle_hashing({"case": case, "files": files}) if files else named
        return self._keys[named]

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


def _file_facts(value: Any) -> Iterator[tuple[int, int]]:
    """Size and time (ns) of every file that a case names, in an order of its keys."""
    if isinstance(value, Mapping):
        for name in sorted(value, key=str):
            yield from _file_facts(value[name])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _file_facts(one)
    elif isinstance(value, str | os.PathLike):
        path = Path(value).expanduser()
        with suppress(OSError, ValueError):  # a text that cannot be a path
            if path.is_file():
                facts = path.stat()
                yield facts.st_size, facts.st_mtime_ns


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
