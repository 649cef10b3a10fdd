# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Batches and augmentations that depend on seed, epoch and case only."""

from __future__ import annotations

import pytest
import torch
from monai.transforms import Compose, Identity, Lambdad, RandFlipd, RandGaussianNoised, ScaleIntensityRanged, Transform
from torch.utils.data import DataLoader

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.caching import cached_cases, training_cases
from mededit_monai.datasets.seeded import EpochBatches, SeededCases
from mededit_monai.sampling.noise import case_seed

CASES = [{"case_id": f"case{k}", "image": torch.full((1, 4, 4), float(k))} for k in range(12)]
NOISY = Compose([RandFlipd("image", prob=0.5, spatial_axis=0), RandGaussianNoised("image", prob=1.0)])


def drawn(order, seed: int = 0, epoch: int = 1) -> dict:
    data = SeededCases(CASES, NOISY, seed)
    items = [data[epoch, k] for k in order]
    return {item["case_id"]: (item["seed"], item["image"].clone()) for item in items}


def same(one, other) -> bool:
    return all(one[k][0] == other[k][0] and torch.equal(one[k][1], other[k][1]) for k in one)


def test_augmentation_is_the_cases_own():
    forward, backward = drawn(range(12)), drawn(reversed(range(12)))
    assert same(forward, backward) and same(drawn([7]), forward)
    assert not same(drawn([7], epoch=2), forward) and not same(drawn([7], seed=1), forward)


def test_workers_change_nothing():
    def run(workers: int) -> list:
        data, sampler = SeededCases(CASES, NOISY), EpochBatches(12, 4)
        loader = DataLoader(data, batch_sampler=sampler, num_workers=workers)
        return [(batch["case_id"], batch["seed"].tolist(), batch["image"]) for batch in loader]

    for one, other in zip(run(0), run(2), strict=True):
        assert one[:2] == other[:2] and torch.equal(one[2], other[2])


def epoch_of(sampler: EpochBatches, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    assert all(key[0] == epoch for batch in sampler for key in batch)
    return [[key[1] for key in batch] for batch in sampler]


def test_an_epoch_takes_every_case_once_in_an_order_of_its_own():
    first, second = (epoch_of(EpochBatches(12, 4), epoch) for epoch in (1, 2))
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(12)) and first != second
    assert epoch_of(EpochBatches(12, 4), 1) == first != epoch_of(EpochBatches(12, 4, seed=1), 1)


def test_short_epochs_take_all_cases_in_turn():
    """Five of twelve at a time: each case once before any comes again, in an order of seed and epoch alone."""
    short = [sum(epoch_of(EpochBatches(12, 1, epoch_cases=5), epoch), []) for epoch in range(1, 6)]
    whole = [sum(epoch_of(EpochBatches(12, 1), epoch), []) for epoch in (1, 2, 3)]
    assert sum(short, []) == sum(whole, [])[:25]
    assert len(EpochBatches(12, 2, epoch_cases=5)) == 2 and len(EpochBatches(12, 4, epoch_cases=30)) == 7
    assert epoch_of(EpochBatches(12, 4, epoch_cases=12), 2) == epoch_of(EpochBatches(12, 4), 2)


def test_an_epoch_that_repeats_its_cases_sees_each_anew():
    """Thirty of twelve: thirty seeds and images; the first turn's seed is what the case alone gets."""
    sampler, data = EpochBatches(12, 2, epoch_cases=30), SeededCases(CASES, NOISY)
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        keys = [key for batch in sampler for key in batch]
        items = [data[key] for key in keys]
        assert len({item["seed"] for item in items}) == len({item["image"].numpy().tobytes() for item in items}) == 30
        firsts = [(key, item["seed"]) for key, item in zip(keys, items, strict=True) if key[2] == 0]
        assert len(firsts) == 12 and all(seed == data[key[:2]]["seed"] for key, seed in firsts)
        halves = [EpochBatches(12, 1, rank=rank, world_size=2, epoch_cases=30) for rank in (0, 1)]
        for half in halves:
            half.set_epoch(epoch)
        assert [key for pair in zip(*halves, strict=True) for one in pair for key in one] == keys


