# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of a simulated cohort as the embedded judge learns them: with and without the lesion, strongly altered."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandHistogramShiftd,
    RandomizableTransform,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Transform,
)

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_volume
from mededit_monai.judges.embedded import FOLD, judged_box
from mededit_monai.judges.structures import mirrored, pack, structures
from mededit_monai.training.appearance import RandAppearance
from mededit_monai.training.paint_batch import part_around
from mededit_monai.training.pairs import Jointlyd
from mededit_monai.training.vectors import RandAffineVectorsd

#: Sides of an image must be multiples of this: the network halves its grid four times.
MULTIPLE = 16

#: Voxels around the brain that a sample of a volume keeps, so that augmentation can move it.
ROOM = 6

#: Side of the parts of volumes that are learned from, in two of the directions.
PART = 48


def cohort_disease(cohort: str | Path, disease: str | None = None) -> str:
    """
    The disease of a simulated cohort, from its ``datalist.json``.

    Args:
        cohort: folder; disease: what the user says, for cohorts that do not say it.

    Raises:
        InputError: no datalist, or a disease that neither says.
    """
    place = user_path(cohort) / "datalist.json"
    found = cohort_content(cohort)
    recipe = found.get("recipe") or {}
    if not isinstance(recipe, dict):
        raise InputError(f"{place}: its recipe is {recipe!r}, wanted an object; give a cohort of 'mededit simulate'.")
    name = recipe.get("disease", disease)
    if name not in DISEASES or (disease is not None and disease != name):
        raise InputError(
            f"{place}: is about '{name}', --disease is '{disease}'; wanted one of {', '.join(DISEASES)}, and the same."
        )
    return name


def cohort_dims(cohort: str | Path) -> int:
    """2 for a cohort of slices, 3 for one of volumes, by its recipe."""
    return 3 if (cohort_content(cohort).get("recipe") or {}).get("spatial_dims") == 3 else 2


def cohort_content(cohort: str | Path) -> dict[str, Any]:
    """
    What a cohort's ``datalist.json`` says.

    Raises:
        InputError: not there, or no JSON.
    """
    place = user_path(cohort) / "datalist.json"
    if not place.is_file():
        raise InputError(f"{place}: not found; give the folder of a cohort that 'mededit simulate' wrote.")
    try:
        found = json.loads(place.read_bytes())
    except ValueError as error:
        raise InputError(f"{place}: is not valid JSON ({error}); make the cohort again.") from error
    return found if isinstance(found, dict) else {}


def cohort_samples(cohort: str | Path, split: str, disease: str) -> list[dict[str, Any]]:
    """
    Samples of a split: every case twice, as ``image`` with its lesion and as ``prior`` without.

    Returns:
        dictionaries with ``case_id anatomy stratum source shown`` (source: the folder of the lesion's mask, such as
        ``lesymap``, or empty; lesion or lesion_free) and the files ``image brain
        pathology ventricles tissue`` (``pathology`` None without lesion; the labels if the disease has some).

    Raises:
        InputError: a missing list, or a case without one of the keys.
    """
    place = user_path(cohort) / "datalist.json"
    key = DISEASES[disease].mask_key
    samples = []
    for case in read_datalist(place, split):
        for wanted in ("image", "brain", key, "ventricles", "prior", "prior_ventricles", "tissue", "prior_tissue"):
            if not case.get(wanted):
                raise InputError(
                    f"{place}: case '{case['case_id']}' has no '{wanted}'; the judge is trained on simulated pairs, "
                    f"simulate them with 'mededit simulate' (again, if an earlier version wrote the cohort)."
                )
        facts = {"anatomy": str(case.get("anatomy", case["case_id"])), "stratum": str(case.get("stratum"))}
        folder, divided, _ = str(case.get("lesion_id", "")).partition("/")
        facts["source"] = folder if divided else ""
        ill = {name: case[name] for name in ("image", "brain", "ventricles", "tissue")} | {"pathology": case[key]}
        well = {"image": case["prior"], "brain": case.get("prior_brain") or case["brain"], "pathology": None}
        well |= {"ventricles": case["prior_ventricles"], "tissue": case["prior_tissue"]}
        samples.append({"case_id": case["case_id"], "shown": "lesion", **facts, **ill})
        samples.append({"case_id": f"{case['case_id']}+prior", "shown": "lesion_free", **facts, **well})
    return samples


class LoadSample(Transform):
    """
    Read a sample's files: ``image`` (1xHxW[xD], scan x brain, in [0, 1]) and ``label`` (1xHxW[xD], packed bits).

    float32; of volumes the brain's box (:func:`~mededit_monai.judges.embedded.judged_box`) in float16 and int16, which
    a cohort of them is kept in.
    """

    def __init__(self, disease: str, spatial_dims: int = 2) -> None:
        self.disease, self.spatial_dims = disease, spatial_dims

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[str, Any]:
        keys = ("image", "brain", "ventricles", "tissue")
        image, brain, ventricles, tissue = (_array(data[key], self.spatial_dims) for key in keys)
        lesion = _array(data["pathology"], self.spatial_dims) if data["pathology"] else 0 * brain
        disease = DISEASES[self.disease]
        parts = [lesion == k for k, _ in enumerate(disease.structures, 1)] if disease.labels else [lesion > 0]
        packed = pack([*parts, ventricles == 1, ventricles == 2, *(tissue == k for k in (1, 2, 3))], brain)
        flat = self.spatial_dims == 2
        if not flat:
            box = judged_box(brain > 0, ROOM)
            image, brain, packed = image[box], brain[box], packed[box]
        image = (image.clip(0, 1) * (brain > 0)).astype("float32" if flat else "float16")
        return {
            "case_id": data["case_id"],
            "image": torch.from_numpy(image)[None],
            "label": torch.from_numpy(packed if flat else packed.astype("int16"))[None],
        }


