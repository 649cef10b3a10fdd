# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where anatomies come from: FreeSurfer label maps, T1 scans with a brain mask, or the template that nilearn ships."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.cluster.vq import kmeans

from mededit_monai.core.errors import InputError, say
from mededit_monai.core.paths import default_cache, user_path
from mededit_monai.datasets.sources import beside
from mededit_monai.diseases.canvas import TISSUES
from mededit_monai.io.case_names import stem
from mededit_monai.io.formats.registry import is_image
from mededit_monai.io.nifti import Volume, binary_mask, read_volume, require_same_grid, whole_values
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.simulation.anatomy_cache import cache_path, recall, store
from mededit_monai.simulation.prepared import PreparedAnatomy, brain_of_classes, prepare, soft_classes
from mededit_monai.simulation.tissues import LABELS, LARGEST_LABEL, REQUIRED, class_table
from mededit_monai.space.shapes import around, main_box

#: Name of the embedded anatomy, given in place of a folder.
TEMPLATE = "icbm152"

#: A label map holds few values, nearly all of them known; a T1 scan stored as integers holds hundreds.
MOST_LABELS, KNOWN_SHARE = 250, 0.9

_SUFFIXES = ("_brain", "_ventricles", "_mask")


def list_anatomies(folder: str | Path | None) -> list[str]:
    """
    Anatomies of a folder in the order of their names, as strings for :func:`load_anatomy`; the template for None.

    Raises:
        InputError: no such folder, one without NIfTI files, or two files of one name.
    """
    if folder is None or str(folder) == TEMPLATE:
        return [TEMPLATE]
    folder = user_path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of label maps or T1 scans with --anatomies.")
    files = [p for p in sorted(folder.iterdir()) if is_image(p) and not p.is_dir()]
    stems = {stem(p) for p in files}
    masks = {name + suffix for name in stems for suffix in _SUFFIXES}  # a mask is one only beside its scan
    files = [p for p in files if stem(p) not in masks and not p.name.startswith(".")]
    if not files:
        raise InputError(
            f"{folder}: holds no NIfTI files or other images; --anatomies wants a folder of FreeSurfer label maps or "
            f"T1 scans, or leave it out for the embedded template."
        )
    require_distinct(files, stem)
    return [str(p) for p in files]


def require_distinct(files: list[Path], stem: Callable[[Path], str]) -> None:
    """
    Refuse files that have one name without their endings: which one is meant cannot be known.

    Raises:
        InputError: names the first two.
    """
    found: dict[str, Path] = {}
    for path in files:
        other = found.setdefault(stem(path), path)
        if other is not path:
            raise InputError(
                f"{path}: has the same name as {other.name}, wanted one file a name; move one of them away."
            )


@lru_cache(maxsize=1)
def load_anatomy(name: str) -> PreparedAnatomy:
    """
    Read and prepare one anatomy; the last one is kept.

    Args:
        name: from :func:`list_anatomies`.

    Raises:
        InputError: unreadable file, label map without the labels needed, scan without a brain mask.
    """
    if name == TEMPLATE:
        return _template()
    path = Path(name)
    mask, ventricles = (beside(path, stem(path) + suffix) for suffix in ("_brain", "_ventricles"))
    kept = cache_path(default_cache(), [p for p in (path, mask, ventricles) if p is not None and p.is_file()])
    anatomy = recall(kept)
    if anatomy is None:
        volume = read_volume(path)
        for warning in volume.warnings:
            say(f"warning: {warning}")
        labels = mask is None and is_label_map(volume.data)
        anatomy = _from_labels(volume) if labels else _from_scan(volume, mask, ventricles)
        store(anatomy, kept)
    return anatomy


def is_label_map(data: np.ndarray) -> bool:
    """Whether voxels look like FreeSurfer labels rather than intensities."""
    part = data[::3, ::3, ::3]
    if part.max() > LARGEST_LABEL or part.min() < 0 or not np.array_equal(part, np.rint(part)):
        return False
    counts = np.bincount(part.astype(np.int64).ravel())
    found = np.flatnonzero(counts)
    found = found[found > 0]
    known = np.isin(found, [n for group in LABELS.values() for n in group]) | (found >= 500)
    inside = counts[found].sum()
    return 0 < len(found) <= MOST_LABELS and counts[found[known]].sum() >= KNOWN_SHARE * inside


