# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A folder with one DICOM series, through ITK (GDCM). What needs more care than that, such as several series, echoes,
multi-frame files or slices that are missing, is refused; dcm2niix is made for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.registry import FORMATS, Format, Stored, as_nifti, lps_to_ras, short

#: Tags: description, echo, number, position and direction of an image.
_DESCRIPTION, _ECHO, _SERIES, _POSITION, _DIRECTION = "0008|103e", "0018|0086", "0020|0011", "0020|0032", "0020|0037"

#: How far slices may lie from where they belong, as a share of their distance, and cosines from their mean.
_AWAY, _TURNED = 0.02, 1e-3

#: ITK's reader of DICOM.
_GDCM = "GDCMImageIO"

_WAY = "convert it with dcm2niix and give one of its files"


def _begins(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _files(path: Path) -> list[Path]:
    """The folder's own files that are DICOM, by name."""
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.iterdir() if one.is_file() and one.name != "DICOMDIR" and _begins(one))


def _holds(path: Path, content: bytes) -> bool:
    if content:
        return content[128:132] == b"DICM"
    return path.is_dir() and bool(_files(path))


def _read(path: Path, content: bytes) -> Stored:
    if content:
        raise InputError(
            f"{path}: is a single DICOM file, wanted the folder with all of its series; give {path.parent}, or {_WAY}."
        )
    import SimpleITK as sitk  # half a second

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what it warns of is refused here, or within the limits
    try:
        return _read_series(sitk, path)
    except RuntimeError as error:
        raise InputError(f"{path}: its DICOM cannot be read ({_said(error)}); {_WAY}.") from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read_series(sitk: Any, path: Path) -> Stored:
    files, places = _series(sitk, path), []
    for file in files:
        info = _header(sitk, path, file)
        places.append((_numbers(info, _POSITION, 3, path, file), _numbers(info, _DIRECTION, 6, path, file)))
    _require_stack(path, places)
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO(_GDCM)
    reader.SetFileNames(files)
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image)  # zyx
    taken = {Path(file).name for file in files}
    others = [file.name for file in _files(path) if file.name not in taken]
    warnings = (f"{path.name}: {len(others)} of its DICOM files hold no image ({others[0]}).",) if others else ()
    nifti = as_nifti(path, array.tobytes(), array.shape[::-1], array.dtype, lps_to_ras(affine))
    return Stored(nifti, warnings)


def _series(sitk: Any, path: Path) -> list[str]:
    """Files of the one series in a folder, in the order of its slices."""
    found: dict[tuple[str, str], list[str]] = {}  # an echo is a series of its own, whatever its files say
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path), True):
        for file in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series, True):
            found.setdefault((series, _text(_header(sitk, path, file), _ECHO)), []).append(file)
    if not found:
        raise InputError(f"{path}: holds DICOM files, but no images; {_WAY}.")
    if len(found) > 1:
        listed = []
        for files in list(found.values())[:8]:
            info = _header(sitk, path, files[0])
            echo = f", echo {_text(info, _ECHO)}" if _text(info, _ECHO) else ""
            listed.append(
                f"'{_text(info, _DESCRIPTION)}' (number {_text(info, _SERIES)}{echo}, {len(files)} files, from "
                f"{Path(files[0]).name})"
            )
        more = ", …" if len(found) > 8 else ""
        raise InputError(
            f"{path}: holds {len(found)} DICOM series, wanted one: {', '.join(listed)}{more}; put the files of one "
            f"into a folder of its own, or {_WAY}."
        )
    return next(iter(found.values()))


def _header(sitk: Any, path: Path, file: str) -> Any:
    """What a file's header says; InputError for one that is no grey-scale slice."""
    info = sitk.ImageFileReader()
    info.SetImageIO(_GDCM)
    info.SetFileName(file)
    try:
        info.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: {Path(file).name} cannot be read as DICOM ({_said(error)}); {_WAY}.") from error
    if info.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: {Path(file).name} holds colours, wanted grey values; give the series of the scan.")
    if info.GetDimension() > 2 and info.GetSize()[2] != 1:
        raise InputError(
            f"{path}: {Path(file).name} holds {info.GetSize()[2]} frames, wanted a file for every slice; {_WAY}."
        )
    return info


def _text(info: Any, tag: str) -> str:
    return " ".join(info.GetMetaData(tag).split()) if info.HasMetaDataKey(tag) else ""


def _numbers(info: Any, tag: str, count: int, path: Path, file: str) -> np.ndarray:
    try:
        found = np.array([float(part) for part in _text(info, tag).split("\\")])
    except ValueError:
        found = np.array([])
    if found.size != count or not np.isfinite(found).all():
        raise InputError(f"{path}: {Path(file).name} does not say where its slice lies (tag {tag}); {_WAY}.")
    return found


def _require_stack(path: Path, places: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Refuse slices that are not parallel, evenly spaced and straight above each other."""
    positions, turns = (np.array(part) for part in zip(*places))
    normal = np.cross(turns[0, :3], turns[0, 3:])
    steps = np.diff(positions, axis=0)
    if np.abs(turns - turns[0]).max() > _TURNED:
        raise InputError(f"{path}: its slices are not parallel, as in a localizer; give another series, or {_WAY}.")
    if not len(steps):
        return
    apart = np.linalg.norm(steps, axis=1)
    usual = float(np.median(apart))
    odd = np.abs(apart - usual) > _AWAY * usual
    if usual == 0 or odd.any():
        between = int(odd.argmax()) if odd.any() else 0
        raise InputError(
            f"{path}: its slices are not evenly spaced (number {between} and the next are {apart[between]:.3g} mm "
            f"apart, most are {usual:.3g} mm), so some are missing or there are several volumes; {_WAY}."
        )
    if np.linalg.norm(np.cross(steps.mean(axis=0), normal)) > _AWAY * usual:
        raise InputError(f"{path}: its slices are not straight above each other (a tilted gantry); {_WAY}.")


def _said(error: Exception) -> str:
    """What ITK says, without where in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line[:120] for line in reversed(lines)), short(error))


FORMATS.add("dicom", Format("DICOM", (".dcm",), _holds, _read, files=_files))
