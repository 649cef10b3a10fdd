# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a cohort of volumes to one of slices: of every case the axial slice that holds most of the lesion."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.diseases import DISEASES
from mededit_monai.io.atomic import json_bytes, remove_unfinished
from mededit_monai.io.claims import claim
from mededit_monai.io.datalist import FILE_KEYS, VOLUME_KEYS, read_datalist
from mededit_monai.io.finished import clear_up, finished_folder, require_own_folder
from mededit_monai.io.hashing import sha256
from mededit_monai.io.nifti import PREPARED_NOTE, SYNTHETIC_NOTE, read_array, save_image
from mededit_monai.io.outputs import OutputFolder, facts_in, marker_facts
from mededit_monai.simulation.files import model_affine
from mededit_monai.space.intensity import intensity_ceiling, to_unit

#: What is scaled to the slice's own percentile, and what is copied.
IMAGES = ("prior", "image")
MASKS = ("brain", "prior_brain", "pathology", "regions", "ventricles", "prior_ventricles", "tissue", "prior_tissue")

#: The list of all cases, in the folder that is written.
LIST = "datalist.json"

#: Splits that are cut.
SPLITS = ("training", "validation", "testing")


def cut_cohort(
    cohort: str | Path, output_dir: str | Path, overwrite: bool = False, progress: bool = False
) -> dict[str, int]:
    """
    Cut a cohort of volumes to slices, for the thesis's tables and for edits of volumes that are measured in a slice.

    Each case becomes the axial slice with the largest area of lesion (the lowest of several). ``prior`` and ``image``
    are divided by what the percentile of the disease makes 1 in the slice of the prior, as if the slice had been
    prepared by itself. A case keeps its names, and its volumes' paths as ``volume_prior``, ``volume_brain``,
    ``volume_pathology`` and ``volume_regions``, with ``slice_index`` and ``volume_ceiling`` (what of the volume
    became 1). The displacement is left out: it has a component across the slice.

    Args:
        cohort: folder of ``mededit simulate --spatial_dims 3``.
        output_dir: folder; gets ``cases/CASE/*.nii`` and ``datalist.json``.
        overwrite: whether files of it that were changed by hand are replaced.
        progress: a bar on stderr.

    Returns:
        cases by split.

    Raises:
        InputError: a cohort that holds slices, has no pairs or is damaged; a folder that is in the way, holds the
            slices of another cohort, or files that were changed by hand.
    """
    source, root = user_path(cohort), user_path(output_dir)
    facts = cohort_facts(source)
    if facts["spatial_dims"] != 3 or not facts["paired"]:
        raise InputError(
            f"--cohort: {source} holds {'slices' if facts['spatial_dims'] == 2 else 'no pairs'}, wanted volumes with "
            f"and without the lesion; give a cohort of 'mededit simulate --spatial_dims 3'."
        )
    place = source / "datalist.json"
    output = OutputFolder(root, [place], overwrite)
    output.require_free([LIST])
    content = json.loads(place.read_bytes())
    splits = {split: read_datalist(place, split) for split in SPLITS if content.get(split)}
    names = [case["case_id"] for cases in splits.values() for case in cases]
    lists: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    about = {key: facts[key] for key in ("synthetic", "simulator_version")}
    recipe = {**facts["recipe"], "spatial_dims": 2, "cut_from": facts["name"]}
    head = {"name": f"{facts['name']}, slices", "description": _DESCRIPTION, **about, "recipe": recipe}
    cut_from = sha256(place)
    with claim(root):
        remove_unfinished(root)  # of a run that was killed
        clear_up(root / "cases", names)
        _require_own(output, head, cut_from, names, overwrite)
        output.reserve([LIST], cut_from=cut_from)
        with tqdm(total=len(names), desc="slices", unit="case", disable=not progress) as bar:
            for split, cases in splits.items():
                for case in cases:
                    lists[split].append(_cut_case(case, root, facts, overwrite))
                    bar.update()
        output.write({LIST: json_bytes({**head, **lists})})
    return {split: len(cases) for split, cases in lists.items()}


def _require_own(
    output: OutputFolder, head: Mapping[str, Any], cut_from: str, names: Sequence[str], overwrite: bool
) -> None:
    """
    A folder is ours if it holds slices of the same cohort and no case was changed, and free if it has none.

    Raises:
        InputError: names what is in the way.
    """
    place = output.path / LIST
    known = marker_facts(output.path).get("cut_from")
    if known not in (None, cut_from):
        raise InputError(
            f"{output.path}: holds slices of another cohort, or of another list of cases of this one; choose another "
            f"folder with -o or remove it."
        )
    if known is None and place.is_file():  # of a version that did not write down what it cut
        found = facts_in(place)
        wanted = json.loads(json_bytes(dict(head)))
        for key in ("recipe", "simulator_version"):
            if found.get(key) != wanted[key]:
                raise InputError(
                    f"{output.path}: holds slices of another cohort ({key} is another one); choose another folder "
                    f"with -o or remove it."
                )
    for name in names:
        require_own_folder(output.path / "cases" / name, overwrite)


_DESCRIPTION = "Of every volume the axial slice with the most lesion (research use only)."


def _cut_case(case: Mapping[str, Any], root: Path, facts: Mapping[str, Any], overwrite: bool) -> dict[str, Any]:
    """Write a case's slices; its line in the list."""
    disease, name = DISEASES[facts["disease"]], case["case_id"]
    volumes = {key: read_array(case[key]) for key in (*IMAGES, *MASKS) if case.get(key)}
    height = int(volumes["pathology"].astype(bool).sum(axis=(0, 1)).argmax())
    planes = {key: array[:, :, height : height + 1] for key, array in volumes.items()}
    ceiling = intensity_ceiling(planes["prior"] * (planes["prior_brain"] > 0), disease.percentile)
    affine = model_affine(disease.pixel_mm, planes["prior"].shape)
    note = SYNTHETIC_NOTE if facts["synthetic"] else PREPARED_NOTE
    with finished_folder(root / "cases" / name, overwrite, clear=False) as folder:
        for key, plane in planes.items():
            data = to_unit(plane, ceiling) if key in IMAGES else plane.astype(np.uint8)
            save_image(data, affine, folder / f"{key}.nii", note)
    line = {key: value for key, value in case.items() if key not in FILE_KEYS and key != "parameters"}
    line |= {key: f"cases/{name}/{key}.nii" for key in planes}
    sources = {key: case[key.removeprefix("volume_")] for key in VOLUME_KEYS if case.get(key.removeprefix("volume_"))}
    line |= {key: Path(os.path.relpath(path, root)).as_posix() for key, path in sources.items()}
    return line | {"slice_index": height, "volume_ceiling": ceiling}
