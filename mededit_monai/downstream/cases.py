# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Real cases of a cohort and synthetic ones that were made of its masks and scans, each with its patients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.transforms import NormalizeIntensity, Transform
from monai.utils import convert_to_tensor
from tqdm import tqdm

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import group_of
from mededit_monai.datasets.splits import SPLITS
from mededit_monai.diseases.modalities import LABEL_KEY, MODALITIES
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.hashing import sha256
from mededit_monai.io.nifti import read_array
from mededit_monai.io.provenance import PROVENANCE_FILE
from mededit_monai.synthesis.labels import tumor_of

#: What a cohort of slices or volumes with a lesion, and one of heads on several modalities, hold.
EDITED, IMAGE, MASK = "edited.nii.gz", "image", "pathology"

#: Files of a case that a synthetic one can be made of, by the kind of cohort.
SOURCES = {
    "lesions": ("prior", "image", "pathology", "regions", "brain", "prior_brain"),
    "heads": (LABEL_KEY,),
}

#: The network halves its images three times.
MULTIPLE = 8


@dataclass(frozen=True)
class Example:
    """
    A case to learn from or to be measured on.

    Args:
        case_id: its name.
        patients: who must not be held out where it is learned from: its own, or those of its mask and its scan.
        images: a file a channel; label: mask or label map on their grid.
        digest: of the bytes of all of them.
        brain: mask outside of which the label says nothing; None: there is no such place.
    """

    case_id: str
    patients: frozenset[str]
    images: tuple[str, ...]
    label: str
    digest: str
    brain: str | None = None

    def entry(self) -> dict[str, Any]:
        """As a case of a data set."""
        return asdict(self) | {"images": list(self.images), "patients": sorted(self.patients)}


@dataclass(frozen=True)
class Cohort:
    """
    Args:
        kind: ``heads`` (modalities and ``label``) or ``lesions`` (``image`` and ``pathology``).
        name: of the cohort; simulated: whether its own images are synthetic.
        cases: that can be held out, as its lists have them.
        origins: SHA-256 of a file of any case → the file and the patients that have it.
    """

    kind: str
    name: str
    simulated: bool
    cases: tuple[Mapping[str, Any], ...]
    origins: Mapping[str, tuple[str, frozenset[str]]]


def read_cohort(folder: Path, split: str, progress: bool = False) -> Cohort:
    """
    Read the lists of a cohort.

    Args:
        folder: of ``mededit dataset`` or ``mededit simulate``.
        split: training, validation, testing or all: which cases may be held out.

    Raises:
        InputError: no datalist or list, cases that are neither heads nor images with a lesion mask, a missing file.
    """
    place = folder / "datalist.json"
    if not place.is_file():
        raise InputError(
            f"{place}: not found; give the folder of a cohort that 'mededit dataset' or 'mededit simulate' wrote."
        )
    everything = read_datalist(place)
    content = json.loads(place.read_bytes())
    content = content if isinstance(content, dict) else {}
    names = [name for name in SPLITS if content.get(name)] if split == "all" else [split]
    cases = [case for name in names for case in read_datalist(place, name)]
    if not cases:
        raise InputError(f"{place}: has none of the lists {', '.join(SPLITS)}; prepare it with 'mededit dataset'.")
    kind = "heads" if cases[0].get(LABEL_KEY) else "lesions"
    for case in cases:
        wanted = (LABEL_KEY,) if kind == "heads" else (IMAGE, MASK)
        for key in wanted:
            _require_file(case, key, place)
    simulated, name = bool(content.get("synthetic", False)), str(content.get("name") or folder.resolve().name)
    return Cohort(kind, name, simulated, tuple(cases), _origins(everything, SOURCES[kind], progress))


def _origins(
    cases: Sequence[Mapping[str, Any]], keys: Sequence[str], progress: bool
) -> dict[str, tuple[str, frozenset[str]]]:
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for case in tqdm(cases, desc="reading the cohort", disable=not progress, delay=2):
        for path in (case[key] for key in keys if case.get(key) and Path(case[key]).is_file()):
            digest = sha256(path)
            first, patients = found.get(digest, (path, frozenset()))
            found[digest] = first, patients | {group_of(case)}
    return found


