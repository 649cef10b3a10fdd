# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The embedded cohort: stroke slices with their true counterfactual, drawn from one template.

A first, small cohort, enough to train the stroke bundle with no data at hand. Every case is a pair (the same brain with
and without the lesion) that shares contrast, field and noise, so outside the lesion and the displaced tissue the two
images are the same bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from tqdm import tqdm

from mededit_monai.simulation.anatomy import Anatomy, icbm152
from mededit_monai.simulation.appearance import paint_t1, rician, scanner_field, scanner_noise
from mededit_monai.simulation.deformation import ex_vacuo, expansion, random_displacement, warp
from mededit_monai.simulation.lesion import paint_stroke, random_stroke
from mededit_monai.transforms.geometry import ModelGrid
from mededit_monai.transforms.intensity import intensity_ceiling, to_unit

#: Part of the cache's name: raise it whenever the same seed gives other bytes.
RECIPE_VERSION = 1

#: Axial slices that a case may come from: from the thalamus to the roof of the lateral ventricles and above.
SLICES = (70, 116)

#: Size strata of the thesis (area at 128×128) whose bounds the lesion areas are drawn between, log-uniformly.
AREA_MM2 = (12.0, 6000.0)

IMAGES, MASKS = ("image", "prior"), ("brain", "prior_brain", "pathology", "ventricles", "prior_ventricles")


def simulate_stroke(anatomy: Anatomy, rng: np.random.Generator) -> dict:
    """
    One simulated pair on the model's grid.

    Returns:
        ``image``, ``prior``: 128x128 float32 in [0, 1]; ``brain``, ``prior_brain``, ``pathology``: 128x128 bool;
        ``ventricles``, ``prior_ventricles``: 128x128 uint8, 1 left and 2 right; ``parameters``: what was drawn.
    """
    z = int(rng.integers(*SLICES))
    planes = _slice(anatomy, z, flip=bool(rng.random() < 0.5))
    shape = planes["t1"].shape

    # The person: own shape, own ventricle size.
    person = random_displacement(shape, rng)
    growth = float(rng.uniform(-2.0, 5.0))
    person = person + expansion(planes["ventricles"] > 0, growth)
    planes = {k: warp(v, person, order=0 if k in ("ventricles", "brain") else 1) for k, v in planes.items()}

    # The lesion and its indirect effect.
    parenchyma = planes["brain"] & (planes["gray"] + planes["white"] > 0.6) & (planes["ventricles"] == 0)
    wanted = float(np.exp(rng.uniform(*np.log(AREA_MM2))))
    lesion = random_stroke(parenchyma, wanted, rng)
    gain = float(rng.uniform(0.08, 0.16))
    pull = ex_vacuo(planes["ventricles"], lesion, gain)
    ventricles = warp(planes["ventricles"], pull, order=0)
    lesion = lesion & (ventricles == 0)
    if not lesion.any():  # the grown ventricle swallowed a tiny lesion
        return simulate_stroke(anatomy, rng)

    # The scan: same contrast, field and noise with and without the lesion.
    clean, fluid = paint_t1(planes["gray"], planes["white"], planes["brain"], planes["t1"], rng)
    with_lesion, drawn = paint_stroke(warp(clean, pull), lesion, fluid, rng)
    field, noise = scanner_field(shape, rng), scanner_noise(shape, rng)
    prior, image = (rician(x * field, noise) * planes["brain"] for x in (clean, with_lesion))

    grid = ModelGrid(spacing=(1.0, 1.0), start=(0, 0), window=shape[0])
    ceiling = intensity_ceiling(prior, 98)
    brain = grid.mask_to_model(planes["brain"])
    case = {"brain": brain, "prior_brain": brain, "pathology": grid.mask_to_model(lesion) & brain}
    for key, plane in (("image", image), ("prior", prior)):
        case[key] = grid.to_model(to_unit(plane, ceiling)) * brain
    for key, labels in (("ventricles", ventricles), ("prior_ventricles", planes["ventricles"])):
        halves = [grid.to_model(labels == side) >= 0.5 for side in (1, 2)]
        case[key] = (halves[0] + 2 * halves[1]).astype(np.uint8)
    if not case["pathology"].any():
        return simulate_stroke(anatomy, rng)
    largest = float(np.sqrt((pull**2).sum(0)).max())
    case["parameters"] = {
        "anatomy": anatomy.name,
        "slice": z,
        "ventricle_growth_mm": growth,
        "largest_pull_mm": largest,
    }
    case["parameters"] |= {"area_px": int(case["pathology"].sum()), "gain": gain, **drawn}
    return case


