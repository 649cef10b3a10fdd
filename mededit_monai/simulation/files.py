# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A case on disk, in the layout asked for; every file appears whole or not at all, the JSON last."""

from __future__ import annotations

import gzip
import json
import struct
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.diseases.modalities import LABEL_KEY, MODALITIES
from mededit_monai.io.atomic import write_bytes, write_text
from mededit_monai.io.case_names import stem
from mededit_monai.io.displacement import write_displacement
from mededit_monai.io.nifti import SYNTHETIC_NOTE
from mededit_monai.io.outputs import make_folder
from mededit_monai.io.whole import has_all_voxels, is_whole
from mededit_monai.simulation.frame import STEP_MM
from mededit_monai.simulation.plan import Case, Recipe

#: Keys of the interface in the order they are written; regions of diseases whose masks have labels.
KEYS = (
    *("image", "prior", "brain", "prior_brain", "pathology", "regions", "ventricles", "prior_ventricles"),
    *("tissue", "prior_tissue", "displacement"),
)

#: The same of crops.
CROP_KEYS = ("image", "displaced", "brain", "pathology", "regions")

#: Images hold 0 to 1 as 16-bit numbers; displacements whole multiples of a micrometre.
IMAGES, IMAGE_STEP = ("image", "prior", "displaced", *MODALITIES), 1 / 65535


def file_names(recipe: Recipe, case: Case) -> dict[str, str]:
    """Key → path relative to the cohort's folder, and ``parameters`` for the JSON."""
    disease, ending = recipe.record, "nii" if recipe.spatial_dims == 2 else "nii.gz"
    if recipe.layout == "datalist":
        keys = (*recipe.modalities, LABEL_KEY) if recipe.modalities else CROP_KEYS if recipe.crops else KEYS
        names = {key: f"{case.case_id}/{key}.{ending}" for key in keys}
        names["parameters"] = f"{case.case_id}/parameters.json"
    elif recipe.layout == "bids":
        subject = f"sub-{case.case_id.replace('_', '')}"
        start = f"{subject}/anat/{subject}"
        lesion, contrast = disease.bids_lesion, "ce-gadolinium_T1w" if disease.gadolinium else "T1w"
        names = {
            "image": f"{start}_{contrast}.nii.gz",
            "prior": f"{start}_{contrast.removesuffix('T1w')}desc-lesionfree_T1w.nii.gz",
            "brain": f"{start}_desc-brain_mask.nii.gz",
            "prior_brain": f"{start}_desc-lesionfreebrain_mask.nii.gz",
            "pathology": f"{start}_label-L_desc-{lesion}_mask.nii.gz",
            "regions": f"{start}_desc-{lesion}_dseg.nii.gz",
            "ventricles": f"{start}_desc-ventricles_dseg.nii.gz",
            "prior_ventricles": f"{start}_desc-lesionfreeventricles_dseg.nii.gz",
            "tissue": f"{start}_desc-tissue_dseg.nii.gz",
            "prior_tissue": f"{start}_desc-lesionfreetissue_dseg.nii.gz",
            "displacement": f"{start}_desc-displacement_xfm.nii.gz",
            "parameters": f"{start}_{contrast}.json",
        }
    else:
        tail = "Tr" if case.split != "testing" else "Ts"
        names = {
            "image": f"images{tail}/{case.case_id}_0000.nii.gz",
            disease.mask_key: f"labels{tail}/{case.case_id}.nii.gz",
            "parameters": f"parameters/{case.case_id}.json",
        }
    if not disease.labels:
        names.pop("regions", None)
    return names


