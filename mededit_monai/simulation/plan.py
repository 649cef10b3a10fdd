# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What every case of a cohort is: anatomies and lesions never cross from one split to another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from mededit_monai.core.errors import InputError, require_choice, require_number, require_part, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES, Disease
from mededit_monai.diseases.modalities import SIDE, check_heads
from mededit_monai.io.case_names import stem
from mededit_monai.io.formats.registry import is_image
from mededit_monai.io.hashing import sha256
from mededit_monai.simulation.anatomies import TEMPLATE, list_anatomies
from mededit_monai.simulation.laws import LAWS
from mededit_monai.simulation.laws import OWN as OWN_LAW
from mededit_monai.simulation.looks import LOOKS
from mededit_monai.simulation.looks import OWN as OWN_LOOK
from mededit_monai.simulation.splits import SHARES, SPLITS, share_out, split_names

MOST_CASES = 10_000_000

#: Crops of a person with a lesion.
VIEWS = 4


@dataclass(frozen=True)
class Recipe:
    """
    What decides the bytes of a cohort.

    Args:
        disease: its name.
        cases: in all splits together.
        anatomies, lesions: folders; None for the template and for drawn lesions.
        seed: case k of a split depends on the seed, the split and k alone.
        slice: mid (the thesis's) or all.
        spatial_dims: 2 or 3.
        layout: datalist, bids or nnunet.
        counts: cases of each split; None divides ``cases`` like the anatomies.
        global_atrophy: share of the training cases that have remote atrophy, of 0.2 to 1 (``global_atrophy`` of their
            parameters). Those of validation and testing have none: the lesion's own effects are measured there.
        crops: instead of whole volumes, boxes around the lesions on grids of 1 to 1.9 mm (see ``crops.py``).
        modalities: instead of pairs, heads with a tumour on these modalities, and their labels (see
            ``modalities.py``); side: points a side of these.
        law: how lesions move tissue, look: how they are painted; the disease's ``own``, by which editors are trained,
            or others, to measure these by (see ``laws`` and ``looks``).
        testing_only: every anatomy is of the test split, because no training saw any; ``counts`` of the others are 0.
        split_seed: of who is in which split, anatomies and lesions alike: the same for every ``seed``, so that no
            cohort tests on brains that another trained on.
        fold: ``i/n``: the i-th of n folds, which together test on every anatomy and lesion once; None: the one split.
    """

    disease: str = "stroke"
    cases: int = 100
    anatomies: str | None = None
    lesions: str | None = None
    seed: int = 0
    slice: str = "all"
    spatial_dims: int = 2
    layout: str = "datalist"
    counts: tuple[int, int, int] | None = None
    global_atrophy: float = 0.25
    crops: bool = False
    modalities: tuple[str, ...] | None = None
    side: int = SIDE
    law: str = OWN_LAW
    look: str = OWN_LOOK
    testing_only: bool = False
    split_seed: int = 0
    fold: str | None = None

    def check(self) -> None:
        """Raises InputError for a value that is not offered."""
        require_choice("disease", self.disease, DISEASES.names())
        require_choice("slice", self.slice, ("mid", "all"))
        require_choice("spatial_dims", self.spatial_dims, (2, 3))
        require_choice("layout", self.layout, ("datalist", "bids", "nnunet"))
        require_choice("law", self.law, LAWS.names())
        require_choice("look", self.look, LOOKS.names())
        require_whole("cases", self.cases, 1, most=MOST_CASES)
        require_whole("seed", self.seed, 0)
        require_whole("split_seed", self.split_seed, 0)
        if self.fold is not None:
            require_part("fold", self.fold, least=2)
        require_number("global_atrophy", self.global_atrophy, 0, 1)
        if self.crops and (self.spatial_dims, self.layout) != (3, "datalist"):
            raise InputError(
                f"--crops: got --spatial_dims {self.spatial_dims} --layout {self.layout}, but crops are cut from "
                f"volumes and listed in a datalist; give --spatial_dims 3 --layout datalist."
            )
        self._check_modalities()
        if self.testing_only and (self.counts is None or any(self.counts[:2])):
            raise InputError(
                f"--counts: got {self.counts}, but all anatomies are for testing; wanted 0, 0 and a number."
            )
        for name, folder in (("anatomies", self.anatomies), ("lesions", self.lesions)):
            if folder is not None and (not isinstance(folder, (str, Path)) or not str(folder).strip()):
                raise InputError(f"--{name}: got {folder!r}, wanted the path of a folder; give one or leave it out.")

    def _check_modalities(self) -> None:
        check_heads(self.modalities, self.side)
        if self.modalities is None:
            return
        if (self.spatial_dims, self.layout, self.crops) != (3, "datalist", False) or not self.record.labels:
            raise InputError(
                f"--modalities: got --disease {self.disease} --spatial_dims {self.spatial_dims} --layout {self.layout}"
                f"{' --crops' if self.crops else ''}, but heads of several modalities are volumes with a tumour; give "
                f"--disease tumor --spatial_dims 3 --layout datalist, without --crops."
            )
        if self.look != OWN_LOOK:
            raise InputError(
                f"--look: got '{self.look}', but --modalities have a painter of their own; leave one of them out."
            )

    @property
    def record(self) -> Disease:
        """The disease, its lesions moving tissue by the recipe's law and painted with its look."""
        disease = DISEASES[self.disease]
        if not self.second_truth:
            return disease
        moved, painted = partial(LAWS[self.law], disease), partial(LOOKS[self.look], disease)
        return replace(disease, lesion_velocity=moved, paint_lesion=painted)

    @property
    def second_truth(self) -> dict[str, str]:
        """Law and look where they are not the disease's own."""
        return {k: v for k, v, own in (("law", self.law, OWN_LAW), ("look", self.look, OWN_LOOK)) if v != own}

    def atrophy_share(self, split: str) -> float:
        """Share of a split's cases that have remote atrophy."""
        return float(self.global_atrophy) if split == "training" else 0.0

    def folders(self) -> dict[str, Path]:
        """The folders that are given, by their options; ``~`` expanded."""
        given = {"anatomies": self.anatomies, "lesions": self.lesions}
        return {k: user_path(v) for k, v in given.items() if v is not None and (k, str(v)) != ("anatomies", TEMPLATE)}

    def inputs(self) -> dict[str, str]:
        """
        Digests of what the given folders hold, by their options: of every image that may be read, its name there and
        its bytes. A folder that was moved is the same one, and another of its name is not.
        """
        found = {}
        for option, folder in self.folders().items():
            digest = hashlib.sha256()
            # Only lesions are looked for in folders below; one of anatomies may hold the cohort itself.
            for path in sorted(folder.rglob("*") if option == "lesions" else folder.glob("*")):
                if is_image(path) and not path.name.startswith(".") and not path.is_dir():
                    digest.update(json.dumps([path.relative_to(folder).as_posix(), sha256(path)]).encode())
            found[option] = digest.hexdigest()
        return found

    def as_json(self) -> dict:
        """Options with folders by their names, for files that must not hold a machine's paths; see :meth:`inputs`."""
        options = asdict(self)
        for key in ("anatomies", "lesions"):
            options[key] = Path(options[key]).name if options[key] else None
        if not self.crops:
            options.pop("crops")  # cohorts of before there were any say nothing of them
        if self.modalities is None:
            options = {key: value for key, value in options.items() if key not in ("modalities", "side")}
        if not self.testing_only:
            options.pop("testing_only")
        if self.split_seed == self.seed:
            options.pop("split_seed")  # cohorts of before it was an option were split by their seed
        if self.fold is None:
            options.pop("fold")
        return {key: value for key, value in options.items() if key not in ("law", "look")} | self.second_truth


