# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a head lies: a rigid and then an affine registration of the ICBM 152 template's brain to the scan's, by ITK.

Rotations are searched first, so that a head may be tilted by any angle. Both images are brains of T1 contrast, so the
correlation of their intensities says how alike they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.itk_image import LPS, BrainImage, to_itk
from mededit_monai.space.shapes import around, box_affine

#: Points of the search lie so far apart in mm, and the images' at the steps of the rigid and of the affine transform.
SEARCH_MM, RIGID_MM, AFFINE_MM = 14.0, (6.0, 4.0), (6.0, 4.0)

#: Angles in degrees that are tried about each axis.
ANGLES = (-36, -18, 0, 18, 36)

#: So many of the ways to lie that right angles lead to are tried with tilts too; the best one is a candidate if it
#: matches as well as the best upright one but for this correlation.
TURNED_TRIED, TURNED_MAYBE = 6, 0.04

#: A head that is turned by more degrees in the world lies as nobody lies in a scanner, or its header is wrong.
TURNED_DEGREES = 60.0

#: Least correlation of intensities and overlap (Dice) of the brains: doubtful below the first, refused below the second
SIMILAR, OVERLAP = (0.55, 0.35), (0.85, 0.7)


@dataclass(frozen=True, eq=False)
class Registration:
    """
    The template's place in a scan.

    Args:
        pose: rigid, world mm (RAS) of the template → of the scan, 4x4.
        template_to_scan: the same with scales and shears.
        axes: 3x3, a unit vector in world space (RAS) a column: the scan's axes.
        similarity: correlation of the intensities within the template's brain, after ``template_to_scan``.
        overlap: Dice of the two brains there.
    """

    pose: np.ndarray
    template_to_scan: np.ndarray
    axes: np.ndarray
    similarity: float
    overlap: float

    @cached_property
    def tilt_degrees(self) -> float:
        """Angle by which the head is turned from the scan's axes, about whatever axis."""
        return _degrees(np.linalg.inv(self.axes) @ self.pose[:3, :3])

    @property
    def turned(self) -> bool:
        """Whether the head lies as none does, going by the header."""
        return _degrees(self.pose[:3, :3]) > TURNED_DEGREES

    @property
    def warnings(self) -> list[str]:
        """What is doubtful about it."""
        found = []
        if self.similarity < SIMILAR[0] or self.overlap < OVERLAP[0]:
            found.append(
                f"the registration to the ICBM 152 template is doubtful (correlation {self.similarity:.2f}, wanted "
                f"{SIMILAR[0]:g}; overlap of the brains {self.overlap:.2f}, wanted {OVERLAP[0]:g}); look at the "
                f"picture of the preparation."
            )
        if self.turned:
            found.append(
                f"the head is turned by {_degrees(self.pose[:3, :3]):.0f}° from the directions that its header gives; "
                f"check the header, because left and right cannot be told from the image."
            )
        return found

    def facts(self) -> dict[str, Any]:
        """Its figures, for JSON."""
        return {
            "template_to_scan": self.template_to_scan.round(6).tolist(),
            "pose": self.pose.round(6).tolist(),
            "tilt_degrees": round(self.tilt_degrees, 2),
            "correlation": round(self.similarity, 4),
            "overlap_of_brains": round(self.overlap, 4),
        }


def registered(scan: Volume, brain: np.ndarray) -> Registration:
    """
    Register the template's brain to a scan's.

    Args:
        scan: T1-weighted; brain: bool, XxYxZ RAS, not empty.

    Returns:
        the same numbers in every run and on any number of cores.

    Raises:
        InputError: the result is no match; says how far from one it is.
    """
    return aligned(template_brain(), brain_image(scan.data, brain, scan.affine), scan.path)


def aligned(template: BrainImage, found: BrainImage, name: object) -> Registration:
    """:func:`registered` of two brains in [0, 1], zero outside."""
    levels = {mm: (template.coarser(mm), found.coarser(mm)) for mm in {SEARCH_MM, *RIGID_MM, *AFFINE_MM}}
    pose = _searched(*levels[SEARCH_MM])
    for mm in RIGID_MM:
        pose = _refined(*levels[mm], pose)
    affine = pose
    for mm in AFFINE_MM:
        affine = _refined(*levels[mm], pose, affine)
    at, coarse = levels[AFFINE_MM[-1]]
    there = coarse.on(at, affine)
    inside, its = at.data > 0.1, there > 0.1
    deep = ndimage.binary_erosion(inside)  # the edge, where both fade, would agree whatever is inside
    similarity = float(np.corrcoef(at.data[deep], there[deep])[0, 1]) if np.ptp(there[deep]) else 0.0
    overlap = 2 * float((inside & its).sum()) / float(inside.sum() + its.sum())
    if similarity < SIMILAR[1] or overlap < OVERLAP[1]:
        raise InputError(
            f"{name}: does not match the ICBM 152 template (correlation {similarity:.2f}, wanted at least "
            f"{SIMILAR[1]:g}; overlap of the brains {overlap:.2f}, wanted at least {OVERLAP[1]:g}); give a brain mask "
            f"with --brain if the brain was found wrongly, a T1-weighted scan, or --no_prepare."
        )
    axes = found.affine[:3, :3] / np.linalg.norm(found.affine[:3, :3], axis=0)
    return Registration(pose, affine, axes, similarity, overlap)


