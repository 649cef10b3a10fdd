# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is seen in a scan, a mask or a result, and what an edit would make of it: ``mededit info FILE``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import obliquity

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.io.finished import is_complete
from mededit_monai.io.formats.directions import axis_names, is_usable
from mededit_monai.io.formats.echo import one_volume
from mededit_monai.io.formats.registry import FORMATS, is_there, read_stored
from mededit_monai.io.nifti import (
    BINARY,
    CORNER_TOLERANCE,
    TUMOR_LABELS,
    VALUE_TOLERANCE,
    Volume,
    binary_mask,
    parse_nifti,
    read_echo,
)
from mededit_monai.io.provenance import PROVENANCE_FILE
from mededit_monai.io.whole import GZIP
from mededit_monai.prepare.known_brain import KnownBrain, require_signal
from mededit_monai.reports.edit_summary import largest_displacement_mm
from mededit_monai.space.model_space import ModelSpace

PERCENTILES = (1, 50, 98, 100)

#: Images of whole numbers with at most so many values are masks, or label maps; FreeSurfer's have about 45 labels.
MOST_LABELS = 64


def file_facts(path: str | Path, disease: str, echo: int | None = None) -> dict[str, Any]:
    """
    What is known of a file, as plain values.

    Args:
        path: a scan, a mask, or of a result its folder, ``edited.nii.gz`` or ``provenance.json``.
        disease: whose edits it would go to.
        echo: which volume of an image with several; see :func:`~mededit_monai.io.nifti.read_echo`.

    Returns:
        of an image ``header``, ``values`` and ``edit`` (what an edit would do with it, or ``refused``, the sentence
        with which it would refuse); of a result ``result``; of an edited volume both.

    Raises:
        InputError: not found, neither an image nor a result, or an ``echo`` that it does not have.
    """
    path = Path(path)
    of_folder = path.is_dir() and ((path / PROVENANCE_FILE).exists() or not is_there(path))
    if of_folder or path.name == PROVENANCE_FILE:
        if echo is not None:
            raise InputError(f"--echo: got {echo}, but {path} is the result of an edit, and no image; leave it out.")
        return {"path": str(path), "result": _result(path if of_folder else path.parent)}
    facts = {"path": str(path), **_image(path, disease, echo)}
    beside = path.with_name(PROVENANCE_FILE)
    return facts | ({"result": _result(path.parent)} if beside.is_file() and path.name.startswith("edited") else {})


def _result(folder: Path) -> dict[str, Any]:
    """What a result's provenance says, in short."""
    place = folder / PROVENANCE_FILE
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or "options" not in found:
        raise InputError(
            f"{folder}: holds no {PROVENANCE_FILE} of an edit; give a scan, a mask, or the folder of a case that "
            f"mededit wrote."
        )
    options = dict(found["options"])
    names = ("case_id", "brain_source", "slices", "lesion_ml", "lesion_share_edited", "nfe", "seconds", "warnings")
    return {
        "synthetic": found.get("synthetic", True),
        "note": found.get("note"),
        "method": options.get("method"),
        "seed": options.get("seed"),
        "networks_sha256": {name: options.pop(f"{name}_sha256", None) for name in ("weights", "effects")},
        "options": options,
        **{name: found.get(name) for name in names},
        "largest_displacement_mm": largest_displacement_mm(folder),
        "inputs_sha256": found.get("inputs", {}),
        "versions": found.get("versions", {}),
        "complete": is_complete(folder, (PROVENANCE_FILE,)),
    }


def _image(path: Path, disease: str, echo: int | None) -> dict[str, Any]:
    """Header and voxels of an image; what cannot be edited is described as far as it can be read."""
    kind, stored = read_stored(path)
    image = parse_nifti(path, stored.nifti)
    if echo is not None:
        one_volume(path, stored.nifti, echo, True)  # a wrong one is no property of the file
    volume, refusal = None, ""
    try:
        volume = read_echo(path, echo)
    except InputError as error:
        refusal = str(error)
    facts = {"header": _header(path, kind, image)}
    data = _voxels(image) if volume is None else volume.data
    if data is None:
        return facts | {"edit": {"refused": refusal}}
    facts["values"] = values = _values(data)
    if volume is None:
        return facts | {"edit": {"refused": refusal}}
    use = _as_mask if values["kind"] in ("mask", "label map") else _as_scan
    try:
        facts["edit"] = use(volume, disease, values)
    except InputError as error:
        facts["edit"] = {"refused": str(error)}
    return facts | {"synthetic": volume.synthetic}


