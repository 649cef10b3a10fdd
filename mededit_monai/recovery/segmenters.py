# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Who looks for the lesions: any command, or the embedded judge."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.io.nifti import Volume, read_volume, require_same_grid, whole_values
from mededit_monai.judges.embedded import load_judge, shipped_volume_judge
from mededit_monai.prepare.known_brain import KnownBrain
from mededit_monai.recovery.options import RecoveryOptions
from mededit_monai.space.model_size import MODEL_DEPTH, MODEL_SIZE
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.to_model import model_image

#: Values of what is kept of a segmentation.
LESION, VENTRICLES = 1, 2


class Segmenter(Protocol):
    """
    Attributes:
        name: for people, and for the request by which a result is known; ventricles: whether it finds them.
    """

    name: str
    ventricles: bool

    def __call__(self, scan: Volume, brain: Path | None) -> np.ndarray:
        """Labels on the scan's RAS grid, uint8 XxYxZ: ``LESION``, ``VENTRICLES``; InputError where it fails."""


@dataclass
class Command:
    """
    Args:
        words: of the command, with ``{image}`` and ``{output}`` in them.
        lesion, ventricle: labels in its output; no lesion: all that are no ventricle.
    """

    words: Sequence[str]
    lesion: tuple[int, ...] = ()
    ventricle: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.name, self.ventricles = " ".join(self.words), bool(self.ventricle)
        if shutil.which(self.words[0]) is None:
            raise InputError(f"--segmenter: the program '{self.words[0]}' was not found; give its full path.")

    def __call__(self, scan: Volume, brain: Path | None) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="mededit_recovery_") as folder:
            output = Path(folder, "found.nii.gz")
            paths = {"{image}": str(scan.path.absolute()), "{output}": str(output)}
            words = list(self.words)
            for name, path in paths.items():
                words = [word.replace(name, path) for word in words]
            try:
                done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            except OSError as error:
                raise InputError(f"--segmenter: '{self.words[0]}' cannot be run ({error.strerror}).") from error
            if done.returncode:
                said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
                last = f": {said[-1][:200]}" if said else ""
                raise InputError(f"--segmenter: ended with exit code {done.returncode} on {scan.path}{last}.")
            if not output.is_file():
                raise InputError(f"--segmenter: wrote no {output.name} for {scan.path}; it must write to {{output}}.")
            found = read_volume(output)
            require_same_grid(found, scan)
            return self._labels(whole_values(found))

    def _labels(self, values: np.ndarray) -> np.ndarray:
        ventricles = np.isin(values, self.ventricle)
        lesion = np.isin(values, self.lesion) if self.lesion else (values > 0) & ~ventricles
        return np.select([lesion, ventricles], [LESION, VENTRICLES], 0).astype(np.uint8)


class EmbeddedJudge:
    """
    The judge that comes with the package: of volumes, if there is one for the disease, else slice by slice.

    Args:
        disease: its name.
    """

    ventricles = True

    def __init__(self, disease: str) -> None:
        self.disease = DISEASES[disease]
        self.judge = shipped_volume_judge(disease) or load_judge(disease)
        self.name = self.judge.name

    def __call__(self, scan: Volume, brain: Path | None) -> np.ndarray:
        inside = KnownBrain.of(scan, brain).mask
        depth = MODEL_DEPTH if self.judge.spatial_dims == 3 else None
        space = ModelSpace.around_brain(inside, scan.affine, self.disease.window, MODEL_SIZE, depth)
        image, _, _ = model_image(space, scan, inside, self.disease.percentile)
        masks = self.judge.segment(image)
        shape = scan.data.shape
        lesion, ventricles = (
            space.to_native((masks[name] > 0).astype(np.float32), shape) >= 0.5 for name in ("pathology", "ventricles")
        )
        return np.select([lesion & inside, ventricles & inside], [LESION, VENTRICLES], 0).astype(np.uint8)


def segmenter_of(options: RecoveryOptions, disease: str) -> Segmenter:
    """
    Who is asked for.

    Raises:
        InputError: a command whose program is not there.
    """
    words = options.words()
    if words is None:
        return EmbeddedJudge(disease)
    return Command(words, options.labels("lesion_labels"), options.labels("ventricle_labels"))
