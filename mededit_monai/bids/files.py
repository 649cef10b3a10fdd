# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which file of a finished case is which file of a BIDS dataset, and what its sidecar says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.bids.names import BidsName, alphanumeric, bids_name
from mededit_monai.bids.sources import Sources
from mededit_monai.diseases import DISEASES
from mededit_monai.io.atomic import json_bytes, write_bytes
from mededit_monai.io.case_names import stem
from mededit_monai.io.nifti import NativeCopy, Volume, read_volume, save_synthetic, whole_values
from mededit_monai.io.provenance import DISCLAIMER, PROVENANCE_FILE

#: What is no file of BIDS, for ``.bidsignore``.
IGNORED = ("figures", "*_xfm.*", "*_provenance.json", "*_effects.json")

#: Suffixes of images that can be carried along; other images get T1w's.
SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "T1map", "T2map", "probseg", "mask")

#: Modality of a synthesized volume → suffix, and value of the entity ``ce``.
MODALITIES = {"t1": ("T1w", None), "t1ce": ("T1w", "gadolinium"), "t2": ("T2w", None), "flair": ("FLAIR", None)}

#: What the labels that a volume is synthesized from mean.
LABELS = {1: "core", 2: "edema", 3: "enhancing", 4: "brain"}


@dataclass(frozen=True)
class Placed:
    """
    A file of the dataset.

    Args:
        name: relative to the folder of the case.
        write: puts it where it is told.
    """

    name: str
    write: Callable[[Path], None]


def linked(source: Path) -> Callable[[Path], None]:
    """A second name of a file of ours, which takes no room; a copy where the file system knows no such names."""

    def write(path: Path) -> None:
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)

    return write


def holding(content: bytes) -> Callable[[Path], None]:
    """A file of these bytes."""
    return lambda path: write_bytes(path, content)


def case_facts(folder: Path) -> dict[str, Any]:
    """What a finished case's provenance says."""
    facts: dict[str, Any] = json.loads((folder / PROVENANCE_FILE).read_bytes())
    return facts


def name_of(facts: Mapping[str, Any]) -> BidsName:
    """Of a finished case."""
    files = facts["files"]
    return bids_name(facts["case_id"], files.get("scan") or files["label"])


def case_files(folder: Path, sources: Sources) -> list[Placed]:
    """
    The files of a finished case, of ``mededit edit`` or ``mededit synthesize``.

    Args:
        folder: of the case.
        sources: by which files are named that are not in the dataset.

    Raises:
        InputError: an image that cannot be read, such as a mask that is gone.
    """
    facts = case_facts(folder)
    kind = _Edit if "scan" in facts["files"] else _Synthesis
    return list(kind(folder, facts, sources).files())


