# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a volume can be used: every file of it is read and checked before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.sources import SourceVolume
from mededit_monai.diseases import DISEASES
from mededit_monai.io.nifti import (
    BINARY,
    TUMOR_LABELS,
    Volume,
    binary_mask,
    read_volume,
    require_same_grid,
    whole_values,
)
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.prepare.brats_labels import ambiguous_label_4, refuse_other_labels
from mededit_monai.space.model_space import ModelSpace

BRAIN_MASKS_PAGE = "docs/how_to/brain_masks.md"


@dataclass(frozen=True)
class Problem:
    """A sentence about a volume; ``brain`` marks the one that usually concerns all volumes alike."""

    sentence: str
    brain: bool = False


@dataclass
class LoadedVolume:
    """
    A volume in RAS order, checked.

    Args:
        scan: the scan.
        brain: bool, XxYxZ.
        marked: bool, the whole pathology mask, also where it lies outside the brain.
        labels: uint8, 1 to 3 for tumour regions; None where the mask is binary.
        facts: ``brain_source``, ``outside_share`` (of the pathology, outside the brain), ``label_4`` (whether it was
            mapped to 3), ``synthetic`` (whether the scan's header says so); ``warnings``, sentences, where there are
            any.
        modalities: of a head on several, their scans by name, ``scan`` among them.
    """

    scan: Volume
    brain: np.ndarray
    marked: np.ndarray
    labels: np.ndarray | None
    facts: dict[str, Any]
    modalities: Mapping[str, Volume] = field(default_factory=dict)

    @property
    def pathology(self) -> np.ndarray:
        """The mask inside the brain."""
        return self.marked & self.brain


def load_source(source: SourceVolume, disease: str) -> tuple[LoadedVolume | None, list[Problem]]:
    """
    Read a volume and find everything that is wrong with it.

    Args:
        disease: stroke or tumor; decides which values a mask may hold.

    Returns:
        the volume (None if there are problems) and the problems. An empty pathology mask is none: such a volume shows
        no lesion.
    """
    problems: list[Problem] = []
    scans = {name: _attempt(problems, _scan, path) for name, path in source.scans().items()}
    scan, *others = scans.values()
    mask = _attempt(problems, _mask, source, disease) if source.pathology else None
    brain_file = _attempt(problems, _brain_file, source) if source.brain else None
    warnings = list(scan.warnings) if scan is not None else []
    for volume in (*others, mask and mask[0], brain_file and brain_file[0]):
        if volume and scan is not None:
            warnings += [*volume.warnings, _attempt(problems, require_same_grid, volume, scan)]
    if scan is None or problems:
        return None, problems
    if brain_file is not None:
        brain, brain_source = brain_file[1], "file"
    else:
        brain, brain_source = np.zeros(scan.data.shape, bool), "background"
        for one in (scan, *others):  # what any of them shows
            try:
                brain |= brain_from_background(one)
            except InputError as error:
                return None, [_without_brain(one, error)]
    marked = mask[1] > 0 if mask else np.zeros(scan.data.shape, dtype=bool)
    voxels, inside = int(marked.sum()), int((marked & brain).sum())
    if voxels and not inside:
        sentence = f"{source.pathology}: lies outside the brain (0 of {voxels} voxels inside), wanted a lesion in it; "
        return None, [Problem(sentence + f"check that it belongs to {source.scan}.")]
    facts = {
        "brain_source": brain_source,
        "outside_share": round(1 - inside / voxels, 6) if voxels else 0.0,
        "label_4": bool(mask and mask[2]),
        "synthetic": any(one.synthetic for one in (scan, *others)),
    }
    doubt = ambiguous_label_4([4], source.pathology) if mask and mask[2] else None
    warnings += [f"{mask[0].path.name}: {doubt}"] if doubt else []
    if brain.any():
        window = ModelSpace.around_brain(brain, scan.affine, DISEASES[disease].window)
        warnings += window.window_warnings(brain=brain, lesion=marked & brain)
    if any(warnings):
        facts["warnings"] = [sentence for sentence in warnings if sentence]
    labels = mask[1] if mask and mask[3] else None
    return LoadedVolume(scan, brain, marked, labels, facts, scans if source.modalities else {}), []


def complaint(problems: Mapping[str, Sequence[Problem]], total: int, root: object) -> str:
    """
    All problems of a data set as one message, a line each; missing brain masks, which concern many, as one line.

    Args:
        problems: volume → what is wrong.
        total: volumes found.
    """
    lines, brainless = [], []
    for found in problems.values():
        brainless += [p.sentence for p in found if p.brain]
        lines += [p.sentence for p in found if not p.brain]
    if brainless:
        more = f" (the same holds for {len(brainless) - 1} more)" if len(brainless) > 1 else ""
        lines.append(brainless[0].removesuffix(".") + more + ".")
    head = f"{root}: {len(problems)} of {total} volumes cannot be used:"
    return "\n  ".join([head, *lines]) + "\nMend them, or leave them out with --skip_bad. Nothing was written."


def _attempt(problems: list[Problem], function: Callable, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except InputError as error:
        problems.append(Problem(str(error)))
        return None


def _scan(path: Path) -> Volume:
    scan = read_volume(path)
    if float(scan.data.max()) <= 0:
        raise InputError(f"{scan.path}: has no positive voxel (maximum {scan.data.max():g}); give the scan of a head.")
    return scan


def _mask(source: SourceVolume, disease: str) -> tuple[Volume, np.ndarray, bool, bool]:
    """Volume, uint8 labels 0 to 3 (0 and 1 for a binary mask), whether label 4 was mapped, whether it holds regions."""
    volume = read_volume(source.pathology)
    data = whole_values(volume)
    values = set(np.unique(data).tolist())
    binary = not DISEASES[disease].labels or (source.labelled is None and any(values <= set(b) for b in BINARY))
    if values == {0}:
        return volume, np.zeros(data.shape, np.uint8), False, source.labelled is True
    if binary:
        return volume, binary_mask(volume, BINARY).astype(np.uint8), False, False
    refuse_other_labels(volume.path, values, regions=True)
    if not any(values <= set(allowed) for allowed in TUMOR_LABELS):
        shown = ", ".join(f"{v:g}" for v in sorted(values)[:8]) + (", …" if len(values) > 8 else "")
        raise InputError(
            f"{volume.path}: holds the values {shown}, wanted {{0, 1, 2, 3}} or {{0, 1, 2, 4}}; give BraTS's regions."
        )
    labels = data.astype(np.uint8)
    labels[labels == 4] = 3
    return volume, labels, 4 in values, True


def _brain_file(source: SourceVolume) -> tuple[Volume, np.ndarray]:
    volume = read_volume(source.brain)
    return volume, binary_mask(volume, BINARY)


def _without_brain(scan: Volume, error: InputError) -> Problem:
    why = str(error).removeprefix(f"{scan.path}: ").split(";")[0]
    return Problem(
        f"{scan.path}: has no brain mask and {why}; wanted a mask beside it (…_desc-brain_mask.nii.gz) or in --brains, "
        f"or a skull-stripped scan; {BRAIN_MASKS_PAGE} says how to get one.",
        brain=True,
    )
