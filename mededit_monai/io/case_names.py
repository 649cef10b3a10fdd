# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the result of a single scan is called, so that no subject's takes the place of another's."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.registry import image_sha256, image_stem
from mededit_monai.io.outputs import MARKER, marker_facts
from mededit_monai.io.provenance import PROVENANCE_FILE

#: How a NIfTI file's name ends, to be put into patterns; Windows programs write it in capitals too.
NIFTI_END = r"(?i:\.nii(?:\.gz)?)"

#: Lies beside a file that was written for an image without one: its path is another one in every run.
IN_MEMORY = ".mededit_in_memory"

_ENTITY = re.compile(r"(sub|ses)-[A-Za-z0-9]+")


def stem(path: str | Path) -> str:
    """File name without ``.nii.gz``, ``.mgz`` or another image's ending, in lower or upper case."""
    return image_stem(path)


def case_name(out: Path, scan: str | Path, overwrite: bool = False) -> str:
    """
    The name of a scan's result: the file's, or with its subject before it where that is taken by another scan.

    ``sub-01/ses-2/anat/T1.nii.gz`` is ``T1``, or ``sub-01_ses-2_T1``; ``smith/T1.nii.gz`` is ``T1``, or ``smith_T1``.

    Args:
        out: the output folder.
        overwrite: whether another scan's result may be replaced; then it is always the file's name.

    Raises:
        InputError: both names are taken.
    """
    name = stem(scan).lstrip(".") or "scan"
    folders = Path(os.path.abspath(scan)).parent.parts
    entities = [part for part in folders if _ENTITY.fullmatch(part) and part not in name.split("_")]
    before = "_".join(entities) if entities else (folders[-1].lstrip(".") if len(folders) > 1 else "")
    for candidate in [name, f"{before}_{name}"] if before else [name]:
        other = None if overwrite else other_scan(out / candidate, scan)
        if other is None:
            return candidate
    raise InputError(
        f"{out / candidate}: holds the result of another scan ({other}); choose another --output_dir, name the case in "
        f"a --datalist, or give --overwrite to replace it."
    )


def was_in_memory(path: str | Path) -> bool:
    """Whether a file was written for an image without one (:func:`~mededit_monai.io.edit_inputs.edit_inputs`)."""
    return (Path(path).parent / IN_MEMORY).is_file()


def owner_of(scan: str | Path) -> str:
    """
    What a result's marker knows its scan by: a digest of the full path, since files may be passed on; of an image that
    was in memory, of what it holds.
    """
    if was_in_memory(scan):
        return image_sha256(scan)
    return hashlib.sha256(os.path.abspath(scan).encode("utf-8", "surrogateescape")).hexdigest()


def other_scan(folder: Path, scan: str | Path) -> str | None:
    """Of which other scan a folder holds the result, None if it holds none or this one's; :func:`owner_of` tells."""
    if not (folder / MARKER).is_file() or marker_facts(folder).get("scan") in (None, owner_of(scan)):
        return None
    try:
        files = json.loads((folder / PROVENANCE_FILE).read_bytes())["files"]
        return str(files["scan"] if "scan" in files else files["label"])  # a synthesis has a mask in a scan's place
    except (OSError, ValueError, KeyError, TypeError):
        return "its provenance is gone"