class _Case:
    """What edits and syntheses have in common: samples in folders of their own, sidecars, pictures, provenance."""

    word = ""

    def __init__(self, folder: Path, facts: Mapping[str, Any], sources: Sources) -> None:
        self.folder, self.facts, self.sources, self.name = folder, facts, sources, name_of(facts)

    def files(self) -> Iterator[Placed]:
        """All of them."""
        parts = sorted(
            (p for kind in ("sample", "course") for p in self.folder.glob(f"{kind}_*") if p.is_dir()),
            key=lambda place: int(place.name.partition("_")[2]),
        )
        yield from self.of_case(several=bool(parts))
        for place in parts or [self.folder]:
            number = place.name.partition("_")[2] if parts else ""
            yield from self.of_sample(place, f"{self.word}{number}")
        for place in [self.folder, *parts]:
            number = place.name.partition("_")[2] if place != self.folder else ""
            yield from self.about(place, f"{self.word}{number}")

    def of_case(self, several: bool) -> Iterator[Placed]:
        """What there is once."""
        raise NotImplementedError

    def of_sample(self, place: Path, desc: str) -> Iterator[Placed]:
        """What there is of every sample."""
        raise NotImplementedError

    def about(self, place: Path, desc: str) -> Iterator[Placed]:
        """Provenance, figures and pages."""
        for file, end in ((PROVENANCE_FILE, "provenance.json"), ("effects.json", "effects.json")):
            if (place / file).is_file():
                yield Placed(f"anat/{self.name.file(end, desc=desc)}", linked(place / file))
        for file, end in (("preview.png", "T1w.png"), ("viewer.html", "T1w.html")):
            if (place / file).is_file():
                yield Placed(f"figures/{self.name.file(end, desc=desc)}", linked(place / file))

    def sidecar(self, description: str, *files: str, synthetic: bool = True, **more: Any) -> dict[str, Any]:
        """
        What every sidecar says.

        Args:
            files: names by which the provenance knows what the file was made of.
        """
        made_of = [self.sources.uri(self.facts["files"][key]) for key in files if key in self.facts["files"]]
        reference = self.sources.uri(self.facts["files"].get("scan") or self.facts["files"]["label"])
        return {
            "Description": f"{description} {DISCLAIMER}" if synthetic else description,
            "Synthetic": synthetic,
            "Sources": made_of,
            "SpatialReference": reference if reference.startswith("bids:") else "orig",
            **more,
        }

    def image(self, end: str, source: Path, sidecar: Mapping[str, Any], **entities: str | None) -> Iterator[Placed]:
        """An image under a second name, as NIfTI if it is not, and its sidecar."""
        ending = ".nii" if source.name.lower().endswith(".nii") else ".nii.gz"
        if source.name.lower().endswith((".nii", ".nii.gz")):
            yield Placed(f"anat/{self.name.file(end + ending, **entities)}", linked(source))
        else:
            volume = read_volume(source)
            data = NativeCopy.to_native(volume.data, volume)
            yield self.written(end, data, volume, **entities)
        yield self.beside(end, sidecar, **entities)

    def written(self, end: str, data: np.ndarray, on: Volume, **entities: str | None) -> Placed:
        """An image that is no file of the case: stored order of ``on``; whole numbers as int32 if they are."""
        whole = data.dtype.kind == "f" and np.array_equal(data, np.rint(data)) and np.abs(data).max(initial=0) < 2**24
        stored = data.astype(np.int32) if whole else data
        return Placed(
            f"anat/{self.name.file(end + '.nii.gz', **entities)}",
            lambda path: save_synthetic(stored, on.native_affine, path),
        )

    def beside(self, end: str, sidecar: Mapping[str, Any], **entities: str | None) -> Placed:
        """A sidecar."""
        return Placed(f"anat/{self.name.file(end + '.json', **entities)}", holding(json_bytes(sidecar, indent=2)))

    def lookup(self, end: str, names: Mapping[int, str], **entities: str | None) -> Placed:
        """The table of a segmentation's labels."""
        rows = "".join(f"{index}\t{name}\n" for index, name in names.items())
        return Placed(f"anat/{self.name.file(end + '.tsv', **entities)}", holding(f"index\tname\n{rows}".encode()))


