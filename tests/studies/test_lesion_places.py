# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from lesions.ball import box_mask

from mededit_monai.core.errors import InputError
from mededit_monai.io.outputs import write_output
from mededit_monai.lesions.places import SHIPPED, Gaussian, Places, shipped
from mededit_monai.lesions.territories import SIDES, TERRITORIES
from studies import lesion_places
from studies.lesion_places import FIRST, STEP, Maps, numbers_page


def test_a_map_counts_lesions_and_not_points():
    """Two lesions of 8 mm³ at one voxel, one in points of 1 mm³, and one of half its volume elsewhere."""
    maps = Maps()
    corner = FIRST + STEP * np.array([10, 20, 30])
    fine = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3)
    maps.add(corner + fine, 1.0, "MCA")
    maps.add(corner[None], 8.0, "MCA")
    maps.add(corner + [[2, 0, 0]], 4.0, "MCA")
    maps.add(np.array([[500.0, 0, 0]]), 8.0, "ACA")
    assert maps.counts["MCA"][10, 20, 30] == 2 and maps.counts["MCA"][11, 20, 30] == 0.5
    assert maps.counts["MCA"].sum() == 2.5 and maps.counts["ACA"].sum() == 0


def test_the_page_says_what_the_table_holds():
    cloud = Gaussian(0.75, (31.4, -14.0, 24.2), ((9.0, 0, 0), (0, 9.0, 0), (0, 0, 9.0)))
    clouds = {(t, s): [] for t in TERRITORIES for s in ("small", "medium", "large")}
    page = numbers_page(Places("us", {("MCA", "left", "small"): 3}, clouds | {("MCA", "small"): [cloud]}))
    assert "From us." in page and "| MCA | small | 3 | 0 | (31 -14 24) 75% |" in page
    assert "| VB | large | 0 | 0 | too few |" in page


def test_the_committed_page_is_of_the_committed_table(repository):
    page = (repository / "docs" / "results" / "lesion_places.md").read_text(encoding="utf-8")
    assert page == numbers_page(shipped())
    counts = json.loads(SHIPPED.read_text(encoding="utf-8"))["territories"]
    assert page.startswith("# Where strokes are\n\nFrom 1258 ")
    assert sum(one[side] for strata in counts.values() for one in strata.values() for side in SIDES) == 1258


def test_the_study_writes_table_maps_and_picture(tmp_path, monkeypatch, capsys):
    for k in range(3):
        box_mask(tmp_path / "in" / f"{k}.nii.gz", (-45, -10 + k, 20), 8)
    words = f"x --lesions {tmp_path / 'in'} -o {tmp_path / 'out'} --table {tmp_path / 'table.json'}"
    monkeypatch.setattr("sys.argv", words.split())
    lesion_places.main()
    names = {path.name for path in (tmp_path / "out").iterdir()} - {".mededit.json"}
    assert names == {"places.json", "places.md", "places.png", *(f"lesions_{name}.nii" for name in TERRITORIES)}
    assert (tmp_path / "table.json").read_bytes() == (tmp_path / "out" / "places.json").read_bytes()
    assert "| MCA | medium | 3 | 0 | too few |" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "table.json", ".mededit.json"}


@pytest.mark.parametrize("more", ["", " --overwrite"])
@pytest.mark.parametrize("name", ["table.json", "out/places.md"])
def test_a_file_of_the_users_is_not_replaced(tmp_path, monkeypatch, capsys, name, more):
    """Said before the masks are read."""
    (tmp_path / "out").mkdir()
    (tmp_path / name).write_text("years of work")
    monkeypatch.setattr(lesion_places, "places_of", lambda *given, **options: pytest.fail("the masks were read"))
    words = f"x --lesions {tmp_path / 'in'} -o {tmp_path / 'out'} --table {tmp_path / 'table.json'}{more}"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit) as ended:
        lesion_places.main()
    assert ended.value.code == 2 and "was not written by mededit" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "years of work"


def test_another_table_of_ours_is_replaced_if_that_is_wanted(tmp_path, monkeypatch):
    box_mask(tmp_path / "in" / "0.nii.gz", (-45, -10, 20), 8)
    table = tmp_path / "table.json"
    write_output(table, b"an earlier one")
    given = str(tmp_path / "in"), str(tmp_path / "out"), str(table)
    with pytest.raises(InputError, match="with other content; choose another name, or give --overwrite"):
        lesion_places.lesion_places(*given)
    assert table.read_bytes() == b"an earlier one"
    lesion_places.lesion_places(*given, overwrite=True)
    assert table.read_bytes() == (tmp_path / "out" / "places.json").read_bytes()
