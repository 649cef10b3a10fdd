# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small trees of files with the names, affines and data types of the real downloads."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

#: MNI152NLin2009aSym, as ATLAS v2.0 has it: slice 95 is z = 23 mm.
ATLAS_SHAPE = (197, 233, 189)
ATLAS_AFFINE = np.array([[1.0, 0, 0, -98], [0, 1, 0, -134], [0, 0, 1, -72], [0, 0, 0, 1]])

#: BraTS is stored toward left and back.
BRATS_SHAPE = (240, 240, 155)
BRATS_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])

#: Coarse stand-ins that keep the tests fast: 10 axial slices.
SMALL_SHAPE = (60, 70, 10)
SMALL_AFFINE = np.diag([3.0, 3.0, 10.0, 1.0])
SMALL_BRAIN = (slice(10, 50), slice(10, 60), slice(1, 9))

Box = tuple[slice, slice, slice]


def save(path: Path, array: np.ndarray, affine: np.ndarray, dtype=np.float32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array.astype(dtype), affine), path)
    return path


def boxes(shape: tuple[int, ...], *parts: tuple[float, Box]) -> np.ndarray:
    """Zeros with boxes of values put in one after the other."""
    array = np.zeros(shape, dtype=np.float32)
    for value, box in parts:
        array[box] = value
    return array


def lesion_box(side: int, z: int = 4, x: int = 20, y: int = 25) -> Box:
    """A lesion of side x side voxels in one slice of the small stand-in."""
    return slice(x, x + side), slice(y, y + side), slice(z, z + 1)


def atlas_case(
    root: Path, subject: str = "r001s001", lesion: Box | None = None, brain: bool = False, part: str = "Training"
) -> Path:
    """A small ATLAS scan, skull-stripped unless its brain mask is written too (then the head fills the volume)."""
    folder = root / part / subject[:4].upper() / f"sub-{subject}" / "ses-1" / "anat"
    start = f"sub-{subject}_ses-1_space-MNI152NLin2009aSym"
    head = boxes(SMALL_SHAPE, (100, SMALL_BRAIN))
    if brain:
        save(folder / f"{start}_desc-brain_mask.nii.gz", head > 0, SMALL_AFFINE, np.uint8)
        head[head == 0] = 30
    save(folder / f"{start}_T1w.nii.gz", head, SMALL_AFFINE)
    mask = boxes(SMALL_SHAPE, (1, lesion)) if lesion else boxes(SMALL_SHAPE)
    save(folder / f"{start}_label-L_desc-T1lesion_mask.nii.gz", mask, SMALL_AFFINE, np.uint8)
    return folder / f"{start}_T1w.nii.gz"


def atlas_tree(root: Path, sides: list[int | None]) -> Path:
    """Subjects r001s001, r001s002 … with a lesion of these sides, or none, in slice 4."""
    for number, side in enumerate(sides, start=1):
        atlas_case(root, f"r001s{number:03d}", lesion_box(side) if side else None)
    return root


def brats_case(
    root: Path, name: str = "BraTS-GLI-00000-000", labels: dict[int, Box] | None = None, scan: str = "t1c"
) -> Path:
    """A small BraTS case in the naming of 2023 (hyphens) or before (underscores)."""
    mark = "-" if name.startswith("BraTS-") else "_"
    image = boxes(SMALL_SHAPE, (500, SMALL_BRAIN))
    labels = {2: lesion_box(9), 1: lesion_box(4), 3: lesion_box(2)} if labels is None else labels
    segmentation = boxes(SMALL_SHAPE, *((float(value), box) for value, box in labels.items()))
    affine = SMALL_AFFINE * np.array([-1, -1, 1, 1])
    save(root / name / f"{name}{mark}seg.nii.gz", segmentation, affine, np.uint8)
    for other in ("t1n", "t2w", "t2f"):  # there in the download, not read
        (root / name / f"{name}{mark}{other}.nii.gz").write_bytes(b"")
    return save(root / name / f"{name}{mark}{scan}.nii.gz", image, affine, np.int16)


#: A tumour of three parts in the small stand-in, each in the one before; the brain's centre is (29.5, 34.5, 4.5).
TUMOR = {
    2: (slice(18, 34), slice(24, 40), slice(2, 7)),
    1: (slice(20, 32), slice(26, 38), slice(3, 6)),
    3: (slice(20, 26), slice(26, 38), slice(3, 6)),
}

#: Modality → its name since 2023, and what healthy brain, core, edema and enhancing tumour are there.
LEVELS = {
    "t1": ("t1n", (400, 100, 300, 350)),
    "t1ce": ("t1c", (400, 100, 300, 800)),
    "t2": ("t2w", (200, 600, 500, 300)),
    "flair": ("t2f", (200, 150, 500, 300)),
}


def brats_head(root: Path, name: str = "BraTS-GLI-00000-000", labels: dict[int, Box] | None = None) -> Path:
    """A small case with all four modalities, in the naming of 2023 (hyphens) or before (underscores); its folder."""
    since = name.startswith("BraTS-")
    mark, affine = "-" if since else "_", SMALL_AFFINE * np.array([-1, -1, 1, 1])
    parts = TUMOR if labels is None else labels
    segmentation = boxes(SMALL_SHAPE, *((float(value), box) for value, box in parts.items()))
    save(root / name / f"{name}{mark}seg.nii.gz", segmentation, affine, np.uint8)
    for modality, (ending, (healthy, core, edema, enhancing)) in LEVELS.items():
        image = boxes(SMALL_SHAPE, (healthy, SMALL_BRAIN))
        for value, level in ((1, core), (2, edema), (3, enhancing), (4, enhancing)):
            image[segmentation == value] = level
        save(root / name / f"{name}{mark}{ending if since else modality}.nii.gz", image, affine, np.int16)
    return root / name
