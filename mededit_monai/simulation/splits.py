# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Who is in which split: names of anatomies or lesions, divided by a seed alone, once or into folds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from mededit_monai.core.errors import InputError, require_part

SPLITS = ("training", "validation", "testing")

#: Shares of the splits: 12, 2 and 6 of 20 anatomies.
SHARES = (0.6, 0.1, 0.3)


def split_names(
    names: Sequence[str], seed: int, share_few: bool = False, fold: str | None = None, what: str = "anatomies"
) -> dict[str, list[str]]:
    """
    Divide names into training, validation and testing (60, 10 and 30 %), at random with a seed.

    Args:
        share_few: fewer than three names go into every split; otherwise a split may stay empty.
        fold: ``i/n``: every n-th name beginning with the i-th is for testing, so that the n folds of a seed test on
            everybody once; a tenth of all, of the next fold's test, is for validation, and the others for training.
        what: the names are of, for the sentence about too few of them.

    Raises:
        InputError: a fold that is none, or one of so many that a split would stay empty.
    """
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    if fold is not None:
        return _of_fold(order, fold, what)
    if len(names) < 3 and share_few:
        return {split: list(names) for split in SPLITS}
    edges = np.cumsum([0, *share_out(len(names), SHARES)])
    return {split: sorted(order[a:b]) for split, a, b in zip(SPLITS, edges[:-1], edges[1:])}


def _of_fold(order: list[str], fold: str, what: str) -> dict[str, list[str]]:
    part, parts = require_part("fold", fold, least=2)
    least = 4 if parts == 2 else parts  # of three names one of two folds would leave nobody to train on
    if len(order) < least:
        raise InputError(
            f"--fold: got '{fold}', wanted at least {least} {what}, found {len(order)}; give fewer folds, more {what}, "
            f"or no --fold."
        )
    testing, following = order[part - 1 :: parts], order[part % parts :: parts]
    most = len(following) if parts > 2 else len(following) - 1  # of two folds the other has to train, too
    validation = following[: max(1, min(round(SHARES[1] * len(order)), most))]
    training = set(order) - set(testing) - set(validation)
    return {split: sorted(members) for split, members in zip(SPLITS, (training, validation, testing))}


def share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in these shares that add up to ``total``; at least one each where there are three or more."""
    exact = np.asarray(shares) * total
    counts = np.floor(exact + 1e-9).astype(int)
    if total >= len(shares):
        counts = np.maximum(counts, 1)
    while counts.sum() < total:
        counts[int(np.argmax(exact - counts))] += 1
    while counts.sum() > total:
        counts[int(np.argmax(counts - exact))] -= 1
    return counts.tolist()