def _require_file(case: Mapping[str, Any], key: str, place: Path | str) -> None:
    if not case.get(key):
        raise InputError(
            f"{place}: case '{case['case_id']}' has no '{key}'; wanted cases with 'image' and 'pathology', or heads "
            f"with modalities and 'label'."
        )
    if not Path(case[key]).is_file():
        raise InputError(f"{case[key]}: not found ('{key}' of case '{case['case_id']}' in {place}).")


def channels_of(cohort: Cohort, wanted: Sequence[str] = ()) -> list[str]:
    """
    Keys of the images that a network is shown at once.

    Args:
        wanted: modalities of heads; none: all that every one of them has.

    Raises:
        InputError: heads without one of the modalities, or with none in common.
    """
    if cohort.kind == "lesions":
        return [IMAGE]
    shared = [name for name in MODALITIES if all(case.get(name) for case in cohort.cases)]
    missing = [name for name in wanted if name not in shared]
    if missing or not shared:
        raise InputError(
            f"--cohort: {cohort.name} has heads without '{(missing or MODALITIES)[0]}', wanted "
            f"{', '.join(wanted) or 'a modality'} of every case, as the synthetic ones have; prepare it with these, "
            f"by 'mededit dataset brats --modalities NAME'."
        )
    return list(wanted) or shared


def real_examples(cohort: Cohort, channels: Sequence[str]) -> list[Example]:
    """
    The cases that are held out in turn.

    Args:
        channels: of :func:`channels_of`.

    Raises:
        InputError: a file that is not there.
    """
    label = LABEL_KEY if cohort.kind == "heads" else MASK
    for case in cohort.cases:
        for key in channels:
            _require_file(case, key, cohort.name)
    return [
        example(case["case_id"], {group_of(case)}, [case[key] for key in channels], case[label])
        for case in cohort.cases
    ]


def example(
    case_id: str,
    patients: set[str] | frozenset[str],
    images: Sequence[str | Path],
    label: str,
    brain: str | None = None,
) -> Example:
    """An example with the digest of its files."""
    digests = "".join(sha256(path) for path in (*images, label, *([brain] if brain else [])))
    digest = hashlib.sha256(digests.encode()).hexdigest()
    return Example(case_id, frozenset(patients), tuple(map(str, images)), str(label), digest, brain)


def synthetic_examples(folder: Path, cohort: Cohort) -> tuple[list[Example], list[str]]:
    """
    What ``mededit synthesize`` or ``mededit edit`` wrote, by its own provenance.

    A synthetic case is of the patients whose mask and scan it was made of: they are told by the bytes of these files.
    Its label is the mask that it was made of.

    Returns:
        the cases and, of heads, their modalities.

    Raises:
        InputError: a folder that neither of them wrote, of another kind than the cohort, or a case whose mask or scan
            is none of the cohort's, so that its patient is not known.
    """
    wanted = "wanted what 'mededit synthesize' or 'mededit edit' wrote"
    if not folder.is_dir():
        raise InputError(f"--synthetic: {folder} is not a folder; {wanted}.")
    found: list[Example] = []
    modalities: list[str] | None = None
    for place, facts in _provenances(folder):
        shown = _require_kind(place, facts, cohort)
        names = [f"{name}.nii.gz" for name in shown] or [EDITED]
        if not all((place.parent / name).is_file() for name in names):
            continue  # of several samples the folder of them all
        if modalities not in (None, shown):
            raise InputError(
                f"{place}: shows {', '.join(shown)}, wanted {', '.join(modalities or ())} as the others do."
            )
        modalities = shown
        name = "_".join(place.parent.relative_to(folder).parts) or place.parent.name
        found.append(_synthetic_example(f"synthetic/{name}", place, names, facts["inputs"], cohort))
    if not found:
        raise InputError(f"--synthetic: {folder} holds no synthetic case; {wanted}.")
    return found, modalities or []


def _require_kind(place: Path, facts: Mapping[str, Any], cohort: Cohort) -> list[str]:
    """Modalities of a synthesized head, none of an edit; InputError where the cohort is of the other kind."""
    shown = [str(name) for name in facts["options"].get("modalities", ())]
    kinds = {"heads": "heads on several modalities", "lesions": "images with a lesion mask"}
    kind = "heads" if shown else "lesions"
    if kind != cohort.kind:
        raise InputError(
            f"--synthetic: {place.parent} is of {kinds[kind]}, but --cohort holds {kinds[cohort.kind]}; give the "
            f"cohort that it was made of."
        )
    return shown


