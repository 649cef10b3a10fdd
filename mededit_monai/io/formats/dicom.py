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
    import itk  # takes seconds to import

    shown = itk.Object.GetGlobalWarningDisplay()
    itk.Object.SetGlobalWarningDisplay(False)  # what it warns of is refused here, or within the limits
    try:
        return _read_series(itk, path)
    except RuntimeError as error:
        raise InputError(f"{path}: its DICOM cannot be read ({_said(error)}); {_WAY}.") from error
    finally:
        itk.Object.SetGlobalWarningDisplay(shown)


def _read_series(itk: Any, path: Path) -> Stored:
    files = _series(itk, path)
    first, places = _image_io(itk, path, files[0]), []
    kind = {itk.CommonEnums.IOComponent_SHORT: itk.SS, itk.CommonEnums.IOComponent_USHORT: itk.US}
    kind |= {itk.CommonEnums.IOComponent_UCHAR: itk.UC, itk.CommonEnums.IOComponent_INT: itk.SI}
    voxel = kind.get(first.GetComponentType(), itk.F)
    for file in files:
        info = _image_io(itk, path, file)
        places.append((_numbers(info, _POSITION, 3, path, file), _numbers(info, _DIRECTION, 6, path, file)))
    _require_stack(path, places)
    reader = itk.ImageSeriesReader[itk.Image[voxel, 3]].New(FileNames=files, ImageIO=itk.GDCMImageIO.New())
    reader.Update()
    image = reader.GetOutput()
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(itk.array_from_matrix(image.GetDirection())) * np.asarray(image.GetSpacing())
    affine[:3, 3] = np.asarray(image.GetOrigin())
    array = itk.array_from_image(image)  # zyx
    taken = {Path(file).name for file in files}
    others = [file.name for file in _files(path) if file.name not in taken]
    warnings = (f"{path.name}: {len(others)} of its DICOM files hold no image ({others[0]}).",) if others else ()
    nifti = as_nifti(path, array.tobytes(), array.shape[::-1], array.dtype, lps_to_ras(affine))
    return Stored(nifti, warnings)


def _series(itk: Any, path: Path) -> list[str]:
    """Files of the one series in a folder, in the order of its slices."""
    names = itk.GDCMSeriesFileNames.New()
    names.SetUseSeriesDetails(True)
    names.AddSeriesRestriction(_ECHO)
    names.SetDirectory(str(path))
    found = [list(names.GetFileNames(one)) for one in names.GetSeriesUIDs()]
    if not found:
        raise InputError(f"{path}: holds DICOM files, but no images; {_WAY}.")
    if len(found) > 1:
        listed = []
        for files in found[:8]:
            info = _image_io(itk, path, files[0])
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
    return found[0]


def _image_io(itk: Any, path: Path, file: str) -> Any:
    """What a file's header says; InputError for one that is no grey-scale slice."""
    info = itk.GDCMImageIO.New(FileName=file)
    try:
        info.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: {Path(file).name} cannot be read as DICOM ({_said(error)}); {_WAY}.") from error
    if info.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: {Path(file).name} holds colours, wanted grey values; give the series of the scan.")
    if info.GetNumberOfDimensions() > 2 and info.GetDimensions(2) != 1:
        raise InputError(
            f"{path}: {Path(file).name} holds {info.GetDimensions(2)} frames, wanted a file for every slice; {_WAY}."
        )
    return info


def _text(info: Any, tag: str) -> str:
    tags = info.GetMetaDataDictionary()
    return " ".join(str(tags[tag]).split()) if tags.HasKey(tag) else ""


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