def test_the_seeds_of_whole_epochs_are_pinned():
    """A training of epochs that repeat nothing gives the same bytes as with earlier versions."""
    assert SeededCases(CASES)[3, 7, 0]["seed"] == SeededCases(CASES)[3, 7]["seed"] == case_seed(0, "case7@3")
    for epoch_cases in (None, 12, 5):
        sampler = EpochBatches(12, 1, epoch_cases=epoch_cases)
        for epoch in (1, 2, 3):
            sampler.set_epoch(epoch)
            assert all(key[2] == 0 for batch in sampler for key in batch)


def test_processes_share_the_batches_of_one():
    together = epoch_of(EpochBatches(12, 4), 3)
    apart = [epoch_of(EpochBatches(12, 2, rank=rank, world_size=2), 3) for rank in (0, 1)]
    assert [a + b for a, b in zip(*apart)] == together


def test_a_batch_cut_short_is_dropped():
    assert len(EpochBatches(11, 4)) == len(epoch_of(EpochBatches(11, 4), 1)) == 2


@pytest.mark.parametrize("world, words", [(1, ("9", "8 cases", "at most 8")), (2, ("9 in each of 2", "at most 4"))])
def test_a_batch_larger_than_the_set(world, words):
    with pytest.raises(InputError) as caught:
        EpochBatches(8, 9, rank=0, world_size=world)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("cases", [400, 4])
def test_an_epoch_shorter_than_a_batch(cases):
    with pytest.raises(InputError, match="^--epoch_cases: got 8, but a batch takes 16 cases; wanted at least 16, or a"):
        EpochBatches(cases, 8, epoch_cases=8, rank=0, world_size=2)


@pytest.mark.parametrize("size", [0, -3, 2.5, True])
def test_batches_of_a_mad_size(size):
    with pytest.raises(InputError, match="--batch_size: got .*wanted a whole number of at least 1"):
        EpochBatches(8, size)


@pytest.mark.parametrize("mode, calls", [("memory", 1), ("disk", 1), ("none", 2), ("auto", 1)])
def test_cache_modes(tmp_path, mode, calls):
    """How often the second case is prepared in two epochs."""
    counts: dict[str, int] = {}

    class Prepare(Transform):  # MONAI caches nothing that comes after a bare function
        def __call__(self, case):
            counts[case["case_id"]] = counts.get(case["case_id"], 0) + 1
            return dict(case)

    data = training_cases(CASES, Prepare(), cache=mode, cache_dir=tmp_path / "prepared")
    for _ in range(2):
        assert [float(data[k]["image"].mean()) for k in range(12)] == list(range(12))
    assert counts["case1"] == calls
    assert (tmp_path / "prepared").exists() == (mode == "disk")


def test_another_preparation_does_not_take_what_lies_on_the_disk(tmp_path):
    """The same cases in the same folder, prepared with other settings; one that cannot be pickled goes by its name."""

    def values(*parts: Transform) -> list[float]:
        return [float(one["image"].mean()) for one in cached_cases(CASES[:3], Compose(parts), "disk", tmp_path / "p")]

    assert values(ScaleIntensityRanged("image", 0, 1, 0, 2)) == [0, 2, 4]
    assert values(ScaleIntensityRanged("image", 0, 1, 0, 3)) == [0, 3, 6]
    assert (
        values(ScaleIntensityRanged("image", 0, 1, 0, 2)) == [0, 2, 4] and len(list((tmp_path / "p").glob("*.pt"))) == 6
    )
    assert values(Lambdad("image", func=lambda image: image + 1)) == [1, 2, 3]


def test_little_memory_goes_to_disk(tmp_path, monkeypatch):
    class Little:
        available = 12 * 4 * 4 * 4 * 2 - 1  # one byte short of twice what the cases need

    monkeypatch.setattr("psutil.virtual_memory", lambda: Little)
    cached_cases(CASES, Identity(), cache_dir=tmp_path / "prepared")[0]
    assert list((tmp_path / "prepared").iterdir())
    with pytest.raises(InputError, match="--cache: got 'ram', wanted one of auto, memory, disk, none"):
        cached_cases(CASES, dict, cache="ram")