class _Edit(_Case):
    word = "counterfactual"

    def of_case(self, several: bool) -> Iterator[Placed]:
        yield from self._lesion()
        if several:
            for file, desc, what in (("mean", "mean", "Mean"), ("sd", "sd", "Standard deviation")):
                if (self.folder / f"{file}.nii.gz").is_file():
                    said = self.sidecar(f"{what} of the counterfactuals of all samples.", "scan", **self._stripped)
                    yield from self.image("T1w", self.folder / f"{file}.nii.gz", said, desc=f"{self.word}{desc}")
        brain = self.folder / "prepare" / "brain.nii.gz"
        if brain.is_file():
            said = self.sidecar("Brain, found in the scan.", "scan", synthetic=False, Type="Brain")
            yield from self.image("mask", brain, said, desc="brain")
            yield Placed(
                f"anat/{self.name.file('xfm.tfm', **{'from': 'T1w', 'to': 'template', 'mode': 'image'})}",
                linked(brain.with_name("to_template.tfm")),
            )
            yield Placed(f"figures/{self.name.file('T1w.png', desc='prepared')}", linked(brain.with_name("check.png")))

    def of_sample(self, place: Path, desc: str) -> Iterator[Placed]:
        slices = {"EditedSlices": self.facts["slices"]} if (place / "edited_slice.nii.gz").is_file() else {}
        said = self.sidecar(
            "Counterfactual: the scan as if the person had the lesion.",
            *("scan", "pathology", "lesion"),
            **self._stripped,
            **slices,
        )
        yield from self.image("T1w", place / str(self.facts["edited"]), said, desc=desc)
        said = self.sidecar("Where the counterfactual may differ from the displaced scan.", "scan", Type="ROI")
        yield from self.image("mask", place / "edit_region.nii.gz", said, desc=f"{desc}editregion")
        if (place / "regions.nii.gz").is_file():
            yield from self._regions(place / "regions.nii.gz", f"{desc}regions")
        for file, ends, what in (
            ("displacement", ("T1w", desc), "Brings the scan to the counterfactual"),
            ("inverse_displacement", (desc, "T1w"), "Brings the counterfactual to the scan"),
        ):
            if (place / f"{file}.nii.gz").is_file():
                said = self.sidecar(f"{what}: displacement in LPS mm, of ITK's and ANTs' convention.", "scan")
                way = {"from": ends[0], "to": ends[1], "mode": "image"}
                yield from self.image("xfm", place / f"{file}.nii.gz", said, **way)
        yield from self._carried(place, desc)

    @cached_property
    def _stripped(self) -> dict[str, Any]:
        """Whether the scan has no skull: it is black outside the brain then. What is carried is taken to be like it."""
        if self.facts["brain_source"] != "file":
            return {"SkullStripped": self.facts["brain_source"] == "background"}
        edited = read_volume(min(self.folder.rglob(str(self.facts["edited"]))))  # of a scan with echoes, the one
        outside = edited.data[read_volume(self.facts["files"]["brain"]).data == 0]
        return {"SkullStripped": bool(np.count_nonzero(outside) <= 0.01 * np.count_nonzero(edited.data))}

    def _lesion(self) -> Iterator[Placed]:
        """The lesion that was asked for, as a mask, and as labels where it has any."""
        own = self.folder / "pathology.nii.gz"
        volume = read_volume(own if own.is_file() else self.facts["files"]["pathology"])
        values = NativeCopy.to_native(whole_values(volume), volume)
        said = self.sidecar("Lesion of the counterfactual, as asked for.", "pathology", "lesion", Type="Lesion")
        yield self.written("mask", (values > 0).astype(np.uint8), volume, label="lesion")
        yield self.beside("mask", said, label="lesion")
        if set(np.unique(values)) - {0, 1, 255}:
            said.pop("Type")
            yield self.written("dseg", np.minimum(values, 3).astype(np.uint8), volume, desc="lesionregions")
            yield self.beside("dseg", said, desc="lesionregions")
            yield self.lookup("dseg", self._labels(), desc="lesionregions")

    def _regions(self, place: Path, desc: str) -> Iterator[Placed]:
        said = self.sidecar("Regions that were drawn in the lesion.", "scan", "pathology", "lesion")
        yield from self.image("dseg", place, said, desc=desc)
        yield self.lookup("dseg", self._labels(), desc=desc)

    def _labels(self) -> dict[int, str]:
        numbers = DISEASES[self.facts["options"]["disease"]].label_numbers
        return {number: name for name, number in numbers.items() if number}

    def _carried(self, place: Path, desc: str) -> Iterator[Placed]:
        if not (place / "carried").is_dir():
            return
        how = json.loads((place / "effects.json").read_bytes())["carried"]
        # By their order: a copy in another format than its file has another name.
        given = dict(zip(how, (key for key in self.facts["files"] if key.startswith("carry_"))))
        taken: set[str] = set()
        for name in sorted(how):
            label = how[name]["interpolation"] == "nearest"
            words = stem(name).split("_")
            suffix = "dseg" if label else words[-1] if words[-1] in SUFFIXES else "T1w"
            own = alphanumeric("".join(w.partition("-")[2] or w for w in words if w not in SUFFIXES and _own(w)))
            own = own or "carried"
            while own + suffix in taken:  # 'a+b' and 'ab' are one label
                own += "x"
            taken.add(own + suffix)
            said = self.sidecar(f"{name}, moved as the lesion moves tissue.", given[name])
            said |= self._stripped if suffix not in ("dseg", "probseg", "mask") else {}
            said |= {"Type": "ROI"} if suffix == "mask" else {}
            yield from self.image(suffix, place / "carried" / name, said, desc=f"{desc}{own}")


class _Synthesis(_Case):
    word = "synthetic"

    def of_case(self, several: bool) -> Iterator[Placed]:
        volume = read_volume(self.facts["files"]["label"])
        values = NativeCopy.to_native(whole_values(volume), volume)
        said = self.sidecar("Labels that the volumes were synthesized from.", "label")
        yield self.written("dseg", values.astype(np.uint8), volume, desc="asked")
        yield self.beside("dseg", said, desc="asked")
        yield self.lookup("dseg", LABELS, desc="asked")

    def of_sample(self, place: Path, desc: str) -> Iterator[Placed]:
        for modality in self.facts["modalities"]:
            suffix, contrast = MODALITIES.get(modality, ("T1w", modality))
            said = self.sidecar(f"Volume ({modality}) synthesized from labels.", "label", "brain", SkullStripped=True)
            yield from self.image(suffix, place / f"{modality}.nii.gz", said, ce=contrast, desc=desc)


def _own(word: str) -> bool:
    """Whether a part of a carried file's name tells it from others: not its subject, nor what it is of."""
    return word.partition("-")[0] not in ("sub", "ses", "acq", "rec", "run", "space") and word != "dseg"
