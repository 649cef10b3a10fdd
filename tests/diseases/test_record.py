# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Diseases as records: what follows from their numbers, which are known, and what it costs to look at them."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES, STRATA
from mededit_monai.diseases.record import as_given, no_displacement
from mededit_monai.simulation.embedded import write_embedded_cohort
from mededit_monai.simulation.plan import Recipe


def test_looking_at_the_diseases_is_quick():
    """Verbs that only need names and numbers shall not wait for torch, SciPy or MONAI."""
    heavy = "{'torch', 'monai', 'scipy.ndimage', 'nibabel', 'matplotlib'}"
    words = f"import sys; from mededit_monai.diseases import DISEASES; print(*DISEASES, {heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["stroke", "tumor", "set()"]


@pytest.mark.parametrize("name", ["strok", "flu", "", None, 3])
def test_an_unknown_disease_is_refused(name, tmp_path):
    assert name not in DISEASES
    calls = (lambda: DISEASES[name], Recipe(name).check, lambda: write_embedded_cohort(tmp_path / "c", name, 1, 1, 0))
    for call in calls:
        with pytest.raises(InputError, match=f"--disease: got '{name}', wanted one of stroke, tumor") as caught:
            call()
        assert ("did you mean 'stroke'?" in str(caught.value)) == (name == "strok")
    assert not list(tmp_path.iterdir())


def test_size_strata_by_hand():
    disease = replace(DISEASES["stroke"], window=256, strata=(10.0, 100.0), areas=(2.0, 500.0))
    assert disease.pixel_mm == 2
    assert [disease.stratum_of(a) for a in (9.9, 10, 100, 100.1)] == ["small", "medium", "medium", "large"]
    assert [disease.bounds_mm2(s) for s in STRATA] == [(8, 40), (40, 400), (400, 2000)]


def test_masks_with_one_structure_and_with_several():
    stroke, tumor = DISEASES["stroke"], DISEASES["tumor"]
    assert not stroke.labels and stroke.mask_key == "pathology" and stroke.channel_name == "T1"
    assert tumor.labels and tumor.mask_key == "regions" and tumor.channel_name == "T1Gd"
    assert stroke.label_numbers == {"background": 0, "lesion": 1}
    assert tumor.label_numbers == {"background": 0, "necrotic core": 1, "edema": 2, "enhancing": 3}
    assert replace(tumor, label_names=()).label_numbers == {"background": 0, "core": 1, "edema": 2, "enhancing": 3}


def test_a_disease_that_says_nothing_of_it_moves_nothing_and_takes_masks_as_they_are():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    for shape in ((4, 5), (4, 5, 6)):
        regions = np.ones(shape, np.uint8)
        velocity, drawn = no_displacement(None, regions, rng)
        assert velocity.shape == (len(shape), *shape) and velocity.dtype == np.float32 and not velocity.any()
        assert drawn == {} and as_given(None, regions, rng) == (regions, {"lesion_kind": "given"})
    assert rng.bit_generator.state == before


def test_a_large_volume_is_a_ball_as_wide_as_a_large_slice():
    """397 pixels are a disc of 11.24 pixels' radius."""
    tumor = DISEASES["tumor"]
    assert (tumor.large_points(2), tumor.large_points(3)) == (397, round(4 / 3 * np.pi * 11.2414**3))
    assert tumor.stratum_of(tumor.large_points(2)) == "medium" and tumor.stratum_of(398) == "large"


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_a_ball_is_in_the_stratum_of_its_disc(name):
    disease = DISEASES[name]
    for bound, (below, above) in zip(disease.strata, (("small", "medium"), ("medium", "large"))):
        radius = math.sqrt(bound / math.pi) * disease.pixel_mm
        ml = 4 / 3 * math.pi * radius**3 / 1000
        assert disease.stratum_of_volume(0.99 * ml) == below and disease.stratum_of_volume(1.01 * ml) == above