def _header(path: Path, kind: str, image: nib.Nifti1Image) -> dict[str, Any]:
    header, spatial = image.header, image.affine[:3, :3]
    (sform, s_code), (qform, q_code) = header.get_sform(coded=True), _qform(header)
    files = [place for place in path.rglob("*") if place.is_file()] if path.is_dir() else FORMATS[kind].files(path)
    title = f"NIfTI-{2 if isinstance(image, nib.Nifti2Image) else 1}" if kind == "nifti" else FORMATS[kind].title
    with open(files[0], "rb") as stream:
        packed = ", gzip" if stream.read(2) == GZIP else ""
    usable = is_usable(image.affine)
    sides = np.linalg.norm(spatial, axis=0) if usable else np.asarray(header.get_zooms()[:3])
    return {
        "format": f"{title}{packed}",
        "bytes": sum(place.stat().st_size for place in files),
        "shape": [int(side) for side in image.shape],
        "voxel_mm": [round(float(side), 6) for side in sides],
        "orientation": axis_names(image.affine) if usable else None,
        "oblique_degrees": round(float(np.degrees(obliquity(image.affine)).max()), 3) if usable else None,
        "left_handed": bool(np.linalg.det(spatial) < 0) if usable else None,
        "data_type": str(image.get_data_dtype().newbyteorder("=")),
        "byte_order": "big" if header.endianness == ">" else "little",
        "slope": float(image.dataobj.slope),
        "intercept": float(image.dataobj.inter),
        "sform_code": int(s_code),
        "qform_code": int(q_code),
        "forms_agree": _agree(sform, qform, image.shape),
    }


def _qform(header: Any) -> tuple[np.ndarray | None, int]:
    """The qform and its code; None for one whose quaternion is broken."""
    try:
        found: tuple[np.ndarray | None, int] = header.get_qform(coded=True)
        return found
    except Exception:
        return None, int(header["qform_code"])


def _agree(sform: np.ndarray | None, qform: np.ndarray | None, shape: tuple[int, ...]) -> bool | None:
    """Whether both place every corner within a hundredth of a mm; None where one of them is not set."""
    if sform is None or qform is None:
        return None
    corners = np.array(list(np.ndindex(2, 2, 2))) * ([*shape, 1, 1, 1][:3] - np.ones(3))
    apart = np.linalg.norm(np.c_[corners, np.ones(8)] @ (sform - qform)[:3].T, axis=1).max()
    return bool(apart <= CORNER_TOLERANCE[1])


def _voxels(image: nib.Nifti1Image) -> np.ndarray | None:
    """Voxels of an image that cannot be edited; None where they are no numbers, or not there."""
    try:
        data = np.asarray(image.dataobj)
    except (EOFError, OSError, ValueError):
        return None
    return data.astype(np.float64) if data.dtype.kind in "iuf" else None


def _values(data: np.ndarray) -> dict[str, Any]:
    finite = data[np.isfinite(data)]
    facts: dict[str, Any] = {"nan_or_infinite": int(data.size - finite.size)}
    if not finite.size:
        return facts | {"kind": "nothing"}
    distinct = np.unique(finite)
    quantiles = np.percentile(finite, PERCENTILES)
    facts |= {
        "lowest": float(distinct[0]),
        "highest": float(distinct[-1]),
        "percentiles": {str(p): float(value) for p, value in zip(PERCENTILES[:-1], quantiles)},
        "distinct": len(distinct),
        "background": float(np.mean(finite == (0 if 0 in distinct else distinct[0]))),
    }
    whole = len(distinct) <= MOST_LABELS and np.abs(distinct - np.rint(distinct)).max() <= VALUE_TOLERANCE
    if len(distinct) == 1:
        return facts | {"kind": "constant"}
    if not whole or distinct[0] < -VALUE_TOLERANCE:
        return facts | {"kind": "scan"}
    labels = [int(value) for value in np.unique(np.rint(distinct))]
    return facts | {"kind": "mask" if len(labels) == 2 else "label map", "labels": labels}


def _as_mask(volume: Volume, disease: str, values: dict[str, Any]) -> dict[str, Any]:
    """What an edit with this image as its lesion would know of it; InputError: it would be refused."""
    inside = binary_mask(volume, (*BINARY, *TUMOR_LABELS) if DISEASES[disease].labels else BINARY)
    return {
        "as": "--pathology or --brain",
        "voxels": int(inside.sum()),
        "volume_ml": round(float(inside.sum()) * volume.voxel_ml, 6),
        **_ends(inside),
        "warnings": list(volume.warnings),
    }


def _as_scan(volume: Volume, disease: str, values: dict[str, Any]) -> dict[str, Any]:
    """What an edit of this image without further options would do; InputError: it would be refused."""
    require_signal(volume)
    values["kind"] = "constant" if values["distinct"] == 1 else "whole head"
    known = KnownBrain.of(volume)
    brain, source = known.mask, known.source
    if source == "background":
        values["kind"] = "skull-stripped scan"
    warnings = [*volume.warnings, *volume.format_warnings, *known.warnings]
    space = ModelSpace.around_brain(brain, volume.affine, DISEASES[disease].window)
    warnings += space.window_warnings(brain=brain)
    middle = [(index - 1) / 2 for index in (space.size, space.size)]
    centre = space.affine @ [*middle, (len(space.heights) - 1) / 2, 1]
    return {
        "as": "--scan",
        "brain_source": source,
        "prepared": source == "network",
        "brain_ml": round(float(brain.sum()) * volume.voxel_ml, 3),
        "window_mm": DISEASES[disease].window,
        "window_centre_mm": [round(float(part), 3) for part in centre[:2]],
        "model_pixel_mm": space.pixel_mm,
        **_ends(brain),
        "warnings": warnings,
    }


def _ends(mask: np.ndarray) -> dict[str, int]:
    """Where a mask begins and ends on the RAS z axis, from 0."""
    found = np.flatnonzero(mask.any(axis=(0, 1)))
    return {"first_axial_slice": int(found[0]), "last_axial_slice": int(found[-1])}
