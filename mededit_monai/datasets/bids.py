# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Names of BIDS, fMRIPrep and ISLES: what a file is, and which scan a mask belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mededit_monai.io.case_names import stem

#: Entities that tell one scan of a subject from another; a mask may leave some out.
_MATCHED = ("sub", "ses", "acq", "rec", "run", "space", "cohort", "res")

#: The same without those that tell one version of a scan from another.
_ACQUIRED = ("sub", "ses", "acq", "rec", "run")

#: Values of ``space`` that mean the scan's own.
_OWN_SPACE = ("t1w", "orig", "native")

#: What a mask's name ends with; ``msk`` is ISLES.
_MASKS = ("mask", "roi", "dseg", "msk", "lesion")

#: Words that say nothing of what a mask shows.
_PLAIN = ("T1w", "mask", "roi", "dseg", "msk")

#: Suffixes of other scans: a mask that names one of them lies on its grid.
_OTHER_SCANS = frozenset(
    ("t2w", "flair", "dwi", "adc", "trace", "bold", "boldref", "sbref", "pdw", "t2star", "t2starw", "swi", "swan", "ct")
    + ("pet", "asl", "cbf", "angio", "t1map", "t2map", "unit1", "mp2rage", "t1c", "t1ce", "t2", "pd")
)

_LESIONS = ("lesion", "tumor", "tumour", "stroke", "infarct", "ischem", "ischaem", "glioma", "metasta")
_NO_LESIONS = ("brain", "ventricle", "lesionfree")


@dataclass(frozen=True)
class BidsFile:
    """
    A file name taken apart at its underscores.

    Args:
        path: the file.
        entities: key → value of ``key-value``.
        words: the parts without hyphen, as ``T1w``, ``lesion`` or ``mask``; the last is the suffix.
        scan_name: what stands up to and including ``T1w``, empty without it.
    """

    path: Path
    entities: dict[str, str]
    words: tuple[str, ...]
    scan_name: str

    @property
    def suffix(self) -> str:
        """What the file is: ``T1w``, ``mask``, …"""
        return self.words[-1]

    @property
    def desc(self) -> str:
        """Value of the entity ``desc``, or empty."""
        return self.entities.get("desc", "")

    @property
    def is_scan(self) -> bool:
        """Whether it is a T1-weighted scan, raw or prepared."""
        return self.words == ("T1w",)

    @property
    def is_free(self) -> bool:
        """Whether it is a scan without lesion, or its mask, as ``mededit simulate`` writes it."""
        return self.desc.startswith("lesionfree")

    @property
    def key(self) -> tuple[str | None, ...]:
        """Values of the entities that tell scans apart; None where the name leaves one out."""
        return tuple(self._value(name) for name in _MATCHED)

    @property
    def is_brain(self) -> bool:
        """Whether it is a brain mask, also of a scan without lesion."""
        return self.suffix in ("mask", "msk") and any(name in ("brain", "lesionfreebrain") for name in self._said())

    @property
    def is_lesion(self) -> bool:
        """Whether it is a lesion mask by its name, or, as ``roi`` and ``msk`` are, for want of another meaning."""
        return self.suffix in _MASKS and (self.names_lesion or (self.suffix in ("roi", "msk") and not self._said()))

    @property
    def names_lesion(self) -> bool:
        """Whether its name says lesion, or something like it."""
        said = self._said()
        if any(word in name for word in _NO_LESIONS for name in said):
            return False
        return self.entities.get("label") in ("L", "l") or any(word in name for word in _LESIONS for name in said)

    def is_version_of(self, other: BidsFile) -> bool:
        """Whether it shows what another scan shows, prepared otherwise or in another space."""
        derived = bool(self.desc) or self._value("space") is not None  # what was averaged over runs names none
        pairs = ((self._value(name), other._value(name)) for name in _ACQUIRED)
        return all(mine == its or (derived and mine is None) for mine, its in pairs)

    def goes_with(self, scan: BidsFile) -> bool:
        """Whether no entity of the mask contradicts the scan's."""
        if self.entities.get("space", "").lower() in _OWN_SPACE and scan._value("space") is not None:
            return False
        return all(mine is None or mine == its for mine, its in zip(self.key, scan.key))

    def left_out(self, scan: BidsFile) -> int:
        """How many of the scan's entities the mask's name leaves out; -1 if it has the scan's whole name."""
        if self.scan_name and self.scan_name == scan.scan_name:
            return -1
        return sum(mine is None and its is not None for mine, its in zip(self.key, scan.key))

    def _said(self) -> tuple[str, ...]:
        """What the name says the mask shows, in lower case."""
        named = (self.desc, self.entities.get("label", ""), *(word for word in self.words if word not in _PLAIN))
        return tuple(name.lower() for name in named if name)

    def _value(self, name: str) -> str | None:
        value = self.entities.get(name)
        if name == "space" and value is not None and value.lower() in _OWN_SPACE:
            return None
        return value.lstrip("0") if value is not None and name == "run" else value


def parse_name(path: Path) -> BidsFile | None:
    """A T1-weighted scan or a mask of one, by its name; None for anything else."""
    parts = stem(path).split("_")
    entities: dict[str, str] = {}
    words: list[str] = []
    for part in parts:
        key, hyphen, value = part.partition("-")
        if hyphen and key and value:
            entities.setdefault(key, value)
        else:
            words.append(part)
    if not parts[0].startswith("sub-") or not entities.get("sub") or not words or words[-1] != parts[-1]:
        return None
    if words[-1] not in (*_MASKS, "T1w") or entities.get("mod", "T1w") != "T1w":
        return None
    if words[-1] != "T1w" and any(word.lower() in _OTHER_SCANS for word in words):
        return None
    scan_name = "_".join(parts[: parts.index("T1w") + 1]) if "T1w" in parts else ""
    return BidsFile(path, entities, tuple(words), scan_name)


def nearest_scans(mask: BidsFile, scans: Sequence[BidsFile]) -> list[BidsFile]:
    """
    Of the scans that a mask's name does not contradict, those that it names most closely.

    ``sub-01_T1w_label-lesion_roi`` is of ``sub-01_T1w`` if that is there; ``sub-01_label-lesion_mask`` of a scan in its
    own space rather than of one in MNI space.
    """
    fitting = [scan for scan in scans if mask.goes_with(scan)]
    least = min((mask.left_out(scan) for scan in fitting), default=0)
    return [scan for scan in fitting if mask.left_out(scan) == least]


def owners(mask: BidsFile, scans: Sequence[BidsFile]) -> list[BidsFile]:
    """The scan that a mask belongs to: the nearest, of several the one in its folder; more if that does not tell."""
    nearest = nearest_scans(mask, scans)
    if len({scan.path.name for scan in nearest}) < 2:
        return nearest
    return [scan for scan in nearest if scan.path.parent == mask.path.parent] or nearest
