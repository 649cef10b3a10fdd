# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From what is asked for to a mask on a scan's grid: within the brain, outside the ventricles, with its facts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import Disease
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.io.nifti import Volume, read_volume, require_same_grid, whole_values
from mededit_monai.lesions.drawn import infarct, irregular
from mededit_monai.lesions.grid import carried, carried_labels, shaped
from mededit_monai.lesions.masks import GivenMask, mask_facts, random_mask, read_mask
from mededit_monai.lesions.mni import MniSpace, mni_space
from mededit_monai.lesions.places import Places, shipped
from mededit_monai.lesions.territories import SIDES, shares_of, side_of
from mededit_monai.lesions.tissue import Tissue, tissue_of
from mededit_monai.lesions.wanted import Wanted
from mededit_monai.prepare.brats_labels import ambiguous_label_4, refuse_other_labels
from mededit_monai.prepare.plausible import LESION_SHARE
from mededit_monai.simulation.lesion_library import mask_or_labels
from mededit_monai.space.shapes import bounding_box, depth_in, main_box

#: A lesion of fewer voxels is said to be small.
FEW_VOXELS = 8

#: A lesion of which more than the first share lies outside the brain is not placed; above the second, or the third of
#: it in ventricles, it is said to be cut.
OUTSIDE_SHARE, OUTSIDE_SAID, VENTRICLE_SHARE = 0.5, 0.01, 0.05

#: A tumour's core, and core and rim, as shares of its volume: balls of 45 % and 65 % of the radius.
CORE_SHARE, RIM_SHARE = 0.45**3, 0.65**3


@dataclass(frozen=True, eq=False)
class Placed:
    """
    Args:
        mask: bool, XxYxZ RAS, on the scan's grid.
        facts: for JSON.
        warnings: sentences.
        spacing: mm, of a voxel.
        drawn: labels that the lesion was drawn with, by us or in its file, if it was.
        mni: MNI space of the scan, if it was needed.
    """

    mask: np.ndarray
    facts: dict[str, Any]
    warnings: list[str]
    spacing: tuple[float, float, float]
    drawn: np.ndarray | None = None
    mni: MniSpace | None = None

    @cached_property
    def labels(self) -> np.ndarray:
        """Of a tumour at each of its voxels, uint8: 1 core, 2 edema, 3 enhancing rim; 0 outside."""
        found = _layers(self.mask, self.spacing) if self.drawn is None else self.drawn
        return np.where(self.mask, found, 0).astype(np.uint8)


@dataclass
class _Scene:
    """What is looked up once for a lesion."""

    scan: Volume
    brain: np.ndarray
    disease: Disease
    seed: int
    regions: bool = False
    mni: MniSpace | None = None
    tissue: Tissue | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def to_scan(self) -> np.ndarray:
        """mm of the lesion's space → world mm of the scan."""
        return np.eye(4) if self.mni is None else self.mni.to_scan

    @property
    def to_space(self) -> np.ndarray:
        """Voxel of the scan → mm of the lesion's space."""
        found: np.ndarray = np.linalg.inv(self.to_scan) @ self.scan.affine
        return found


def placed(
    wanted: Wanted,
    scan: Volume,
    brain: np.ndarray,
    disease: Disease,
    seed: int = 0,
    keep_ventricles: bool = False,
    places: Places | None = None,
    mni: MniSpace | None = None,
    brain_source: str = "file",
    regions: bool = False,
) -> Placed:
    """
    Place a lesion in a scan.

    Args:
        wanted: checked.
        scan: T1; brain: bool, XxYxZ RAS, not empty.
        disease: whose strata are meant.
        seed: of whatever is drawn or chosen at random.
        keep_ventricles: whether ventricles that the lesion covers stay in the mask.
        places: where lesions are drawn; None: where real strokes were.
        mni: MNI space of the scan, if it is known already.
        brain_source: where the brain mask came from, for the preparation.
        regions: whether its labels are asked for: a mask's own are taken along then, and if it has none, it is warned
            that they are made up.

    Raises:
        InputError: unusable mask, labels that mean something else, no registration, an empty result, or one that lies
            mostly outside the brain.
    """
    scene = _Scene(scan, brain, disease, seed, regions)
    given, in_mni = _given(wanted, scene) if wanted.kind in ("mask", "random") else (None, wanted.in_mni)
    if in_mni:  # last of all: a registration takes its time
        scene.mni = mni or mni_space(scan, brain, brain_source)
        scene.warnings += scene.mni.warnings
    if wanted.kind == "drawn" or not keep_ventricles:
        even = scene.mni.preparation.even if scene.mni and scene.mni.preparation else scan  # without its bias field
        scene.tissue = tissue_of(even, brain, None if scene.mni is None else scene.to_scan)
    drawn = None
    if wanted.kind == "irregular":
        mask, drawn = irregular(scan, brain, _native_centre(wanted, scene), _radius(wanted, scene), seed)
    elif given is not None:
        mask, drawn = _carried(given, scene)
    elif wanted.kind == "drawn":
        mask = _infarct(wanted, scene, places or shipped())
    else:
        mask = shaped(wanted.kind, np.array(wanted.centre), np.array(wanted.radii), scene.to_space, brain.shape)
    mask = _cut(mask, scene, keep_ventricles)
    _note_facts(mask, wanted, scene)
    return Placed(mask, scene.facts, scene.warnings, scan.spacing, drawn, scene.mni)