def _from_labels(volume: Volume) -> PreparedAnatomy:
    whole = whole_values(volume)
    odd = whole[(whole != np.rint(whole)) | (whole < 0) | (whole > LARGEST_LABEL)]
    if odd.size:
        raise InputError(
            f"{volume.path}: holds the value {float(odd[0]):g} among labels, wanted whole numbers from 0 to "
            f"{LARGEST_LABEL}; resample it with nearest-neighbour interpolation, or repair it."
        )
    labels = whole.astype(np.int32)
    present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
    for what, sides in REQUIRED.items():
        for side, numbers in zip(("left", "right"), sides):
            parcels = what == "cerebral cortex" and any(1000 < n < 13000 for n in present)
            if not present & set(numbers) and not parcels:
                shown = ", ".join(map(str, sorted(present)[:12])) + (", …" if len(present) > 12 else "")
                raise InputError(
                    f"{volume.path}: has no label {numbers[0]} ({side} {what}), found {shown}; wanted FreeSurfer "
                    f"labels, for example from SynthSeg or recon-all."
                )
    classes = class_table()[labels]
    classes = _to_millimetres(_around(classes, (classes > 0) & (classes != TISSUES.index("fluid") + 1)), volume.spacing)
    brain = brain_of_classes(classes)
    cerebrum = np.isin(classes, [TISSUES.index("white") + 1, TISSUES.index("cortex") + 1])
    return prepare(stem(volume.path), "labels", soft_classes(classes), brain, cerebrum)


def _from_scan(volume: Volume, mask: Path | None, ventricles: Path | None) -> PreparedAnatomy:
    if mask is not None:
        brain = binary_mask(_read_beside(mask, volume))
    else:
        try:
            brain = brain_from_background(volume)
        except InputError as error:
            raise InputError(
                f"{str(error).split(';')[0]}; put its brain mask beside it as {stem(volume.path)}_brain.nii.gz, or "
                f"give a FreeSurfer label map instead."
            ) from error
    lateral = None
    if ventricles is not None:
        whole = whole_values(_read_beside(ventricles, volume))
        lateral = _to_millimetres(_around(whole, brain), volume.spacing).astype(np.uint8)
        if not np.isin(whole, (0, 1, 2)).all() or not lateral.any():
            raise InputError(
                f"{ventricles}: holds values {np.unique(whole)[:8].tolist()}, wanted 0, 1 (left) and 2 (right "
                f"lateral ventricle), or 0 and 1 for both, in the brain; correct it or take it away."
            )
    intensity = _to_millimetres(_around(volume.data, brain), volume.spacing, order=1)
    brain = _to_millimetres(_around(brain, brain).astype(np.uint8), volume.spacing) > 0
    intensity = np.clip(intensity / max(float(np.percentile(intensity[brain], 95)), 1e-6), 0, 1.4)
    fractions = tissue_fractions(intensity, brain)
    if lateral is None:
        lateral = deep_fluid(fractions[..., TISSUES.index("fluid")] > 0.5, brain)
    else:
        lateral = split_sides(lateral, brain)
    place_ventricles(fractions, lateral)
    return prepare(stem(volume.path), "scan", fractions, brain, intensity=intensity)


def _template() -> PreparedAnatomy:
    """The ICBM 152 2009a template with its own tissue maps."""
    from mededit_monai.simulation.anatomy import icbm152

    brain = icbm152()
    fractions = np.zeros((*brain.t1.shape, len(TISSUES)), dtype=np.float32)
    fractions[..., TISSUES.index("cortex")] = brain.gray
    fractions[..., TISSUES.index("white")] = brain.white
    fractions[..., TISSUES.index("fluid")] = np.clip(1 - brain.gray - brain.white, 0, 1) * brain.brain
    place_ventricles(fractions, brain.ventricles)
    intensity = np.clip(brain.t1 / np.percentile(brain.t1[brain.brain], 95), 0, 1.4)
    inside = brain.gray + brain.white > 0.5
    inside[..., : int(np.argmin(np.abs(brain.affine[2, 3] + np.arange(brain.t1.shape[2]) + 45)))] = False
    return prepare(TEMPLATE, "template", fractions, brain.brain, inside, intensity)


