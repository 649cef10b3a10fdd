# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a case's file names to checked volumes in RAS order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.transforms import Transform

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.io.nifti import (
    BINARY,
    TUMOR_LABELS,
    Volume,
    binary_mask,
    label_mask,
    read_volume,
    whole_values,
)
from mededit_monai.prepare.brats_labels import ambiguous_label_4, refuse_other_labels
from mededit_monai.prepare.known_brain import KnownBrain, mask_warnings, read_scan
from mededit_monai.prepare.plausible import lesion_warnings
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.carry import label_warnings, read_carried

if TYPE_CHECKING:
    from mededit_monai.lesions.place import Placed


class LoadCased(Transform):
    """
    Read a case to edit and check everything about it before anything is computed.

    Input keys: ``scan``, ``pathology`` and perhaps ``brain``, ``region_file``: paths. Output: ``scan`` becomes a
    :class:`~mededit_monai.io.nifti.Volume`, ``pathology``, ``brain`` and ``region_file`` bool arrays on its
    grid (XxYxZ, RAS); ``brain_source`` says where the brain mask came from and ``warnings`` collects sentences. Where
    the ``request`` has effects, ``carry`` (paths) becomes ``carried``, see
    :func:`~mededit_monai.space.carry.read_carried`.

    In place of ``pathology`` there may be ``lesion``, a :class:`~mededit_monai.lesions.wanted.Wanted`; then it is
    placed in the scan, and ``lesion_facts`` says what became of it.

    Args:
        labels: whether the pathology may be a tumour's label map (1 core, 2 edema, 3 or 4 enhancing).
        condition: ``regions`` wants such a map, and adds it as ``regions``, uint8.
        extract: whether the brain of a whole head may be found by a network (``brain_source`` is then ``network``).

    Raises:
        InputError: for anything that cannot be edited; see ``read_volume``, ``binary_mask``, ``found_brain``,
            ``read_carried``.
    """

    def __init__(self, labels: bool = False, condition: str = "mask", extract: bool = False) -> None:
        if condition == "regions" and not labels:
            raise InputError(
                "--condition: 'regions' is for tumours, wanted mask or box with this bundle; use --bundle tumor."
            )
        self.labels, self.condition, self.extract = labels, condition, extract

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        warnings: list[str] = list(case.get("warnings", []))
        options = case.get("request", {}).get("options", {})
        scan = read_scan(case["scan"], options.get("echo"))
        warnings += [*scan.warnings, *scan.format_warnings]
        files: dict[str, Volume] = {}
        masks: dict[str, np.ndarray] = {}
        for key in ("pathology", "region_file"):
            if case.get(key):
                files[key] = read_volume(case[key])
                masks[key] = self._mask(files[key], scan, self.labels and key == "pathology", warnings)
        known = KnownBrain.of(scan, case.get("brain") or None, self.extract)
        brain = known.mask
        warnings += known.warnings
        if case.get("lesion"):
            made = _lesion(case, scan, brain, known.source, self.condition == "regions")
            pathology, case["lesion_facts"] = made.mask, made.facts
            labels = made.labels if self.condition == "regions" else None
            warnings += made.warnings
            case["known_preparation"] = made.mni and made.mni.preparation  # a registration takes its time
        else:
            pathology = masks["pathology"]
            labels = self._regions(files["pathology"]) if self.condition == "regions" else None
            warnings += lesion_warnings(Path(case["pathology"]), pathology, brain, scan)
        if self.condition == "regions":
            case["regions"] = np.where(brain, labels, 0).astype(np.uint8)
        if "region_file" in masks:
            case["region_file"] = masks["region_file"] & brain
        if case.get("carry") and options.get("effects"):
            case["carried"] = read_carried(case["carry"], scan, options.get("lesion_label"))
            warnings += [
                warning for one in case["carried"] for warning in (*one.volume.warnings, *one.volume.format_warnings)
            ]
            warnings += label_warnings(case["carried"], options.get("lesion_label"))
        return case | {
            "scan": scan,
            "brain": brain,
            "brain_source": known.source,
            "pathology": pathology & brain,
            "warnings": warnings,
        }

    def _mask(self, volume: Volume, scan: Volume, labels: bool, warnings: list[str]) -> np.ndarray:
        """A mask on the scan's grid; what is odd about it goes to ``warnings``."""
        warnings += mask_warnings(volume, scan)
        if labels:
            values = np.unique(whole_values(volume)).tolist()
            refuse_other_labels(volume.path, values, self.condition == "regions")
            doubt = ambiguous_label_4(values, volume.path)
            warnings += [doubt] if doubt else []
        return binary_mask(volume, (*BINARY, *TUMOR_LABELS) if labels else BINARY)

    def _regions(self, volume: Volume) -> np.ndarray:
        if set(np.unique(whole_values(volume)).tolist()) in ({0, 1}, {0, 255}):
            raise InputError(
                f"{volume.path}: holds one label only, but --condition regions wants 1 (necrotic core), 2 (edema) and "
                f"3 or 4 (enhancing rim); use --condition mask."
            )
        return label_mask(volume)


def _lesion(
    case: Mapping[Hashable, Any], scan: Volume, brain: np.ndarray, source: str, regions: bool = False
) -> Placed:
    """The lesion that a case asks for in words; its random numbers are the case's own."""
    from mededit_monai.lesions.place import placed  # looks at tissue and draws: this module is below it

    options = case["request"]["options"]
    seed = case_seed(int(options.get("seed", 0)), case.get("noise_name", case["case_id"]))
    disease = DISEASES[options.get("disease", "stroke")]
    return placed(case["lesion"], scan, brain, disease, seed, brain_source=source, regions=regions)
