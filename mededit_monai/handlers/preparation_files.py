# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the preparation of a scan leaves on disk: the brain mask, the transform to the template, a picture to check."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, say
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import replacing, write_json
from mededit_monai.io.case_names import case_name, owner_of
from mededit_monai.io.claims import claim
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.io.nifti import (
    PREPARED_NOTE,
    NativeCopy,
    save_image,
)
from mededit_monai.io.outputs import require_apart
from mededit_monai.io.provenance import PROVENANCE_FILE, versions
from mededit_monai.prepare.itk_image import LPS
from mededit_monai.prepare.known_brain import KnownBrain, read_scan
from mededit_monai.prepare.one_by_one import refuse_warnings
from mededit_monai.prepare.preparation import Preparation
from mededit_monai.reports.preparation import save_check

#: For people; names that other programs read.
PICTURE, BRAIN, TRANSFORM, FACTS = "check.png", "brain.nii.gz", "to_template.tfm", "preparation.json"

#: So long another run may be at work under a scan's name, in seconds; writing a preparation takes a few.
WAIT = 60.0


def write_preparation(folder: Path, found: Preparation) -> None:
    """
    Write ``brain.nii.gz`` on the scan's grid, ``to_template.tfm``, ``preparation.json`` and ``check.png``.

    Args:
        folder: made if it is not there.
    """
    folder.mkdir(exist_ok=True)
    scan = found.scan
    mask = NativeCopy.to_native(found.brain.astype(np.uint8), scan)
    save_image(mask, scan.native_affine, folder / BRAIN)
    write_transform(folder / TRANSFORM, found.registration.template_to_scan)
    write_json(folder / FACTS, found.facts() | {"warnings": found.warnings}, indent=2)
    save_check(found, folder / PICTURE)


def write_transform(path: Path, template_to_scan: np.ndarray) -> None:
    """
    Write what brings the scan to the template, as ITK and ANTs read it.

    Args:
        path: ``.tfm``.
        template_to_scan: 4x4 in RAS mm; ITK's file holds the same map of points, in LPS.
    """
    import SimpleITK as sitk

    transform = sitk.AffineTransform(3)
    transform.SetMatrix((LPS @ template_to_scan[:3, :3] @ LPS).ravel().tolist())
    transform.SetTranslation((LPS @ template_to_scan[:3, 3]).tolist())
    with replacing(path) as unfinished:
        sitk.WriteTransform(transform, str(unfinished))


def prepare_scan(
    scan: str | Path,
    output_dir: str | Path = "out/prepared",
    brain: str | Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    echo: int | None = None,
) -> tuple[Path, dict[str, Any]]:
    """
    Find the brain, the bias field and the place of the template in a raw scan; the same as ``mededit prepare``.

    Args:
        scan: T1-weighted, whole head or skull-stripped, in any orientation and pose.
        output_dir: gets a folder of the scan's name: ``prepared.nii.gz`` (the scan without its bias field) and
            ``bias.nii.gz``, float32, ``brain.nii.gz``, all on the scan's grid, ``to_template.tfm``, ``check.png``,
            ``preparation.json`` and ``provenance.json``.
        brain: a mask to use instead of one that is found.
        overwrite: whether a result that was changed by hand, or another scan's, may be replaced.
        strict: whether a doubtful result is refused.
        echo: which volume of a scan with several, from 0.

    Returns:
        the folder, and what ``preparation.json`` says.

    Raises:
        InputError: bad input, or no brain to be found; in one sentence.
    """
    out, place = user_path(output_dir), user_path(scan)
    files = {"scan": str(place), **({"brain": str(user_path(brain))} if brain else {})}
    volume = read_scan(place, echo)
    known = KnownBrain.of(volume, files.get("brain"))
    warnings = [*volume.warnings, *volume.format_warnings, *known.warnings]
    require_apart(out / case_name(out, str(place), overwrite), files.values())  # at once, and not after the computing
    found = Preparation.of(volume, known.mask, known.source)
    warnings += found.warnings
    refuse_warnings(warnings, strict)
    inputs = {name: image_sha256(path) for name, path in files.items()}
    with _held_place(out, place, overwrite) as final:
        require_apart(final, files.values())
        with finished_folder(final, overwrite, scan=owner_of(str(place))) as unfinished:
            write_preparation(unfinished, found)
            for name, data in (("prepared.nii.gz", found.even.data), ("bias.nii.gz", found.gain)):
                native = NativeCopy.to_native(data.astype(np.float32), volume)
                save_image(native, volume.native_affine, unfinished / name)
            facts = {
                "note": PREPARED_NOTE,
                "files": files,
                "inputs": inputs,
                **found.facts(),
                "warnings": warnings,
                "versions": versions(),
            }
            write_json(unfinished / PROVENANCE_FILE, facts, indent=2)
    for warning in warnings:
        say(f"{final.name}: warning: {warning}")
    return final, found.facts() | {"warnings": warnings}


@contextmanager
def _held_place(out: Path, scan: Path, overwrite: bool) -> Iterator[Path]:
    """
    The folder of a scan's result, claimed while the block runs.

    The name is asked for now: another run may have put another scan's result there while this one was computing. One
    that is just writing there is waited for, since only then is known whose the name is.
    """
    end = time.monotonic() + WAIT
    with ExitStack() as held:
        while True:
            final = out / case_name(out, scan, overwrite)
            try:
                held.enter_context(claim(out, [final.name]))
            except InputError:
                if time.monotonic() > end or not out.is_dir():
                    raise
                time.sleep(0.1)
                continue
            if out / case_name(out, scan, overwrite) == final:
                break
            held.close()  # taken between the question and the claim
        yield final
