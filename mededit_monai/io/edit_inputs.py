# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What Python callers give for files: paths, or images of nibabel, which become files for the time of the run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib

from mededit_monai.core.errors import InputError
from mededit_monai.io.case_names import IN_MEMORY, stem
from mededit_monai.io.datalist import FILE_KEYS, LIST_KEYS

_SINGLE = ("scan", "pathology", "brain", "region")


@contextmanager
def edit_inputs(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """
    The options of an edit, with files where images were given.

    An image that was loaded from a file and not changed is that file; any other is saved, in its own data type, to a
    folder that goes at the end. A result of it is known by what it holds, so that the same call finds it again.

    Raises:
        InputError: an array, which does not say where its voxels lie, or anything else that is no image and no path.
    """
    with tempfile.TemporaryDirectory(prefix="mededit_") as folder:
        given = dict(options)
        for name in _SINGLE:
            if name in given:
                given[name] = _file(f"--{name}", given[name], Path(folder, name))
        given |= {name: _files(f"--{name}", given[name], Path(folder, name)) for name in LIST_KEYS if name in given}
        if isinstance(given.get("datalist"), Sequence) and not isinstance(given["datalist"], (str, bytes)):
            given["datalist"] = [
                _case_files(case, Path(folder, str(number))) for number, case in enumerate(given["datalist"])
            ]
        yield given


def _case_files(case: Any, folder: Path) -> Any:
    if not isinstance(case, Mapping):
        return case  # refused with its number, where lists are read
    read = {**dict.fromkeys(FILE_KEYS, _file), **dict.fromkeys(LIST_KEYS, _files)}
    return {k: read[k](f"datalist: '{k}'", v, folder / k) if k in read else v for k, v in case.items()}


def _files(name: str, value: Any, folder: Path) -> Any:
    """As :func:`_file`, of each in a list, or of one."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return _file(name, value, folder)
    # Images that were never on disk are told apart by their numbers.
    return [_file(name, one, folder / str(number), f"_{number}") for number, one in enumerate(value)]


def _file(name: str, value: Any, folder: Path, number: str = "") -> Any:
    """A path, or None, as it is; an image as the path of its file, whose name is the option's if it has none."""
    if value is None or isinstance(value, (str, os.PathLike)):
        return value
    if not isinstance(value, (nib.Nifti1Pair, nib.MGHImage)):
        kind = type(value).__name__
        raise InputError(
            f"{name}: got {kind if len(repr(value)) > 40 else repr(value)}, wanted the path of an image or a NIfTI or "
            f"MGH image of nibabel; an array needs its affine: nibabel.Nifti1Image(array, affine)."
        )
    known = value.get_filename()
    if known and nib.is_proxy(value.dataobj) and Path(known).is_file() and nib.load(known).header == value.header:
        return os.path.abspath(known)
    folder.mkdir(parents=True)
    (folder / IN_MEMORY).touch()
    own = name.strip("-").split()[-1].strip("'") + number
    place = folder / f"{stem(known) if known else own}{'.mgz' if isinstance(value, nib.MGHImage) else '.nii.gz'}"
    nib.save(value, place)
    return str(place)
