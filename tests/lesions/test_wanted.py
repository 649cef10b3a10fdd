# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.lesions.wanted import Wanted, from_words


def test_words_in_any_order_and_case():
    wanted = {from_words(" ".join(words)) for words in permutations(["mca", "Left", "LARGE"])}
    assert wanted == {Wanted(stratum="large", side="left", territory="MCA")}


@pytest.mark.parametrize(
    "words, wanted",
    [
        ("sphere 38 -24 23 14", Wanted("sphere", (38, -24, 23), (14, 14, 14))),
        ("mni box -1.5 2 3 4 5 6", Wanted("box", (-1.5, 2, 3), (4, 5, 6), "mni")),
        ("ellipsoid 1 2 3 4 native", Wanted("ellipsoid", (1, 2, 3), (4, 4, 4), "native")),
        ("left random 'my masks/a b' 5-50.5ml", Wanted(folder="my masks/a b", side="left", volume_ml=(5, 50.5))),
        ("mask a.nii.gz mni", Wanted(mask="a.nii.gz", space="mni")),
        (r"mask C:\masks\a.nii", Wanted(mask=r"C:\masks\a.nii")),
    ],
)
def test_what_words_mean(words, wanted):
    assert from_words(words) == wanted


@pytest.mark.parametrize(
    "words, said",
    [
        ("MCA lefft", "'lefft' in 'MCA lefft' is not understood; did you mean 'left'\\?.*small, medium, large"),
        ("left right", "'right' in 'left right' says the side a second time"),
        ("sphere 38 -24 23", "has 3 numbers after it, wanted X Y Z and a radius"),
        ("sphere 1 2 3 4 5 6", "has 6 numbers after it"),
        ("box 1", "has 1 number after it"),
        ("sphere 1 2 3 0", "--lesion: 'sphere 1 2 3 0': radius: got 0.0, wanted a positive number of mm"),
        ("sphere 1 2 nan 4", "--lesion: .*: centre: got .*nan"),
        ("sphere 1 2 3 4 MCA", ": territory: got 'MCA', but the shape 'sphere' takes none"),
        ("mask a.nii left", ": side: got 'left', but a mask takes none"),
        ("mask a.nii random b", ": mask: was given together with random"),
        ("random", "'random' in 'random' names no path"),
        ("random b 5-5ml", ": volume: got"),
        ("MCA 5-50ml", ": volume: got .* but a lesion drawn in a territory takes none"),
        ("random b mni", ": space: got 'mni', but a random mask takes none"),
        ("mask 'a", "quotation mark that is not closed"),
        (" ", "wanted words"),
        (3, "got 3, wanted words"),
    ],
)
def test_words_that_are_not_understood(words, said):
    with pytest.raises(InputError, match=said):
        from_words(words)


def test_relative_paths_are_the_lists_own():
    assert from_words("mask a/b.nii").beside(Path("/data")).mask == "/data/a/b.nii"
    assert from_words("random /masks").beside(Path("/data")).folder == "/masks"
    assert from_words("MCA").beside(Path("/data")) == Wanted(territory="MCA")


def test_options_are_checked_without_words():
    for given, said in (
        ({"shape": "ball"}, "--shape"),
        ({"side": "Left"}, "--side: got 'Left'.*did you mean 'left'"),
        ({"territory": "BA"}, "--territory"),
        ({"shape": "sphere", "centre": (1, 2, 3)}, "--radius: is missing"),
        ({"shape": "box", "radii": (1, 2, 3)}, "--centre: is missing"),
        ({"shape": "box", "centre": (1, 2, 3), "radii": (1, 2, 300)}, "--radii: got"),
    ):
        with pytest.raises(InputError, match=said):
            Wanted(**given).check()
