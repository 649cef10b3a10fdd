# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a case is called in a BIDS dataset; light to import, since options name the layouts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path

#: How results are laid out, and what the option says of it.
LAYOUTS = ("folders", "bids")
LAYOUT_HELP = "A folder for every case, or a BIDS derivative dataset too, of the files in sourcedata/mededit."

#: In a BIDS dataset the folders of the cases, as they are without ``--layout bids``; validators look past it.
CASES = Path("sourcedata", "mededit")

#: Entities that an output keeps of its scan's name, in the order of the specification.
KEPT = ("acq", "ce", "rec", "run", "space")

_PART = re.compile(r"([a-z]+)-([A-Za-z0-9]+)")


@dataclass(frozen=True)
class BidsName:
    """
    Whose the files of a case are.

    Args:
        subject, session: labels, without ``sub-`` and ``ses-``; entities: of ``KEPT``, those that the scan's name has.
    """

    subject: str
    session: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> PurePosixPath:
        """Of the case, relative to the dataset: ``sub-01``, or ``sub-01/ses-2``."""
        session = () if self.session is None else (f"ses-{self.session}",)
        return PurePosixPath(f"sub-{self.subject}", *session)

    def file(self, end: str, **entities: str | None) -> str:
        """
        Name of a file: the case's entities, then others in the order given, then suffix and ending.

        Example:
            >>> BidsName("01", None, {"run": "1"}).file("T1w.nii.gz", desc="counterfactual")
            'sub-01_run-1_desc-counterfactual_T1w.nii.gz'
        """
        own = [*self.folder.parts, *(f"{key}-{self.entities[key]}" for key in KEPT if key in self.entities)]
        more = [f"{key}-{value}" for key, value in entities.items() if value]
        return "_".join([*own, *more, end])


def bids_name(case_id: str, image: str | Path) -> BidsName:
    """
    By the name of a case's scan (or of the mask that it was synthesized from), if that is one of BIDS, else by the
    folders that it lies in, else by the case's own name without whatever is neither letter nor digit.

    Raises:
        InputError: nothing is left of it.

    Example:
        >>> str(bids_name("a", "raw/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz").folder)
        'sub-01/ses-2'
        >>> str(bids_name("IXI012_T1", "IXI012_T1.nii.gz").folder)
        'sub-IXI012T1'
    """
    path = Path(image)
    found = entities_of(path.name)
    if "sub" not in found:
        folders = [match for part in path.parts[:-1] if (match := _PART.fullmatch(part))]
        found = {match[1]: match[2] for match in folders if match[1] in ("sub", "ses")}
    if "sub" not in found:
        found = entities_of(case_id)
    if "sub" in found:
        return BidsName(found["sub"], found.get("ses"), {key: found[key] for key in KEPT if key in found})
    if not (subject := alphanumeric(case_id)):
        raise InputError(
            f"--layout: a case called '{case_id}' has no letter from A to Z and no digit that a BIDS name could be "
            f"made of; name it otherwise in a --datalist."
        )
    return BidsName(subject)


def entities_of(name: str) -> dict[str, str]:
    """``key-value`` parts of a file's or case's name; none if it does not begin with ``sub-``."""
    parts = [_PART.fullmatch(part) for part in name.partition(".")[0].split("_")]
    return {match[1]: match[2] for match in parts if match} if parts[0] and parts[0][1] == "sub" else {}


def alphanumeric(text: str) -> str:
    """What a label of BIDS may hold of a text: letters from A to Z and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def cases_dir(output_dir: Any, layout: str) -> Any:
    """Where the folders of the cases are: the output folder itself, or one in the dataset."""
    if layout != "bids" or not isinstance(output_dir, (str, Path)):
        return output_dir
    return user_path(output_dir) / CASES