def _synthetic_example(
    name: str, place: Path, files: Sequence[str], inputs: Mapping[str, Any], cohort: Cohort
) -> Example:
    """A case whose mask, the last of its sources, and scan are the cohort's."""
    keys = (LABEL_KEY,) if cohort.kind == "heads" else ("scan", MASK)
    patients: frozenset[str] = frozenset()
    label = ""
    for key in keys:
        if str(inputs.get(key)) not in cohort.origins:
            raise InputError(
                f"{place}: its {key} is none of the cohort's files, so whose it is, and which fold must not learn from "
                f"it, is not known; make it by 'mededit edit --datalist' of the cohort, or give its own with --cohort."
            )
        label, whose = cohort.origins[inputs[key]]
        patients |= whose
    brain = None if cohort.kind == "heads" else cohort.origins.get(str(inputs.get("brain")), (None,))[0]
    return example(name, patients, [place.parent / file for file in files], label, brain)


def _provenances(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Provenance files of synthetic cases, without hidden folders, which a run may be writing."""
    for place in sorted(folder.rglob(PROVENANCE_FILE)):
        if any(part.startswith(".") for part in place.relative_to(folder).parts):
            continue
        try:
            facts = json.loads(place.read_bytes())
            known = facts["synthetic"] is True and isinstance(facts["inputs"], dict)
            known &= isinstance(facts["options"], dict) and not {"modalities", "method"}.isdisjoint(facts["options"])
        except (OSError, ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise InputError(
                f"{place}: was written by neither 'mededit synthesize' nor 'mededit edit'; give a folder of one of "
                f"them with --synthetic."
            )
        yield place, facts


def common_shape(examples: Sequence[Example]) -> tuple[int, ...]:
    """
    Of all images and labels, without the third axis of slices.

    Raises:
        InputError: shapes that differ, or sides that the network cannot halve.
    """
    shape = None
    for one in examples:
        for path in filter(None, (*one.images, one.label, one.brain)):
            try:
                found = nib.load(path).shape
            except Exception as error:
                raise InputError(f"{path}: cannot be read as NIfTI; make it again.") from error
            if shape is None:
                shape, first = found, path
            if found != shape:
                raise InputError(
                    f"{path}: has the shape {found}, wanted {shape} as {first}; all cases must lie on one grid, as "
                    f"'mededit dataset' and 'mededit simulate' put them."
                )
    shape = tuple(shape or ())
    flat = shape[:-1] if len(shape) == 3 and shape[2] == 1 else shape
    if len(flat) not in (2, 3) or any(side % MULTIPLE or side < 2 * MULTIPLE for side in flat):
        raise InputError(
            f"{examples[0].images[0]}: has the shape {shape}, wanted sides that are multiples of {MULTIPLE}, from "
            f"{2 * MULTIPLE} on; prepare the cohort with 'mededit dataset' or 'mededit simulate'."
        )
    return flat


class LoadExample(Transform):
    """
    Read an example: ``image`` (CxHxW[xD] float16, each channel with mean 0 and standard deviation 1 where it is not 0)
    and ``label`` (1xHxW[xD] uint8: 1 the lesion, or any part of a tumour).

    Args:
        kind: of the cohort.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.normalise = NormalizeIntensity(nonzero=True, channel_wise=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[str, Any]:
        image = np.stack([_array(path) for path in data["images"]]).astype(np.float32)
        label = _array(data["label"])
        marked = tumor_of(label) if self.kind == "heads" else label > 0
        if data.get("brain"):  # a mask may reach out of the brain that it was laid over, where nothing was painted
            marked = marked & (_array(data["brain"]) > 0)
        image = convert_to_tensor(self.normalise(image), track_meta=False)  # MONAI cannot mix batches of its own type
        return {
            "case_id": data["case_id"],
            "image": image.half(),
            "label": torch.from_numpy(marked[None].astype(np.uint8)),
        }


def _array(path: str) -> np.ndarray:
    array = read_array(path)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
