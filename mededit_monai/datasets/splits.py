# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lesion sizes and who is in which list: whole patients, stratified by size, the same for the same seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mededit_monai.diseases import STRATA

SPLITS = ("training", "validation", "testing")


def quartile_bounds(sizes: Sequence[float]) -> tuple[float, float]:
    """
    Bounds of the medium stratum: the lower and the upper quartile, linearly interpolated (thesis).

    Args:
        sizes: of the lesions found, in model pixels; not empty.
    """
    low, high = np.percentile(np.asarray(sizes, dtype=np.float64), (25, 75))
    return float(low), float(high)


def stratum_of(size: float, bounds: tuple[float, float]) -> str:
    """small below the lower bound, large above the upper one, else medium."""
    return STRATA[int(size >= bounds[0]) + int(size > bounds[1])]


@dataclass(frozen=True)
class PatientSlices:
    """What there is of a patient: sizes of the lesions (pixels) in the slices with one, and slices without."""

    sizes: tuple[int, ...]
    lesion_free: int


def split_patients(
    patients: Mapping[str, PatientSlices], bounds: tuple[float, float], test: int, validation: float, seed: int
) -> dict[str, str]:
    """
    Put every patient into one split.

    Patients are dealt in an order that mixes the strata (that of a patient's median lesion) in proportion. Of all sets
    of whole patients that come closest to ``test`` slices, the one that departs least from that order is taken.
    Patients without any lesion are a stratum of their own and go into the splits in the shares of the others' slices.

    Args:
        patients: name → slices.
        bounds: of :func:`quartile_bounds`.
        test: slices with pathology wanted in ``testing``.
        validation: share of the other patients for ``validation``, at least one if it is above 0 and there are two.

    Returns:
        patient → training, validation or testing.
    """
    strata: dict[str, list[str]] = {}
    for name, slices in patients.items():
        if slices.sizes:
            strata.setdefault(stratum_of(float(np.median(slices.sizes)), bounds), []).append(name)
    order = _mixed(strata, seed)
    sizes = [len(patients[name].sizes) for name in order]
    chosen = closest_subset(sizes, test)
    split = dict.fromkeys(patients, "training") | {order[k]: "testing" for k in chosen}
    rest = [name for name in order if split[name] != "testing"]
    split |= dict.fromkeys(rest[: _share(len(rest), validation)], "validation")

    free = _mixed({"none": [name for name, slices in patients.items() if not slices.sizes]}, seed)
    counts = [patients[name].lesion_free for name in free]
    share = sum(sizes[k] for k in chosen) / max(1, sum(sizes))
    taken = closest_subset(counts, int(np.floor(share * sum(counts) + 0.5)))
    split |= {free[k]: "testing" for k in taken}
    rest = [name for name in free if split[name] != "testing"]
    return split | dict.fromkeys(rest[: _share(len(rest), validation)], "validation")


def closest_subset(sizes: Sequence[int], target: int) -> list[int]:
    """
    Indices of items whose sizes add up to ``target``, or as near to it as any set does (below it, of two as near).

    Of several such sets the one that needs the fewest items from the end of the list: for sizes of 1, the first ones.
    """
    reached = [1]  # bit s of the k-th number: the first k items have a subset of sum s
    for size in sizes:
        reached.append(reached[-1] | reached[-1] << size)
    sums = range(sum(sizes) + 1)
    left = min((s for s in sums if reached[-1] >> s & 1), key=lambda s: (abs(s - target), s))
    chosen = []
    for k in range(len(sizes), 0, -1):
        if not reached[k - 1] >> left & 1:
            chosen.append(k - 1)
            left -= sizes[k - 1]
    return chosen[::-1]


def _mixed(strata: Mapping[str, list[str]], seed: int) -> list[str]:
    """All names in an order of the seed in which every beginning holds the strata in proportion."""
    places = []
    for stratum, names in sorted(strata.items()):
        order = sorted(names, key=lambda name: seeded(seed, name))
        places += [((k + 0.5) / len(order), seeded(seed, stratum), name) for k, name in enumerate(order)]
    return [name for *_, name in sorted(places)]


def _share(count: int, share: float) -> int:
    """How many of ``count`` make up a share; none are taken from a single one."""
    return 0 if share == 0 or count < 2 else min(count - 1, max(1, int(np.floor(share * count + 0.5))))


def seeded(seed: int, *names: object) -> bytes:
    """A key to sort by at random: it depends on the seed and the name only, not on what else there is."""
    return hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