def _array(path: str, spatial_dims: int) -> np.ndarray:
    volume = read_volume(path)
    x, y, z = volume.data.shape
    if spatial_dims == 3:
        if z < FOLD or x % FOLD or y % FOLD or z % FOLD:
            raise InputError(
                f"{path}: has shape {volume.data.shape}, wanted a volume with even sides; simulate the cohort with "
                f"--spatial_dims 3."
            )
        return volume.data
    if z != 1 or x % MULTIPLE or y % MULTIPLE:
        raise InputError(
            f"{path}: has shape {volume.data.shape}, wanted one slice with sides that are multiples of {MULTIPLE}; "
            f"simulate the cohort with --spatial_dims 2."
        )
    return volume.data[:, :, 0]


class RandMirrorSample(RandomizableTransform):
    """Mirror left and right with probability ``prob``; left and right ventricle change places."""

    def __init__(self, disease: str, prob: float = 0.5) -> None:
        super().__init__(prob=prob)
        self.disease = disease

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self.randomize(None)
        if not self._do_transform:
            return dict(data)
        return {
            **data,
            "image": torch.flip(data["image"], dims=(1,)),
            "label": mirrored(data["label"], self.disease),
        }


class ToBrain(Transform):
    """Clip ``image`` to [0, 1] and set it to 0 outside the brain, as every image that is judged."""

    def __init__(self, disease: str) -> None:
        self.bit = len(structures(disease))

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        brain = (data["label"].round().to(torch.int32) >> self.bit) & 1
        return {**data, "image": data["image"].clamp(0, 1) * brain}


class RandPart(RandomizableTransform):
    """
    A part of a volume, ``PART`` voxels from front to back and from below to above, in most of which a lesion is.

    From left to right it is whole: what is left of the brain's middle is told by that. A step takes a fifth of the time
    of one on whole brains, and it is steps that a judge learns by.

    Args:
        disease: whose lesion; around: share of the parts that are cut around it.
    """

    def __init__(self, disease: str, around: float = 0.7) -> None:
        super().__init__(prob=around)
        self.bit, self.lesion = len(structures(disease)), (1 << len(DISEASES[disease].structures)) - 1

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self.randomize(None)
        label = data["label"][0].round().to(torch.int32)
        lesion = (label & self.lesion) > 0
        wanted = lesion if self._do_transform and bool(lesion.any()) else ((label >> self.bit) & 1) > 0
        _, *box = part_around(wanted, np.random.default_rng(self.R.randint(2**31)), PART)
        return {**data, **{key: data[key][(..., *box)] for key in ("image", "label")}}


class Single(Transform):
    """Single precision for image and label, as augmentation wants it."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {**data, "image": data["image"].float(), "label": data["label"].float()}


def augmentation(disease: str, spatial_dims: int = 2) -> Compose:
    """
    Wide changes of geometry and appearance, so that the judge does not depend on the simulator's looks.

    Of slices all MONAI's: mirror, affine, histogram, gamma, brightness, bias field, blur, sharpening, noise. Of
    volumes, where those take longer than the network: mirror, affine, contrast curve, bias field, sharpness, noise;
    then a part is cut out.
    """
    image = {"keys": "image"}
    if spatial_dims == 3:
        return Compose(
            [
                Single(),
                RandMirrorSample(disease),
                RandAffineVectorsd(["image"], ["label"], (), prob=0.8, rotate=0.2, scale=0.12, shift=6),
                Jointlyd(keys=["image"], transform=RandAppearance()),
                ToBrain(disease),
                RandPart(disease),
            ]
        )
    return Compose(
        [
            RandMirrorSample(disease),
            RandAffined(
                keys=("image", "label"),
                prob=0.8,
                rotate_range=0.25,
                shear_range=0.1,
                translate_range=8,
                scale_range=0.15,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            RandHistogramShiftd(**image, num_control_points=(4, 8), prob=0.3),
            RandAdjustContrastd(**image, gamma=(0.6, 1.7), prob=0.5),
            RandScaleIntensityd(**image, factors=0.2, prob=0.4),
            RandShiftIntensityd(**image, offsets=0.06, prob=0.3),
            RandBiasFieldd(**image, degree=2, coeff_range=(-0.15, 0.15), prob=0.3),
            RandGaussianSmoothd(**image, sigma_x=(0.3, 1.3), sigma_y=(0.3, 1.3), prob=0.35),
            RandGaussianSharpend(**image, alpha=(2.0, 6.0), prob=0.1),
            RandGaussianNoised(**image, std=0.06, prob=0.4),
            ToBrain(disease),
        ]
    )
