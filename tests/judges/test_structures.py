# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Truth in one plane: packing, unpacking, mirroring, and masks by the metrics' words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.diseases import DISEASES
from mededit_monai.judges.structures import as_masks, mirrored, one_structure, pack, structures, unpack


@pytest.mark.parametrize("disease", list(DISEASES))
def test_packing_keeps_every_mask(disease):
    rng = np.random.default_rng(0)
    planes = [rng.random((5, 7)) > 0.5 for _ in structures(disease)]
    packed = torch.from_numpy(pack(planes, np.ones((5, 7))))[None, None]
    found = unpack(packed, len(planes))[0].numpy()
    assert np.array_equal(found, np.stack(planes).astype(np.float32))
    assert np.array_equal(unpack(packed, len(planes) + 1)[0, -1].numpy(), np.ones((5, 7)))


@pytest.mark.parametrize("disease", list(DISEASES))
def test_mirror_exchanges_the_ventricles_and_nothing_else(disease):
    names = structures(disease)
    planes = [np.zeros((4, 4)) for _ in names]
    for k in range(len(names)):
        planes[k][0, k % 4] = 1  # all at the left edge
    packed = torch.from_numpy(pack(planes, np.zeros((4, 4))))[None]
    once = unpack(mirrored(packed, disease)[None], len(names))[0].numpy()
    left, right = names.index("ventricle_left"), names.index("ventricle_right")
    for k in range(len(names)):
        source = {left: right, right: left}.get(k, k)
        assert np.array_equal(once[k], planes[source][::-1])
    assert torch.equal(mirrored(mirrored(packed, disease), disease), packed)


def test_masks_by_hand():
    # pixels: nothing, core, enhancing over edema, right ventricle
    p = np.zeros((1, 8, 1, 4))
    p[0, 0, 0, 1], p[0, 1, 0, 2], p[0, 2, 0, 2], p[0, 4, 0, 3] = 0.9, 0.6, 0.7, 0.5
    p[0, 3, 0, 0] = 0.49
    masks = as_masks(p, "tumor")
    assert masks["regions"].tolist() == [[[0, 1, 3, 0]]] and masks["pathology"].tolist() == [
        [[False, True, True, False]]
    ]
    assert masks["ventricles"].tolist() == [[[0, 0, 0, 2]]]
    assert one_structure(masks, "enhancing", "tumor").tolist() == [[[False, False, True, False]]]
    assert one_structure(masks, "ventricle_right", "tumor").tolist() == [[[False, False, False, True]]]
    assert "regions" not in as_masks(p[:, :6], "stroke")


def test_a_piece_of_lesion_needs_a_peak():
    """Pieces hang together by corners and across parts; what is dropped is tissue again."""
    p = np.zeros((1, 8, 3, 5))
    p[0, 0, 0, 0], p[0, 1, 1, 1] = 0.95, 0.6  # core, and edema at its corner
    p[0, 2, 0, 4], p[0, 7, 0, 4] = 0.85, 0.7  # a rim of its own, over white matter
    assert as_masks(p, "tumor")["regions"].sum() == 1 + 2 + 3
    kept = as_masks(p, "tumor", peak=0.9)
    assert kept["regions"].tolist() == [[[1, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0] * 5]]
    assert kept["pathology"].sum() == 2 and kept["tissue"][0, 0, 4] == 3
    assert not as_masks(p, "tumor", peak=0.96)["pathology"].any()
    volume = as_masks(np.stack([p, np.zeros_like(p)], axis=-1), "tumor", peak=0.9)["regions"]
    assert np.array_equal(volume[..., 0], kept["regions"]) and not volume[..., 1].any()


def test_tissue_by_hand():
    # pixels: gray over white, white, lesion over fluid, left ventricle over fluid, nothing
    p = np.zeros((1, 6, 1, 5))
    p[0, 4, 0, 0], p[0, 5, 0, 0], p[0, 5, 0, 1] = 0.7, 0.6, 0.8
    p[0, 0, 0, 2], p[0, 3, 0, 2], p[0, 1, 0, 3], p[0, 3, 0, 3], p[0, 3, 0, 4] = 0.6, 0.9, 0.5, 0.9, 0.4
    masks = as_masks(p, "stroke")
    assert masks["tissue"].tolist() == [[[2, 3, 0, 0, 0]]] and masks["tissue"].dtype == np.uint8
    assert one_structure(masks, "gray", "stroke").tolist() == [[[True, False, False, False, False]]]
    assert set(as_masks(p[:, :3], "stroke")) == {"pathology", "ventricles"}  # a judge that never learned it
