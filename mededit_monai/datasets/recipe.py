# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What decides the bytes of a prepared data set: its options, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, require_choice, require_whole
from mededit_monai.datasets.atlas import find_atlas
from mededit_monai.datasets.brats import find_brats
from mededit_monai.datasets.folder import find_folder, table_of
from mededit_monai.datasets.sources import Listing
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.modalities import SIDE, check_heads
from mededit_monai.io.hashing import sha256

#: Where a data set comes from → its disease (None: to be given).
SOURCES: Mapping[str, str | None] = {"atlas": "stroke", "brats": "tumor", "folder": None}

#: The thesis's axial slice and its number of test slices.
THESIS_SLICE = {"atlas": 95, "brats": 90}
THESIS_TEST = {"atlas": 54, "brats": 126}

DEFAULT_TEST = "0.12"
DEFAULT_VALIDATION = 0.1


@dataclass(frozen=True)
class DatasetRecipe:
    """
    Args:
        source: atlas, brats or folder.
        root: folder of the download, or a CSV file.
        disease: stroke or tumor; None for what the source says.
        spatial_dims: 2 (slices) or 3 (volumes).
        slice_index: RAS axial, from 0: an index, ``60:120`` (60 to 119), ``all``, or ``auto`` (largest lesion area, or
            most brain where there is no lesion); None for the thesis's slice (95 atlas, 90 brats) or, for folder,
            ``auto``.
        brains: folder or pattern of brain masks.
        require_core: of slices with pathology keep those alone that show a necrotic core.
        test: share (0.12) or number (54) of the slices with pathology, or ``thesis``.
        validation: share of the patients that are not in the test list.
        seed: of the splits.
        modalities: instead of scans with masks, heads on these modalities and their labels, as ``mededit simulate
            --modalities`` makes them (source brats, volumes); side: points a side of these.
    """

    source: str
    root: str
    disease: str | None = None
    spatial_dims: int = 2
    slice_index: str | int | None = None
    brains: str | None = None
    require_core: bool = False
    test: str | float = DEFAULT_TEST
    validation: float = DEFAULT_VALIDATION
    seed: int = 0
    modalities: tuple[str, ...] | None = None
    side: int = SIDE

    def check(self) -> None:
        """
        Raises:
            InputError: for a value that is not offered.
        """
        require_choice("source", self.source, tuple(SOURCES))
        require_choice("disease", self.disease_name, DISEASES.names())
        require_choice("spatial_dims", self.spatial_dims, (2, 3))
        self.slices(1)
        self.wanted_test(10**9)
        if self.spatial_dims == 3 and self.slice_index is not None:
            raise InputError(
                f"--slice_index: got {self.slice_index}, but --spatial_dims 3 keeps volumes; leave it out."
            )
        if self.require_core and not DISEASES[str(self.disease_name)].labels:
            raise InputError(f"--require_core: a {self.disease_name} has no necrotic core to ask for; leave it out.")
        if not 0 < self.validation < 1:
            raise InputError(
                f"--validation: got {self.validation:g}, wanted a share above 0 and below 1; a training needs its "
                f"validation list."
            )
        require_whole("seed", self.seed, 0)
        check_heads(self.modalities, self.side)
        if self.modalities is not None and (self.source, self.spatial_dims) != ("brats", 3):
            raise InputError(
                f"--modalities: got a {self.source} data set with --spatial_dims {self.spatial_dims}, but heads on "
                f"several modalities are volumes of BraTS; give 'brats' and --spatial_dims 3."
            )

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel of the cases."""
        disease = DISEASES[self.disease_name or ""]
        return disease.window / self.side if self.modalities else disease.pixel_mm

    @property
    def disease_name(self) -> str | None:
        """The source's disease, else the one that was given."""
        return SOURCES[self.source] or self.disease

    def table_sha256(self) -> str | None:
        """SHA-256 of the table that lists the volumes; None where they are found in folders."""
        table = table_of(self.root) if self.source == "folder" else None
        return sha256(table) if table is not None and table.is_file() else None

    def find(self) -> Listing:
        """The volumes of the source."""
        if self.source == "folder":
            return find_folder(self.root, self.brains, self.disease_name or "stroke")
        brats = partial(find_brats, modalities=self.modalities or ())
        return {"atlas": find_atlas, "brats": brats}[self.source](self.root, self.brains)

    def slices(self, depth: int) -> list[int] | str:
        """
        Axial indices asked for in a volume of ``depth`` slices, or ``auto``.

        Raises:
            InputError: if the option is no index, range or word.
        """
        text = str(THESIS_SLICE.get(self.source, "auto") if self.slice_index is None else self.slice_index)
        if text == "auto":
            return text
        if text == "all":
            return list(range(depth))
        first, colon, last = text.partition(":")
        if first.isdecimal() and (last.isdecimal() and int(first) < int(last) if colon else True):
            return list(range(int(first), min(int(last), depth))) if colon else [int(first)]
        raise InputError(f"--slice_index: got '{text}', wanted an index, a range such as 60:120, 'all' or 'auto'.")

    def wanted_test(self, slices: int) -> int:
        """
        How many of ``slices`` slices with pathology shall go into the test list.

        Raises:
            InputError: for something else than a share, a number or ``thesis``, and for more than there are.
        """
        text = str(self.test)
        if text == "thesis":
            if self.source not in THESIS_TEST:
                raise InputError("--test: 'thesis' goes with atlas and brats; give a share or a number of slices.")
            wanted = THESIS_TEST[self.source]
        elif text.isdecimal():
            wanted = int(text)
        else:
            try:
                share = float(text)
            except ValueError:
                share = -1.0
            if not 0 <= share < 1:
                raise InputError(f"--test: got '{text}', wanted a share below 1, a number of slices, or 'thesis'.")
            wanted = int(np.floor(share * slices + 0.5))
        if wanted > slices:
            raise InputError(f"--test: got {wanted}, but {slices} slices show pathology; wanted at most that many.")
        return wanted

    def as_json(self) -> dict[str, Any]:
        """Options, with folders by their names: files must not hold a machine's paths."""
        options = asdict(self) | {"disease": self.disease_name, "test": str(self.test)}
        options["slice_index"] = None if self.slice_index is None else str(self.slice_index)
        for key in ("root", "brains"):
            options[key] = Path(options[key]).name if options[key] else None
        if self.modalities is None:  # sets of before there were any say nothing of them
            return {key: value for key, value in options.items() if key not in ("modalities", "side")}
        return options | {"modalities": list(self.modalities)}


def chosen_slices(recipe: DatasetRecipe, pathology: np.ndarray, brain: np.ndarray, name: object) -> Sequence[int]:
    """
    Axial slices to cut from a volume.

    Args:
        pathology: bool, XxYxZ, RAS order; may be empty.
        brain: the same; ``auto`` takes the slice with most of it where there is no pathology.
        name: of the scan, for the message.

    Raises:
        InputError: if there is no such slice.
    """
    depth = pathology.shape[2]
    wanted = recipe.slices(depth)
    if wanted == "auto":
        area = (pathology if pathology.any() else brain).sum(axis=(0, 1))
        return [int(area.argmax())]
    if not wanted or wanted[-1] >= depth:
        asked = THESIS_SLICE[recipe.source] if recipe.slice_index is None else recipe.slice_index
        raise InputError(
            f"{name}: has the axial slices 0 to {depth - 1}, but --slice_index is {asked}; give one that it has."
        )
    return wanted