def _given(wanted: Wanted, scene: _Scene) -> tuple[GivenMask, bool]:
    """A mask of somebody's, and whether it is in MNI space; what it is goes to the facts."""
    in_mni = wanted.in_mni
    if wanted.kind == "random":
        given, about = random_mask(wanted, scene.disease, scene.seed)
        scene.facts["mask_in_mni"] = dataclasses.asdict(about)
    else:
        volume = read_volume(user_path(str(wanted.mask)))
        if not in_mni and _same_grid(volume, scene.scan, wanted.space):
            given = GivenMask(volume.path, mask_or_labels(volume), volume.affine, volume.warnings)
        else:
            given = read_mask(volume.path, in_mni)
            if in_mni:
                scene.facts["mask_in_mni"] = dataclasses.asdict(mask_facts(volume.path))
    scene.facts |= {"file": str(given.path), "file_sha256": image_sha256(given.path)}
    scene.warnings += [*given.warnings, *(_label_warnings(given) if scene.regions else [])]
    return given, in_mni


def _label_warnings(given: GivenMask) -> list[str]:
    """What is doubtful about a mask's labels as regions of a tumour; InputError where they are others."""
    if not _has_labels(given):
        return [
            f"{given.path.name}: is a mask without labels, so the layout of the tumour's regions in it is made up "
            f"(core in its depth, then rim, edema around); give a map of 1 core, 2 edema and 3 rim to say it."
        ]
    values = np.unique(whole_values(read_volume(given.path))).tolist()
    refuse_other_labels(given.path, values, regions=True)
    doubt = ambiguous_label_4(values, given.path)
    return [doubt] if doubt else []


def _has_labels(given: GivenMask) -> bool:
    return given.voxels.dtype != bool and int(given.voxels.max()) > 1


def _same_grid(mask: Volume, scan: Volume, space: str | None) -> bool:
    """Whether a mask lies on the scan's grid; InputError if it does not and nobody says whose mm it is in."""
    try:
        require_same_grid(mask, scan)
    except InputError as error:
        if space is None:
            raise InputError(
                f"{mask.path}: lies on another grid than {scan.path}; say in whose space it is: native (the scan's "
                f"mm) or mni."
            ) from error
        return False
    return True


def _carried(given: GivenMask, scene: _Scene) -> tuple[np.ndarray, np.ndarray | None]:
    """A mask of somebody's on the scan's grid, and its labels there where they are asked for and it has some."""
    to_mask = np.linalg.inv(given.affine) @ scene.to_space
    mask = carried(np.asarray(given.voxels) > 0, to_mask, scene.brain.shape)
    if not mask.any():
        raise InputError(
            f"{given.path}: does not reach into the scan {scene.scan.path}; check the space (native or mni) and "
            f"both headers."
        )
    labels = carried_labels(given.voxels, to_mask, mask) if scene.regions and _has_labels(given) else None
    return mask, labels


def _infarct(wanted: Wanted, scene: _Scene, places: Places) -> np.ndarray:
    if scene.tissue is None:
        raise InputError(f"{scene.scan.path}: its brain is far too large or too thin to draw in; give a shape instead.")
    made = infarct(wanted, scene.tissue, scene.disease, places, scene.seed, scene.scan.path)
    scene.facts["drawn"] = {
        "stratum": made.stratum,
        "side": made.side,
        "territory": made.territory,
        "grown_from_mni_mm": [round(n, 1) for n in made.centre],
        "place": places.about if made.place == "table" else "anywhere in the territory",
    }
    to_mask = np.linalg.inv(scene.tissue.affine) @ scene.to_space
    return carried(made.mask, to_mask, scene.brain.shape)


def _native_centre(wanted: Wanted, scene: _Scene) -> tuple[float, ...] | None:
    if wanted.centre is None or scene.mni is None:
        return wanted.centre
    return tuple(float(n) for n in (scene.to_scan @ [*wanted.centre, 1.0])[:3])


def _radius(wanted: Wanted, scene: _Scene) -> float:
    scale = abs(float(np.linalg.det(scene.to_scan[:3, :3]))) ** (1 / 3)
    return wanted.radii[0] * scale if wanted.radii else 14.0


