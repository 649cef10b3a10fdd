# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What `mededit lesion` writes: a mask on the scan's grid, and a picture of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, require_whole, say
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.sources import is_nifti
from mededit_monai.diseases import DISEASES
from mededit_monai.io.case_names import stem
from mededit_monai.io.nifti import NativeCopy, save_synthetic
from mededit_monai.io.outputs import require_apart, require_replaceable, require_writable, write_output
from mededit_monai.lesions.place import placed
from mededit_monai.lesions.places import Places, places_of
from mededit_monai.lesions.wanted import Wanted
from mededit_monai.prepare.known_brain import KnownBrain, read_scan
from mededit_monai.prepare.one_by_one import refuse_warnings
from mededit_monai.reports.lesion_preview import save_lesion_preview
from mededit_monai.sampling.noise import case_seed


def write_lesion(
    wanted: Wanted,
    scan: str | Path,
    output: str | Path,
    brain: str | Path | None = None,
    seed: int = 0,
    regions: bool = False,
    keep_ventricles: bool = False,
    territories: str | Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    preview: bool = True,
    echo: int | None = None,
) -> dict[str, Any]:
    """
    Write the mask of a lesion on a scan's grid, and ``NAME.png`` beside it.

    Args:
        wanted: what lesion, and where.
        scan: NIfTI whose grid the mask gets.
        output: ``.nii`` or ``.nii.gz`` to write.
        brain: brain mask; None if the scan is skull-stripped.
        seed: of what is drawn. A lesion in a territory, or at random from a folder, is the one that ``edit --lesion``
            with the same seed makes of this scan.
        regions: labels of a tumour instead of ones: 1 necrotic core, 3 enhancing rim, 2 edema.
        keep_ventricles: whether ventricles that the lesion covers stay in the mask.
        territories: folder of masks in MNI space: lesions are drawn where those are, not where the shipped table says.
        overwrite: whether another mask that mededit wrote there may be replaced.
        strict: whether what would be done with a warning is refused.
        preview: whether the picture is written.
        echo: which volume of a scan with several; see :func:`~mededit_monai.io.nifti.read_echo`.

    Returns:
        facts: ``written``, ``preview``, ``voxels``, ``volume_ml``, ``stratum``, ``side``, ``centre_mm``, ``warnings``
        and more.

    Raises:
        InputError: an option that cannot be, unusable scan or mask, a lesion that lies outside the brain, or a file
            that is not ours in the output's place.
    """
    wanted.check()
    require_whole("seed", seed, 0)
    scan, output = user_path(scan), user_path(output)
    brain = None if brain is None else user_path(brain)
    inputs = [path for path in (scan, brain, wanted.mask and user_path(wanted.mask)) if path]
    picture = output.with_name(f"{stem(output)}.png") if preview else None
    _require_place(output, inputs)
    if picture is not None:
        require_apart(picture, inputs)
        require_writable(picture, overwrite=True)
    places = _places(wanted, territories)
    volume = read_scan(scan, echo)
    known = KnownBrain.of(volume, brain)
    inside = known.mask
    own_seed = case_seed(seed, stem(scan)) if wanted.kind in ("drawn", "random") else seed
    disease = DISEASES["tumor" if regions else "stroke"]
    made = placed(wanted, volume, inside, disease, own_seed, keep_ventricles, places, None, known.source, regions)
    found = [*volume.warnings, *volume.format_warnings, *known.warnings, *made.warnings]
    refuse_warnings(found, strict)
    for warning in found:
        say(f"warning: {warning}")
    native = NativeCopy.to_native(made.labels if regions else made.mask.astype(np.uint8), volume)
    contents = {output: _saved(lambda place: save_synthetic(native, volume.native_affine, place), output.name)}
    if picture is not None:
        title = summary(made.facts)
        drawn = _saved(lambda place: save_lesion_preview(volume, inside, made.mask, place, title), picture.name)
        contents[picture] = drawn
    for place, content in contents.items():  # all before the first is written: no mask without its picture
        require_replaceable(place, content, overwrite)
    for place, content in contents.items():
        write_output(place, content, overwrite, inputs)
    facts = {"written": str(output), "preview": None if picture is None else str(picture), **made.facts}
    return facts | {"seed": seed, "synthetic": True, "warnings": found}


def summary(facts: dict[str, Any]) -> str:
    """A lesion in a line."""
    centre = " ".join(f"{n:.0f}" for n in facts["centre_mm"])
    found = [
        f"{facts['volume_ml']:.3g} ml",
        facts["stratum"],
        facts["side"],
        facts.get("territory"),
        f"around {centre} mm",
    ]
    return ", ".join(one for one in found if one)


def _places(wanted: Wanted, territories: str | Path | None) -> Places | None:
    if territories is None:
        return None
    if wanted.kind != "drawn":
        raise InputError(
            f"--territories: got '{territories}', but it says where lesions of a territory are drawn; leave out the "
            f"other ways to say where the lesion is to be."
        )
    return places_of(territories)


def _require_place(output: Path, inputs: list[Path]) -> None:
    """Refuse a place that cannot be written to, before anything is computed."""
    if output.is_dir():
        raise InputError(
            f"{output}: is a folder, wanted the name of a mask to write, such as {output / 'lesion.nii.gz'}."
        )
    if not is_nifti(output):
        raise InputError(f"--output: got '{output}', wanted a name that ends in .nii or .nii.gz; rename it.")
    require_apart(output, inputs)
    require_writable(output, overwrite=True)  # whether our own mask may be replaced, its content decides


def _saved(save: Any, name: str) -> bytes:
    """The bytes of a file."""
    with tempfile.TemporaryDirectory(prefix="mededit_") as folder:
        place = Path(folder) / name
        save(place)
        return place.read_bytes()
