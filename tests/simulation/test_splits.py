# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Who is in which split: shares, folds, and that neither depends on more than names and seed."""

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.simulation.splits import SHARES, SPLITS, share_out, split_names

TWENTY = [f"a{k}" for k in range(20)]


def test_default_split_of_twenty():
    members = split_names(TWENTY, 0)
    assert [len(members[s]) for s in SPLITS] == [12, 2, 6] and sorted(sum(members.values(), [])) == sorted(TWENTY)
    assert split_names(TWENTY, 1) != members and split_names(TWENTY[::-1], 0) == members


@pytest.mark.parametrize("names, parts, sizes", [(20, 5, (14, 2, 4)), (20, 2, (8, 2, 10)), (3, 3, (1, 1, 1))])
def test_every_name_is_tested_in_one_fold(names, parts, sizes):
    names = TWENTY[:names]
    folds = [split_names(names, 0, fold=f"{k + 1}/{parts}") for k in range(parts)]
    assert sorted(name for fold in folds for name in fold["testing"]) == sorted(names)
    for fold in folds:
        assert tuple(len(fold[split]) for split in SPLITS) == sizes
        assert sorted(sum(fold.values(), [])) == sorted(names)
    assert folds == [split_names(names[::-1], 0, fold=f"{k + 1}/{parts}") for k in range(parts)]
    assert len({tuple(fold["validation"]) for fold in folds}) == parts


@pytest.mark.parametrize("count", range(4, 9))
def test_no_split_of_a_fold_is_empty(count):
    for parts in range(2, count + 1):
        for part in range(1, parts + 1):
            members = split_names(TWENTY[:count], 0, fold=f"{part}/{parts}")
            assert all(members.values()), (count, part, parts)
            assert not set(members["training"]) & {*members["validation"], *members["testing"]}


@pytest.mark.parametrize("fold", ["1", "1/1", "3/2", "0/2", "a/b", "1/2/3", "", "1/9999999999", "١/٢"])
def test_what_is_no_fold(fold):
    with pytest.raises(InputError, match=f"--fold: got '{fold}', wanted i/n with 1 <= i <= n and n >= 2"):
        split_names(TWENTY, 0, fold=fold)


def test_more_folds_than_names():
    with pytest.raises(InputError, match="--fold: got '1/5', wanted at least 5 anatomies, found 4"):
        split_names(TWENTY[:4], 0, fold="1/5")
    with pytest.raises(
        InputError, match="--fold: got '1/2', wanted at least 4 lesion masks, found 2; .* more lesion masks"
    ):
        split_names(TWENTY[:2], 0, fold="1/2", share_few=True, what="lesion masks")


def test_shares_add_up():
    assert share_out(10, SHARES) == [6, 1, 3] and share_out(3, SHARES) == [1, 1, 1]
    assert all(sum(share_out(total, SHARES)) == total for total in range(40))
