# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""One volume of a data set: from its files to prepared cases on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.heads import head_on_grid
from mededit_monai.datasets.integrity import LoadedVolume, Problem, load_source
from mededit_monai.datasets.recipe import DatasetRecipe, chosen_slices
from mededit_monai.datasets.sources import SourceVolume
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.modalities import LABEL_KEY, MODALITIES
from mededit_monai.io.atomic import write_json
from mededit_monai.io.finished import finished_folder, is_complete, require_own_folder
from mededit_monai.io.formats.registry import image_sha256, is_there
from mededit_monai.io.nifti import PREPARED_NOTE, SYNTHETIC_NOTE, save_image
from mededit_monai.io.outputs import make_folder
from mededit_monai.space.conditions import REGION_LABELS
from mededit_monai.space.to_model import ToModelSpaced
from mededit_monai.synthesis.labels import tumor_of

#: Why a slice or volume yields no case.
NO_BRAIN = "no brain"
OUTSIDE = "pathology outside the brain only"
NO_CORE = "pathology without necrotic core"

#: Keys of files that hold intensities; the others hold labels.
IMAGES = ("image", "prior", *MODALITIES)


def check_volume(source: SourceVolume, recipe: DatasetRecipe, strict: bool = False) -> list[Problem]:
    """
    Read a volume as :func:`make_volume` will, and say what is wrong with it.

    Args:
        strict: whether a warning is a problem too.
    """
    loaded, problems = load_source(source, recipe.disease_name or "")
    if loaded is not None:
        try:
            _check_use(source, loaded, recipe)
        except InputError as error:
            problems = [Problem(str(error))]
        if strict and not problems:
            problems = warnings_as_problems(loaded.facts)
    return problems


def warnings_as_problems(record: Mapping[str, Any]) -> list[Problem]:
    """What ``--strict`` makes of a volume's ``warnings``."""
    return [
        Problem(f"{sentence.removesuffix('.')}; refused, since --strict was given.")
        for sentence in record.get("warnings", ())
    ]


def make_volume(root: Path, source: SourceVolume, recipe: DatasetRecipe, overwrite: bool = False) -> dict[str, Any]:
    """
    Make the cases of a volume that :func:`check_volume` finds nothing wrong with.

    Args:
        root: the prepared data set; gets ``cases/<case_id>/*.nii[.gz]`` and, when these are there,
            ``volumes/<volume_id>.json``.
        overwrite: whether files of a case that were changed by hand may be replaced.

    Returns:
        the content of that JSON file.

    Raises:
        InputError: a volume that cannot be used, a case's folder with something in it that is not ours to replace.
    """
    loaded, problems = load_source(source, recipe.disease_name or "")
    if loaded is None:
        raise InputError(problems[0].sentence)
    cases, left_out = [], {}
    for facts, arrays in (_head if recipe.modalities else _cut)(source, loaded, recipe):
        if arrays is None:
            left_out[facts["case_id"]] = facts["reason"]
            continue
        files = _write_case(root, facts["case_id"], arrays, recipe, loaded.facts["synthetic"], overwrite)
        cases.append(facts | {"files": files})
    record = {
        "volume_id": source.volume_id,
        "patient": source.patient,
        "inputs": {role: {"name": path.name, "sha256": image_sha256(path)} for role, path in source.files().items()},
        "shape": list(loaded.scan.data.shape),
        "shows_pathology": bool(loaded.marked.any()),
        **loaded.facts,
        "cases": cases,
        "left_out": left_out,
    }
    place = root / record_name(source)
    make_folder(place.parent)
    write_json(place, record)
    return record