def tissue_fractions(intensity: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """
    Fluid, gray and white matter of a T1 scan by the three means of its intensities; XxYxZxC, float32.

    Rough, but enough to know where fluid is: the scan keeps its own appearance.
    """
    fluid, gray, white = tissue_means(intensity[brain])
    fractions = np.zeros((*brain.shape, len(TISSUES)), dtype=np.float32)
    brightness = np.where(brain, intensity, fluid)
    share_white = np.clip((brightness - gray) / max(white - gray, 1e-6), 0, 1)
    share_fluid = np.clip((gray - brightness) / max(gray - fluid, 1e-6), 0, 1)
    fractions[..., TISSUES.index("white")] = share_white * brain
    fractions[..., TISSUES.index("fluid")] = share_fluid * brain
    fractions[..., TISSUES.index("cortex")] = (1 - share_white - share_fluid) * brain
    return fractions


def tissue_means(inside: np.ndarray) -> tuple[float, float, float]:
    """Means of fluid, gray and white matter in a T1's brain (intensities, N); of few values the last is repeated."""
    spread = np.quantile(inside, np.linspace(0.005, 0.995, 2000)).astype(np.float64)
    start = np.quantile(spread, (0.04, 0.35, 0.8))
    found = np.sort(kmeans(spread, start, seed=0)[0])  # without clusters that stayed empty
    fluid, gray, white = np.pad(found, (0, 3 - len(found)), "edge")
    return float(fluid), float(gray), float(white)


def deep_fluid(fluid: np.ndarray, brain: np.ndarray, depth_mm: float = 20.0, step: int = 1) -> np.ndarray:
    """
    Lateral ventricles of a scan without ventricle mask: large pieces of fluid deeper than ``depth_mm``, split in two.

    Args:
        fluid, brain: bool, XxYxZ RAS, 1 mm.
        step: the depth is known on every so many points, so to about as many mm.

    Returns:
        uint8, 1 left and 2 right; all 0 where nothing of at least 1 ml is found.
    """
    deep = ndimage.distance_transform_edt(brain[::step, ::step, ::step], sampling=step) > depth_mm
    for axis in range(3 if step > 1 else 0):
        deep = np.repeat(deep, step, axis)
    deep = deep[tuple(slice(0, n) for n in brain.shape)]
    low = int(main_box(brain)[2, 0])
    deep[..., : low + 55] = False  # fourth ventricle and basal cisterns
    labels, count = ndimage.label(ndimage.binary_opening(fluid & deep))
    sizes = np.bincount(labels.ravel())[1:] if count else np.zeros(0)
    large = 1 + np.flatnonzero(sizes >= 1000)
    return split_sides(np.isin(labels, large).astype(np.uint8), brain)


def split_sides(lateral: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A ventricle mask (0, 1) split at the brain's middle into 1 left and 2 right; one with sides is kept."""
    if lateral.max() == 2:
        return lateral
    middle = main_box(brain)[0].mean()
    side = np.where(np.arange(brain.shape[0]) < middle, 1, 2)[:, None, None]
    return np.where(lateral > 0, side, 0).astype(np.uint8)


def place_ventricles(fractions: np.ndarray, lateral: np.ndarray) -> None:
    """Move fluid of the lateral ventricles (1 left, 2 right) into their own channels, in place."""
    fluid = TISSUES.index("fluid")
    for side in (1, 2):
        inside = ndimage.binary_dilation(lateral == side) & (lateral != 3 - side)
        fractions[..., TISSUES.index("left_ventricle") + side - 1] = np.where(inside, fractions[..., fluid], 0)
        fractions[..., fluid][inside] = 0


def _to_millimetres(data: np.ndarray, spacing: tuple[float, float, float], order: int = 0) -> np.ndarray:
    """Resample to 1 mm voxels along the array's axes."""
    if np.allclose(spacing, 1, atol=0.02):
        return data
    return ndimage.zoom(data, spacing, order=order, mode="nearest", grid_mode=True)


def _around(data: np.ndarray, mask: np.ndarray, margin: int = 16) -> np.ndarray:
    """Cut to a mask's bounding box and a margin: everything after works on a third of the voxels."""
    return data[around(mask, margin)]


def _read_beside(path: Path, scan: Volume) -> Volume:
    """A mask of a scan's, on its grid; what is odd about it is said."""
    volume = read_volume(path)
    for warning in (*volume.warnings, require_same_grid(volume, scan)):
        if warning:
            say(f"warning: {warning}")
    return volume