def write_embedded_cohort(root: str | Path, cases: int, validation: int, seed: int, progress: bool = True) -> Path:
    """
    Write the embedded cohort once and return its datalist; a second call with the same arguments reads it back.

    Args:
        root: cache folder; the cohort gets a folder of its own in it, named by recipe, size and seed.
        cases: training cases.
        validation: validation cases (same template, other seeds: the full simulator splits by anatomy).
        seed: case k depends on (seed, k) only, whatever the size of the cohort.

    Returns:
        path of ``datalist.json`` (keys of the interface, relative paths, lists ``training`` and ``validation``).
    """
    folder = Path(root) / f"embedded_stroke_v{RECIPE_VERSION}_{cases}+{validation}_seed{seed}"
    datalist = folder / "datalist.json"
    if datalist.is_file():
        return datalist
    anatomy = icbm152()
    listed: dict[str, list] = {"training": [], "validation": []}
    bar = tqdm(total=cases + validation, desc="simulating the embedded cohort", disable=not progress)
    for split, count in (("training", cases), ("validation", validation)):
        for k in range(count):
            listed[split].append(_write_case(folder, anatomy, split, k, seed))
            bar.update()
    bar.close()
    content = {
        "name": folder.name,
        "description": "Simulated stroke slices (synthetic; research use only).",
        "synthetic": True,
        "seed": seed,
        **listed,
    }
    unfinished = datalist.with_suffix(".json.tmp")
    unfinished.write_text(json.dumps(content, indent=1))
    os.replace(unfinished, datalist)  # the list appears only when every case is there
    return datalist


def case_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """A case's own random stream: depends on (seed, split, index) and nothing else."""
    digest = hashlib.sha256(f"{seed}/{split}/{index}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def default_cache() -> Path:
    """``$MEDEDIT_CACHE``, else the user's cache folder."""
    base = os.environ.get("MEDEDIT_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mededit_monai"


def _slice(anatomy: Anatomy, z: int, flip: bool) -> dict[str, np.ndarray]:
    """Axial planes of an anatomy on the stroke bundle's 1 mm window, mirrored if asked (labels follow the side)."""
    grid = anatomy.grid
    volumes = {"t1": anatomy.t1, "gray": anatomy.gray, "white": anatomy.white}
    planes = {name: grid.to_millimetres(volume[:, :, z]) for name, volume in volumes.items()}
    planes["brain"] = grid.to_millimetres(anatomy.brain[:, :, z], order=0) > 0
    planes["ventricles"] = grid.to_millimetres(anatomy.ventricles[:, :, z], order=0).astype(np.uint8)
    if flip:
        planes = {name: plane[::-1].copy() for name, plane in planes.items()}
        planes["ventricles"] = np.choose(planes["ventricles"], (0, 2, 1)).astype(np.uint8)
    planes["brain"] = ndimage.binary_opening(planes["brain"], iterations=2)
    return planes


def _write_case(folder: Path, anatomy: Anatomy, split: str, index: int, seed: int) -> dict:
    case = simulate_stroke(anatomy, case_rng(seed, split, index))
    case_id = f"{split}_{index:05d}"
    place = folder / case_id
    place.mkdir(parents=True, exist_ok=True)
    pixel = 233 / 128
    affine = np.diag([pixel, pixel, 1.0, 1.0])
    entry: dict = {"case_id": case_id, "patient": case_id, "lesion_id": case_id, "split": split}
    for key in (*IMAGES, *MASKS):
        dtype = np.float32 if key in IMAGES else np.uint8
        image = nib.Nifti1Image(np.ascontiguousarray(case[key][..., None], dtype=dtype), affine)
        image.header["descrip"] = b"synthetic, mededit_monai, research use only"
        nib.save(image, place / f"{key}.nii")
        entry[key] = f"{case_id}/{key}.nii"
    (place / "parameters.json").write_text(json.dumps(case["parameters"] | {"synthetic": True}, indent=1))
    return entry