def _cut(mask: np.ndarray, scene: _Scene, keep_ventricles: bool) -> np.ndarray:
    """The part inside the brain and outside its ventricles."""
    total, inside = int(mask.sum()), mask & scene.brain
    share = int(inside.sum()) / total if total else 0.0
    if share <= 1 - OUTSIDE_SHARE or not inside.any():
        where = "outside the brain" if total else "outside the scan"
        raise InputError(
            f"{scene.scan.path}: the lesion would lie {'mostly ' if inside.any() else ''}{where} ({int(inside.sum())} "
            f"of {total} voxels inside it); choose another place, or check the space (native or "
            f"mni) and the brain mask."
        )
    covered = int(inside.sum()) / int(scene.brain.sum())
    if covered > LESION_SHARE[1]:
        raise InputError(
            f"{scene.scan.path}: the lesion would cover {covered:.0%} of the brain, far too much for one; make it "
            f"smaller, and see that a mask is not inverted."
        )
    if covered > LESION_SHARE[0]:
        scene.warnings.append(f"the lesion covers {covered:.0%} of the brain; check the mask.")
    if share < 1 - OUTSIDE_SAID:
        scene.warnings.append(f"{1 - share:.1%} of the lesion lies outside the brain and was cut off.")
    scene.facts["cut_outside_brain"] = round(1 - share, 4)
    if keep_ventricles or scene.tissue is None or not scene.tissue.ventricles.any():
        return inside
    to_points = np.linalg.inv(scene.tissue.affine) @ scene.to_space
    part = tuple(slice(a, b + 1) for a, b in bounding_box(inside))
    offset = to_points[:3, :3] @ [side.start for side in part] + to_points[:3, 3]
    shape = tuple(side.stop - side.start for side in part)
    fluid = ndimage.affine_transform(
        scene.tissue.ventricles.astype(np.float32), to_points[:3, :3], offset, shape, np.float32, 1, "grid-constant"
    )
    left = inside.copy()
    left[part] &= fluid < 0.5
    cut = 1 - int(left.sum()) / int(inside.sum())
    if not left.any():
        raise InputError(
            f"{scene.scan.path}: the lesion would lie in a ventricle alone; choose another place ('mededit lesion "
            f"--keep_ventricles' makes a mask there)."
        )
    scene.facts["cut_in_ventricles"] = round(cut, 4)
    if cut > VENTRICLE_SHARE:
        scene.warnings.append(f"{cut:.1%} of the lesion lies in ventricles and was cut off.")
    return left


def _layers(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Labels of a tumour of any shape, by depth: the deepest part its core, then the rim, edema around."""
    depth = depth_in(mask, spacing)
    order = np.argsort(-depth[mask], kind="stable")
    rank = np.empty(len(order))
    rank[order] = (np.arange(len(order)) + 0.5) / len(order)
    found = np.zeros(mask.shape, np.uint8)
    found[mask] = np.select([rank < CORE_SHARE, rank < RIM_SHARE], [1, 3], 2)
    return found


def _note_facts(mask: np.ndarray, wanted: Wanted, scene: _Scene) -> None:
    """What the mask is, for JSON; and that it is small, if it is."""
    scan, voxels = scene.scan, np.argwhere(mask)
    points = voxels @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    ml = len(voxels) * scan.voxel_ml
    about: dict[str, Any] = {
        "source": wanted.kind,
        "asked": wanted.asked(),
        "seed": scene.seed,
        "voxels": len(voxels),
        "volume_ml": round(ml, 4),
        "stratum": scene.disease.stratum_of_volume(ml),
        "brain_share": round(len(voxels) / int(scene.brain.sum()), 6),
        "centre_mm": points.mean(axis=0).round(2).tolist(),
    }
    if scene.mni is not None:
        in_mni = scene.mni.from_scan(points)
        shares = shares_of(in_mni)
        about |= {"centre_mni_mm": in_mni.mean(axis=0).round(2).tolist(), "side": side_of(in_mni[:, 0])}
        about |= {"territory": next(iter(shares)), "territory_shares": shares, "mni_space": scene.mni.how}
        about["mni_to_scan"] = scene.mni.to_scan.round(6).tolist()
    else:
        ends = main_box(scene.brain)[0]  # the brain's middle, along the axis that points to the patient's right
        about |= {"centre_mni_mm": None, "side": side_of(voxels[:, 0] - ends.mean())}
    scene.facts = about | scene.facts
    asked = scene.facts.get("drawn", {}).get("side")
    if asked in SIDES and about["side"] != asked:
        scene.warnings.append(f"the lesion was asked for on the {asked}, but lies on {about['side']} sides.")
    if len(voxels) < FEW_VOXELS:
        size = " x ".join(f"{mm:g}" for mm in scan.spacing)
        radius = f"radius {wanted.radii[0]:g} mm, " if wanted.radii else ""
        scene.warnings.append(
            f"the lesion has {len(voxels)} voxel{'s' if len(voxels) > 1 else ''} only ({radius}voxels of {size} mm); "
            f"a larger {'radius' if wanted.radii else 'one'} gives it a shape."
        )
