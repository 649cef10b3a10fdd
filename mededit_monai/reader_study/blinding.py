# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which images are shown, under which codes, in which order: drawn from a seed that raters must not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import representative_order
from mededit_monai.datasets.splits import seeded
from mededit_monai.diseases import STRATA
from mededit_monai.reader_study.design import Design
from mededit_monai.reader_study.images import Candidate

#: Letters and digits that are not taken for one another.
_ALPHABET = "ABCDEFGHJKLMNPQRTUVWXYZ2346789"

#: So many others stand, where that is possible, between two images of the same case.
APART = 8


@dataclass(frozen=True)
class Item:
    """
    A question to every rater: an image in a stage.

    Args:
        code: what it is called where raters can see it.
        stage, image: numbers, of the design's stages and of the chosen images.
        repeat: whether the image was an item of the stage before.
    """

    code: str
    stage: int
    image: int
    repeat: bool


def choose_images(images: Sequence[Candidate], design: Design, seed: int) -> list[Candidate]:
    """
    As many images of every arm as the design says, mixed by the lesions' sizes.

    With ``same_cases`` all arms show the same cases; without, every arm takes up in the row of cases where the one
    before left off, so that as few as possible are seen twice.

    Raises:
        InputError: an arm with too few images, or too few of a stratum.
    """
    by_arm = {arm.name: {one.case: one for one in images if one.arm == arm.name} for arm in design.arms}
    shared = set.intersection(*(set(cases) for cases in by_arm.values())) if design.same_cases else None
    chosen = []
    for number, (arm, cases) in enumerate(by_arm.items()):
        kept = [one for name, one in cases.items() if shared is None or name in shared]
        if len(kept) < design.images:
            which = "shared by all arms" if design.same_cases else f"of the arm '{arm}'"
            raise InputError(
                f"there are {len(kept)} images {which}, wanted {design.images}; give more, or fewer with --per_arm."
            )
        order = _order(kept, design, seed)
        start = 0 if design.same_cases else number * design.images
        chosen += [cases[order[(start + k) % len(order)]] for k in range(design.images)]
    return chosen


def _order(images: Sequence[Candidate], design: Design, seed: int) -> list[str]:
    """Cases in an order of which every part has the strata as the design wants them."""
    if design.strata == "none":
        return sorted((one.case for one in images), key=lambda name: seeded(seed, "study", name))
    if design.strata == "proportional":
        return representative_order([{"case_id": one.case, "stratum": one.stratum} for one in images], seed)
    known = sorted({one.stratum for one in images}, key=lambda s: (*STRATA, s).index(s))
    each = -(-design.images // len(known))
    columns = []
    for stratum in known:
        names = [one.case for one in images if one.stratum == stratum]
        if len(names) < each:
            raise InputError(
                f"the stratum '{stratum}' of the arm '{images[0].arm}' has {len(names)} images, wanted {each} for "
                f"equal strata; give more, or set the design's strata to proportional."
            )
        columns.append(sorted(names, key=lambda name: seeded(seed, "study", name)))
    return [names[k] for k in range(min(map(len, columns))) for names in columns]


def make_items(images: Sequence[Candidate], design: Design, seed: int) -> list[Item]:
    """
    Every image in every stage that shows its arm, and some of them a second time, evenly over the arms.

    Codes are drawn without regard to anything; items are in the order of their codes.

    Raises:
        InputError: more repeats than a stage has images.
    """
    rng = np.random.default_rng([seed, 1])
    wanted: list[tuple[int, int, bool]] = []
    for number, stage in enumerate(design.stages):
        shown = [k for k, one in enumerate(images) if one.arm in stage.arms]
        if design.repeats > len(shown):
            raise InputError(f"repeats are {design.repeats}, but stage '{stage.title}' has {len(shown)} images.")
        again = [
            (place, k) for arm in stage.arms for place, k in _dealt([k for k in shown if images[k].arm == arm], rng)
        ]
        repeated = [k for _, k in sorted(again)[: design.repeats]]
        wanted += [(number, k, False) for k in shown] + [(number, k, True) for k in repeated]
    codes: set[str] = set()
    while len(codes) < len(wanted):
        codes.add("".join(rng.choice(list(_ALPHABET), 6)))
    drawn = rng.permutation(sorted(codes))
    return sorted((Item(str(code), *one) for code, one in zip(drawn, wanted)), key=lambda item: item.code)


def _dealt(numbers: Sequence[int], rng: np.random.Generator) -> Iterable[tuple[int, int]]:
    return enumerate(int(k) for k in rng.permutation(list(numbers)))


def rater_orders(
    items: Sequence[Item], images: Sequence[Candidate], design: Design, seed: int
) -> Mapping[str, list[list[str]]]:
    """
    The codes of every stage in an order of each rater's own.

    Between two images of a case, and between an image and its repeat, stand :data:`APART` others, or as many as can be.
    """
    found = {}
    for number, rater in enumerate(design.raters):
        rng = np.random.default_rng([seed, 2, number])
        found[rater] = [
            _spread([item for item in items if item.stage == stage], [one.case for one in images], rng)
            for stage in range(len(design.stages))
        ]
    return found


def _spread(items: Sequence[Item], cases: Sequence[str], rng: np.random.Generator) -> list[str]:
    """A random order with equal cases apart; the best of several draws, each of which takes what is farthest off."""
    best: list[str] = []
    closest = -1
    for _ in range(20):
        left = [items[k] for k in rng.permutation(len(items))]
        order: list[Item] = []
        nearest = len(items)
        while left:
            recent = [cases[item.image] for item in order[-APART:]]
            ages = [recent[::-1].index(cases[i.image]) if cases[i.image] in recent else APART for i in left]
            pick = int(np.argmax(ages))
            nearest = min(nearest, ages[pick])
            order.append(left.pop(pick))
        if nearest > closest:
            best, closest = [item.code for item in order], nearest
        if closest >= min(APART, len(items) - 1):
            break
    return best