def finished_volume(root: Path, source: SourceVolume) -> dict[str, Any] | None:
    """What :func:`make_volume` wrote, if the input files have not changed since and every file is whole; else None."""
    try:
        record: dict[str, Any] = json.loads((root / record_name(source)).read_bytes())
        inputs = {role: entry["sha256"] for role, entry in record["inputs"].items()}
        cases = {case["case_id"]: [Path(name).name for name in case["files"].values()] for case in record["cases"]}
        patient = record["patient"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent, or not as it was written
        return None
    if inputs != {role: image_sha256(path) for role, path in source.files().items() if is_there(path)}:
        return None
    whole = all(is_complete(root / "cases" / case_id, files) for case_id, files in cases.items())
    return record if whole and patient == source.patient else None


def require_own_cases(root: Path, source: SourceVolume, overwrite: bool) -> None:
    """
    Before a volume is made again: see that its cases are ours to replace.

    Raises:
        InputError: something in a case's folder is somebody's.
    """
    try:
        cases = [str(case["case_id"]) for case in json.loads((root / record_name(source)).read_bytes())["cases"]]
    except (OSError, ValueError, KeyError, TypeError):  # nothing known of it; each folder is looked at when it is made
        return
    for case_id in cases:
        require_own_folder(root / "cases" / case_id, overwrite)


def record_name(source: SourceVolume) -> str:
    """The JSON file of a volume, relative to the prepared data set."""
    return f"volumes/{source.volume_id}.json"


def _check_use(source: SourceVolume, loaded: LoadedVolume, recipe: DatasetRecipe) -> None:
    if recipe.spatial_dims == 2:
        chosen_slices(recipe, loaded.pathology, loaded.brain, source.scan)
    if recipe.require_core and loaded.labels is None and loaded.marked.any():
        raise InputError(
            f"{source.pathology}: holds a binary mask, but --require_core asks for label 1 (necrotic core); give a map "
            f"of regions or leave the option out."
        )


def _cut(
    source: SourceVolume, loaded: LoadedVolume, recipe: DatasetRecipe
) -> Iterator[tuple[dict, dict[str, np.ndarray] | None]]:
    """Facts and arrays of every slice asked for, or of the volume; no arrays, but a reason, where there is no case."""
    disease, slices = DISEASES[recipe.disease_name or ""], recipe.spatial_dims == 2
    condition = "mask" if loaded.labels is None else "regions"
    for z in chosen_slices(recipe, loaded.pathology, loaded.brain, source.scan) if slices else [None]:
        part = np.s_[:, :, z] if slices else np.s_[...]
        case_id = f"{source.volume_id}_z{z:03d}" if slices else source.volume_id
        facts: dict[str, Any] = {"case_id": case_id, "slice_index": int(z) if slices else None}
        if not loaded.brain[part].any():
            yield facts | {"reason": NO_BRAIN}, None
            continue
        # The editor's own transform. It cuts what shows pathology only; where there is none, the brain stands in.
        shown = loaded.pathology if loaded.pathology[part].any() else loaded.brain
        cut = ToModelSpaced(
            slice_index=z if slices else "all",
            region="image",
            dilation=0,
            window=disease.window,
            percentile=disease.percentile,
            condition=condition,
            spatial_dims=recipe.spatial_dims,
        )({"scan": loaded.scan, "brain": loaded.brain, "pathology": shown, "regions": loaded.labels})
        arrays = {key: cut[key][0, 0].numpy() for key in ("image", "brain", "pathology")}
        if shown is loaded.brain:
            arrays["pathology"] = np.zeros_like(arrays["pathology"])
        regions = None
        if loaded.labels is not None:
            channels = cut["condition"][0].numpy()
            regions = np.tensordot(np.array(REGION_LABELS, np.float32), channels, 1) * arrays["pathology"]
        facts |= {"ceiling": cut["ceilings"][0], "model_to_world": _rounded(cut["space"].affine)}
        yield _sorted_out(facts, arrays, regions, bool(loaded.marked[part].any()), recipe.require_core)


def _head(
    source: SourceVolume, loaded: LoadedVolume, recipe: DatasetRecipe
) -> Iterator[tuple[dict, dict[str, np.ndarray] | None]]:
    """The same of a head on several modalities."""
    space, arrays, ceilings = head_on_grid(loaded, DISEASES[recipe.disease_name or ""], recipe.side)
    label = arrays[LABEL_KEY]
    facts: dict[str, Any] = {"case_id": source.volume_id, "slice_index": None, "ceilings": ceilings}
    facts |= {"model_to_world": _rounded(space.affine), "size_px": int(tumor_of(label).sum())}
    facts |= {"brain_px": int((label > 0).sum())}
    reason = NO_BRAIN if not facts["brain_px"] else ""
    if not reason and loaded.marked.any():
        reason = OUTSIDE if not facts["size_px"] else NO_CORE if recipe.require_core and not (label == 1).any() else ""
    yield (facts | {"reason": reason}, None) if reason else (facts, arrays)


def _sorted_out(
    facts: dict, arrays: dict[str, np.ndarray], regions: np.ndarray | None, marked: bool, require_core: bool
) -> tuple[dict, dict[str, np.ndarray] | None]:
    """Decide what a slice or volume is: with pathology, free of it, or left out."""
    size = int((arrays["pathology"] > 0).sum())
    facts = facts | {"size_px": size, "brain_px": int((arrays["brain"] > 0).sum())}
    if not facts["brain_px"]:
        return facts | {"reason": NO_BRAIN}, None
    if not marked:
        return facts, {"prior": arrays["image"], "prior_brain": arrays["brain"]}
    if not size:
        return facts | {"reason": OUTSIDE}, None
    if require_core and (regions is None or not (regions == 1).any()):
        return facts | {"reason": NO_CORE}, None
    kept = {key: arrays[key] for key in ("image", "brain", "pathology")}
    return facts, kept if regions is None else kept | {"regions": regions}


def _write_case(
    root: Path,
    case_id: str,
    arrays: Mapping[str, np.ndarray],
    recipe: DatasetRecipe,
    synthetic: bool,
    overwrite: bool,
) -> dict[str, str]:
    """Write a case's folder, which appears when it is whole; returns key → path relative to ``root``."""
    from mededit_monai.simulation.files import model_affine

    ending = "nii" if recipe.spatial_dims == 2 else "nii.gz"
    # Every case gets the same affine, that of the window: masks of one patient are laid over another's scan.
    shape = next(iter(arrays.values())).shape
    affine = model_affine(recipe.pixel_mm, shape if len(shape) == 3 else (*shape, 1))
    with finished_folder(root / "cases" / case_id, overwrite, clear=False) as unfinished:
        for key, array in arrays.items():
            data = np.asarray(array, dtype=np.float32 if key in IMAGES else np.uint8)
            if not np.isfinite(data).all():
                raise InputError(f"{case_id}: its {key} would hold NaN or infinite values; leave the volume out.")
            data = data[..., None] if data.ndim == 2 else data
            save_image(data, affine, unfinished / f"{key}.{ending}", SYNTHETIC_NOTE if synthetic else PREPARED_NOTE)
    return {key: f"cases/{case_id}/{key}.{ending}" for key in arrays}


def _rounded(affine: np.ndarray) -> list[list[float]]:
    return [[round(float(value), 9) + 0.0 for value in row] for row in affine]