def write_case(root: Path, recipe: Recipe, case: Case, pair: dict, pixel_mm: float) -> None:
    """
    Write one case; an interrupted one leaves no parameters file and is made again.

    Of a case that was finished once, only files that are gone or damaged are written: the others may be somebody's.

    Raises:
        InputError: NaN or infinite values.
    """
    names = file_names(recipe, case)
    shape = pair[next(iter(names))].shape
    shape = shape if recipe.spatial_dims == 3 else (*shape, 1)
    affine = model_affine(pair["parameters"].get("spacing_mm", pixel_mm), shape)
    if recipe.layout == "nnunet" and recipe.spatial_dims == 2:
        affine[2, 2] = (
            999  # nnU-Net plans a 2-D network across the axis with the largest spacing; its own word for none
        )
    parameters = names.pop("parameters")
    again = is_whole(root / parameters)
    for folder in {(root / name).parent for name in (*names.values(), parameters)}:
        make_folder(folder)
    for key, name in names.items():
        path = root / name
        if again and file_is_whole(path):
            continue
        data = np.asarray(pair[key])
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise InputError(
                f"{path}: would hold NaN or infinite values, so it was not written; choose another --seed, or leave "
                f"out the anatomy {stem(Path(case.anatomy))}."
            )
        if recipe.spatial_dims == 2:
            data = data[..., None]
        if key == "displacement":
            write_displacement(path, data, affine, STEP_MM)
        else:
            write_bytes(path, _content(data, affine, key in IMAGES, ending_is_plain(name)))
    if not again:
        told = pair["parameters"] | recipe.second_truth
        write_text(root / parameters, json.dumps(told, indent=1, default=float) + "\n")


def is_written(root: Path, recipe: Recipe, case: Case) -> bool:
    """Whether every file of a case is there and whole."""
    return all(file_is_whole(root / name) for name in file_names(recipe, case).values())


def file_is_whole(path: Path) -> bool:
    """Whether a file is there with all that its header promises; a compressed one is read to its checksum."""
    return has_all_voxels(path) if ending_is_plain(path.name) else is_whole(path)


def ending_is_plain(name: str) -> bool:
    """Whether a file is not compressed: then its header can be kept and only voxels change from case to case."""
    return name.endswith(".nii")


def _content(data: np.ndarray, affine: np.ndarray, is_image: bool, plain: bool) -> bytes:
    """The bytes of an image (0 to 1) or a mask."""
    if is_image:
        data = np.rint(data * np.float32(1 / IMAGE_STEP)).astype("<u2")
    else:
        data = data.astype(np.uint8)
    content = _head(data.shape, data.dtype.str, affine.tobytes(), IMAGE_STEP if is_image else None) + data.tobytes("F")
    return content if plain else gzip.compress(content, compresslevel=1, mtime=0)


@lru_cache(maxsize=64)
def _head(shape: tuple[int, ...], dtype: str, affine: bytes, slope: float | None) -> bytes:
    """What stands before the voxels; building it takes longer than writing them."""
    image = nib.Nifti1Image(np.zeros(shape, dtype), np.frombuffer(affine).reshape(4, 4))
    image.header["descrip"] = SYNTHETIC_NOTE.encode()
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    if slope is not None:  # nibabel would divide the voxels by it
        struct.pack_into("<2f", content, 112, slope, 0)
    return bytes(content[: len(content) - int(np.prod(shape)) * np.dtype(dtype).itemsize])


def model_affine(pixel_mm: float, shape: tuple[int, ...]) -> np.ndarray:
    """Voxel → mm of a case: its voxels around the middle of the window; a slice (XxYx1) lies at z = 0 with 1 mm."""
    affine = np.diag([pixel_mm, pixel_mm, 1.0 if shape[2] == 1 else pixel_mm, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def entry(recipe: Recipe, case: Case, root: Path) -> dict:
    """
    The case's object in the datalist, from its parameters file.

    Raises:
        InputError: somebody took out what the list needs.
    """
    names = file_names(recipe, case)
    place = root / names["parameters"]
    parameters = json.loads(place.read_bytes())
    wanted = ["case_id", "patient", "lesion_id", "split", "stratum", "anatomy", "global_atrophy"]
    wanted += ["spacing_mm"] if recipe.crops or recipe.modalities else []
    missing = [key for key in wanted if not isinstance(parameters, dict) or key not in parameters]
    if missing:
        raise InputError(f"{place}: lacks '{missing[0]}', which mededit wrote; remove it, and the case is made again.")
    facts = {"pixel_mm" if key == "spacing_mm" else key: parameters[key] for key in wanted}
    files = {key: name for key, name in names.items() if key != "parameters"}
    return {**facts, **files, "parameters": names["parameters"]}