@lru_cache(maxsize=1)
def template_brain() -> BrainImage:
    """The template as :func:`brain_image` has it."""
    data, affine = template_image()
    return brain_image(data, data > 0, affine)


@lru_cache(maxsize=1)
def template_image() -> tuple[np.ndarray, np.ndarray]:
    """The ICBM 152 2009a T1 that ships with nilearn, brain alone, 2 mm, XxYxZ float32, and its affine."""
    from nilearn.datasets import load_mni152_template  # slow to import, and then to read

    image = load_mni152_template(resolution=2)
    return np.asarray(image.dataobj, np.float32), np.asarray(image.affine, np.float64)


def brain_image(data: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> BrainImage:
    """The brain of an image in a box of its own, 1 where it is brightest."""
    top = max(float(np.percentile(data[brain], 98)), 1e-6)
    box = around(brain, 2)
    inside = (np.clip(data[box] / top, 0, 1) * brain[box]).astype(np.float32)
    return BrainImage(inside, box_affine(affine, box))


def _searched(template: BrainImage, found: BrainImage) -> np.ndarray:
    """The best pose among rotations about the brains' middles."""
    middle, there = template.middle, found.middle

    def pose_of(turn: np.ndarray) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, there - turn @ middle
        return pose

    def best(turns: Iterable[np.ndarray]) -> np.ndarray:
        return max(map(pose_of, turns), key=lambda pose: _alike(template, found, pose))

    tilts = [Rotation.from_euler("xyz", angles, degrees=True).as_matrix() for angles in product(ANGLES, repeat=3)]
    # All ways to lay a cube on a table but the upright one.
    cube = [one for one in Rotation.create_group("O").as_matrix() if not np.allclose(one, np.eye(3))]
    cube.sort(key=lambda turn: -_alike(template, found, pose_of(turn)))
    upright, turned = best(tilts), best(turn @ tilt for turn in cube[:TURNED_TRIED] for tilt in tilts)
    if _alike(template, found, turned) < _alike(template, found, upright) - TURNED_MAYBE:
        return upright
    both = (_refined(template, found, pose) for pose in (upright, turned))
    return max(both, key=lambda pose: _alike(template, found, pose))


def _alike(template: BrainImage, found: BrainImage, pose: np.ndarray) -> float:
    """Correlation of two images where the first has voxels, background included."""
    there = found.on(template, pose)
    return float(np.corrcoef(template.data.ravel(), there.ravel())[0, 1]) if np.ptp(there) else 0.0


def _degrees(turn: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(turn).magnitude()))


def _refined(template: BrainImage, found: BrainImage, pose: np.ndarray, affine: np.ndarray | None = None) -> np.ndarray:
    """A pose, or the affine transform at that pose, brought nearer to the best correlation by gradient descent."""
    import SimpleITK as sitk

    # ITK begins near the identity, on an image that was laid there: a versor cannot be turned beyond half a turn.
    laid = BrainImage(found.data, np.linalg.inv(pose) @ found.affine)
    middle = template.middle
    transform = sitk.VersorRigid3DTransform() if affine is None else sitk.AffineTransform(3)
    transform.SetCenter((LPS @ middle).tolist())
    if affine is not None:
        rest = np.linalg.inv(pose) @ affine
        transform.SetMatrix((LPS @ rest[:3, :3] @ LPS).ravel().tolist())
        transform.SetTranslation((LPS @ (rest[:3, :3] @ middle + rest[:3, 3] - middle)).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums of several threads differ from run to run
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=0.005, numberOfIterations=100, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(to_itk(template), to_itk(laid))
    result = np.eye(4)
    result[:3, :3] = LPS @ np.array(transform.GetMatrix()).reshape(3, 3) @ LPS
    result[:3, 3] = LPS @ np.array(transform.GetTranslation()) + middle - result[:3, :3] @ middle
    refined: np.ndarray = pose @ result
    return refined