@dataclass(frozen=True)
class Case:
    """One case of the plan: number ``index`` of its split, with an anatomy (index of the list) and its lesions."""

    split: str
    index: int
    anatomy: str

    @property
    def case_id(self) -> str:
        """Name of the case."""
        return f"{self.split}_{self.index:05d}"


def plan_cases(recipe: Recipe) -> tuple[list[Case], dict[str, list[str]]]:
    """
    All cases of a cohort.

    Returns:
        the cases, and the anatomies of every split. With fewer than three anatomies the splits share them (lesions and
        persons still differ).
    """
    anatomies = list_anatomies(recipe.anatomies)
    names = [stem(Path(a)) for a in anatomies]
    if recipe.testing_only:
        members = {"training": [], "validation": [], "testing": names}
    else:
        members = split_names(names, recipe.split_seed, share_few=True, fold=recipe.fold)
    by_stem = {stem(Path(a)): a for a in anatomies}
    of_split = {split: [by_stem[name] for name in names] for split, names in members.items()}
    if len(anatomies) >= 3:
        shares = [len(of_split[split]) / len(anatomies) for split in SPLITS]
    else:
        shares = list(SHARES)
    counts = recipe.counts or share_out(recipe.cases, shares)
    cases = []
    for split, count in zip(SPLITS, counts):
        persons = [k // VIEWS if recipe.crops else k for k in range(count)]
        cases += [Case(split, k, of_split[split][person % len(of_split[split])]) for k, person in enumerate(persons)]
    return cases, of_split
