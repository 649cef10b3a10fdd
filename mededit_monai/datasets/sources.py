# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of a data set finds: volumes with their files, and what is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.case_names import stem
from mededit_monai.io.formats.registry import is_image

#: Folders of challenge releases whose lesion masks are not published.
_HIDDEN = re.compile(r"testing|.*validation_?data", re.IGNORECASE)

#: What brain extraction programs append to the name of the scan.
_BRAIN_TAILS = ("_desc-brain_mask", "_brain_mask", "_mask", "_bet_mask", "_bet", "")


@dataclass(frozen=True)
class SourceVolume:
    """
    One scan and its masks.

    Args:
        volume_id: name, unique in the data set.
        patient: whose scan it is; a patient may have several.
        pathology: mask or label map; None: the scan is known to show no lesion.
        labelled: whether ``pathology`` holds tumour regions; None: its values decide.
        brain: mask; None: the scan is skull-stripped.
        modalities: of a head on several, their scans by name, ``scan`` among them.
    """

    volume_id: str
    patient: str
    scan: Path
    pathology: Path | None = None
    labelled: bool | None = False
    brain: Path | None = None
    modalities: Mapping[str, Path] = field(default_factory=dict)

    def scans(self) -> dict[str, Path]:
        """Name → path of every scan: those of the modalities, or ``scan`` alone."""
        return dict(self.modalities) or {"scan": self.scan}

    def files(self) -> dict[str, Path]:
        """Role → path of the files that there are."""
        roles = {**self.scans(), "pathology": self.pathology, "brain": self.brain}
        return {role: path for role, path in roles.items() if path is not None}


@dataclass
class Listing:
    """
    What was found.

    Args:
        volumes: usable as far as names tell, sorted by name.
        problems: volume → sentences, for volumes that are not.
        ignored: volume → why it does not belong to the data (no fault).
    """

    volumes: list[SourceVolume] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)

    def add_problem(self, volume_id: str, sentence: str) -> None:
        """Note what is wrong with a volume."""
        self.problems.setdefault(volume_id, []).append(sentence)

    def settle(self, root: Path, wanted: str) -> Listing:
        """
        Sort, and take out volumes whose name occurs at several places: which one is right cannot be known.

        Raises:
            InputError: if nothing at all was found.
        """
        if not self.volumes and not self.problems and not self.ignored:
            raise InputError(f"{root}: holds no scan named {wanted}; give the folder of the download with --root.")
        places: dict[str, list[SourceVolume]] = {}
        for volume in sorted(self.volumes, key=lambda v: (v.volume_id, str(v.scan))):
            places.setdefault(volume.volume_id, []).append(volume)
        for name, found in places.items():
            if len(found) > 1:
                where = " and ".join(str(volume.scan) for volume in found)
                self.add_problem(
                    name, f"{name}: is there {len(found)} times, wanted once ({where}); remove the copies."
                )
        self.volumes = [found[0] for found in places.values() if len(found) == 1]
        return self


def nifti_files(root: Path, reads: str) -> Iterator[Path]:
    """
    Every NIfTI file under a folder, sorted, without hidden ones (macOS archives bring ``._`` files).

    Raises:
        InputError: if the folder does not exist.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder; give the folder that holds {reads} with --root.")
    for path in sorted(path for path in root.rglob("*") if is_nifti(path)):
        parts = path.relative_to(root).parts
        # Some archives have folders that are named as the file inside them.
        if not any(p.startswith(".") or p == "__MACOSX" for p in parts) and not path.is_dir():
            yield path


def is_nifti(path: Path) -> bool:
    """Whether a name ends as NIfTI files do, in lower or upper case."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def beside(scan: Path, name: str) -> Path | None:
    """An image in the scan's folder by its name without ending, NIfTI first, compressed or not."""
    return next(_files_named(scan.parent, [name]), None)


def _files_named(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Files of a folder by names without ending, in their order; ``.nii.gz`` first, lower case before upper case."""
    try:
        there = [Path(name) for name in os.listdir(folder)]
    except OSError:
        return
    of_stem: dict[str, list[Path]] = {}
    for path in filter(is_image, there):
        of_stem.setdefault(stem(path), []).append(folder / path)
    for name in names:
        found = of_stem.get(name, ())
        found = sorted(
            found, key=lambda path: (not is_nifti(path), path.suffix.lower() == ".nii", not path.suffix.islower(), path)
        )
        yield from filter(Path.is_file, found)


def is_hidden_part(scan: Path, root: Path) -> bool:
    """Whether a scan belongs to the part of a challenge whose masks are kept back."""
    return any(_HIDDEN.fullmatch(part) for part in scan.relative_to(root).parts[:-1])


def find_brain(scan: Path, root: Path, brains: str | None) -> Path | None:
    """
    The brain mask of a scan, or None.

    Args:
        brains: None: a ``*_desc-brain_mask`` beside the scan. A folder: the same relative path, or no subfolders, the
            file named as the scan or with ``_mask``, ``_brain_mask``, ``_bet_mask`` or ``_desc-brain_mask`` after it.
            A pattern: a path with ``{name}`` (the scan's name without ending) and perhaps ``{folder}`` (the scan's
            folder, relative to ``root``); a relative pattern begins at ``root``.

    Raises:
        InputError: for ``brains`` that is neither.
    """
    name = stem(scan)
    names = [name + tail for tail in _BRAIN_TAILS]
    if name.endswith("_T1w"):  # BIDS writes the mask's suffix in place of the scan's
        names.insert(0, name.removesuffix("_T1w") + "_desc-brain_mask")
    if brains is None:
        return next(_files_named(scan.parent, names[:2]), None)
    folder, brains = scan.parent.relative_to(root), str(user_path(brains))
    if "{name}" in brains:
        path = root / brains.replace("{name}", name).replace("{folder}", str(folder))
        return path if path.is_file() else None
    if not Path(brains).is_dir():
        raise InputError(f"--brains: '{brains}' is neither a folder nor a pattern with {{name}}; give one of the two.")
    found = (path for place in (Path(brains) / folder, Path(brains)) for path in _files_named(place, names))
    return next((path for path in found if path.resolve() != scan.resolve()), None)
