# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Who looks at the edits: the embedded judge, or an nnU-Net for the lesion beside it; and who gives features."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES
from mededit_monai.judges.embedded import Judge, judge_files, load_judge, shipped_volume_judge
from mededit_monai.judges.features import (
    Extractor,
    embedded_extractor,
    imagenet_extractor,
    radimagenet_extractor,
)
from mededit_monai.judges.nnunet import IDENTITY_FILE as NNUNET_FILE
from mededit_monai.judges.nnunet import NNUNetFolder, NNUNetJudge
from mededit_monai.judges.structures import TISSUES, WHOLE, structures

#: Word for the features of a network that learned from photographs.
IMAGENET = "imagenet"


class LesionByNNUNet:
    """
    nnU-Net's lesion (and regions) with the embedded judge's ventricles and tissue, which nnU-Net does not know.

    Every image is given to nnU-Net once: its process takes long to start, and priors come again with every row.

    Args:
        lesion: the nnU-Net.
        ventricles: the embedded judge.
    """

    def __init__(self, lesion: NNUNetJudge, ventricles: Judge) -> None:
        self.lesion, self.ventricles = lesion, ventricles
        self._known: dict[str, dict[str, np.ndarray]] = {}

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.lesion.name} (ventricles: {self.ventricles.name})"

    @property
    def ceiling(self) -> dict[str, Any]:
        """nnU-Net's Dice on its validation list, and the embedded judge's on ventricles and tissue."""
        place = self.lesion.folder.results / "fold_0" / "validation" / "summary.json"
        pathology = (*DISEASES[self.ventricles.disease].structures, WHOLE)
        found = {k: v for k, v in self.ventricles.ceiling.items() if k not in pathology}
        try:
            return {"lesion": {"value": float(json.loads(place.read_bytes())["foreground_mean"]["Dice"])}, **found}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {"lesion": None, **found}

    def segment(self, images: np.ndarray | torch.Tensor) -> dict[str, np.ndarray]:
        """As :meth:`mededit_monai.judges.embedded.Judge.segment`."""
        batch = np.asarray(images, dtype=np.float32)
        keys = [hashlib.sha256(np.ascontiguousarray(plane).tobytes()).hexdigest() for plane in batch]
        new = [k for k, key in enumerate(keys) if key not in self._known]
        if new:
            found = self.lesion.segment(batch[new])
            for row, k in enumerate(new):
                self._known[keys[k]] = {name: masks[row] for name, masks in found.items()}
        lesions = [self._known[key] for key in keys]
        masks = {name: np.stack([one[name] for one in lesions]) for name in lesions[0]}
        return self.ventricles.segment(batch) | masks


def evaluation_judge(
    disease: str, folder: str | Path | None = None, spatial_dims: int = 2
) -> Judge | LesionByNNUNet | None:
    """
    The judge of an evaluation.

    Args:
        disease: stroke or tumor.
        folder: what ``mededit judge train`` wrote, embedded or nnU-Net; None for the one that is shipped.
        spatial_dims: 2 for a cohort of slices, 3 for one of volumes.

    Returns:
        the judge; None for volumes if none is given and none is shipped: then nobody looks at them.

    Raises:
        InputError: no judge there, or one of another disease.
    """
    folder = None if folder is None else user_path(folder)
    if spatial_dims == 3:
        return shipped_volume_judge(disease) if folder is None else _embedded(disease, folder, 3)
    if folder is not None and (folder / NNUNET_FILE).is_file():
        place = folder / "results"
        trained = sorted(place.glob("*/*/fold_0/checkpoint_final.pth"))
        if not trained:
            raise InputError(
                f"--judge: {place} holds no trained nnU-Net; run 'mededit judge train --judge nnunet' again."
            )
        trainer = trained[0].parents[1].name.split("__")[0]
        lesion = NNUNetJudge(NNUNetFolder(folder, trainer))
        if lesion.disease != disease:
            raise InputError(f"--judge: {folder} is a judge of '{lesion.disease}', wanted one of '{disease}'.")
        return LesionByNNUNet(lesion, _embedded(disease, None))
    return _embedded(disease, folder)


def _embedded(disease: str, folder: str | Path | None, spatial_dims: int = 2) -> Judge:
    missing = [place for place in judge_files(disease, folder, spatial_dims) if not place.is_file()]
    if missing:
        kind = "" if spatial_dims == 2 else " of volumes"
        where = "no judge is shipped for it" if folder is None else f"the folder holds none{kind}"
        raise InputError(
            f"--judge: {missing[0].name} of '{disease}' not found, {where}; train one with 'mededit judge train "
            f"--cohort DIR -o OUT' and give OUT with --judge."
        )
    return load_judge(disease, folder, spatial_dims)


def finds_tissue(judge: Judge | LesionByNNUNet) -> bool:
    """Whether the judge was trained to tell fluid, gray and white matter apart."""
    embedded = judge.ventricles if isinstance(judge, LesionByNNUNet) else judge
    return set(TISSUES) <= set(embedded.facts.get("structures", structures(embedded.disease)))


def judge_facts(judge: Judge | LesionByNNUNet, disease: str) -> dict[str, Any]:
    """
    ``name``, ``disease``, ``ceiling`` (structure → held-out Dice), ``held_out`` (the same with its interval) and
    ``learned_from`` (anatomies of its training, of an embedded judge).
    """
    held_out = dict(judge.ceiling)
    ceiling = {name: score["value"] if score else None for name, score in held_out.items()}
    learned = sorted((judge.ventricles if isinstance(judge, LesionByNNUNet) else judge).learned_from)
    found = {"name": judge.name, "disease": disease, "ceiling": ceiling, "held_out": held_out}
    return found | {"learned_from": learned}


def realism_extractor(disease: str, judge: str | Path | None, features: str | Path | None) -> Extractor:
    """The features asked for, else the judge's; see :func:`extractors`."""
    return list(extractors(disease, judge, features).values())[-1]


def extractors(disease: str, judge: str | Path | None, features: str | Path | None) -> dict[str, Extractor]:
    """
    Feature extractors by the ending of their columns' keys: "" for the embedded judge, then "_imagenet" or
    "_radimagenet".

    Args:
        judge: folder of the judge; one of nnU-Net has no features, the shipped embedded judge gives them then.
        features: ``imagenet`` for EfficientNet-Lite0; weights of RadImageNet's ResNet50, or a clone of its hub
            repository; None: not wanted.

    Raises:
        InputError: weights that are missing or of another network.
    """
    folder = None if judge is not None and (user_path(judge) / NNUNET_FILE).is_file() else judge
    _embedded(disease, folder)
    found = {"": embedded_extractor(disease, folder)}
    if features is not None and str(features) == IMAGENET:
        found["_imagenet"] = imagenet_extractor()
    elif features is not None:
        if not user_path(features).exists():
            raise InputError(
                f"--features: {features} not found; give '{IMAGENET}', or a weight file of RadImageNet's ResNet50."
            )
        found["_radimagenet"] = radimagenet_extractor(features)
    return found
