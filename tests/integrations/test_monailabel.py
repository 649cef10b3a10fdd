# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The app of MONAI Label, with a stand-in for MONAI Label and one for the edit."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from integrations.monailabel_stand_in import modules

from mededit_monai.core.errors import InputError

APP = Path(__file__).resolve().parents[2] / "integrations" / "monailabel"


@pytest.fixture()
def app(monkeypatch):
    """Imports a module of the app, as MONAI Label does: with the app's folder on the path."""
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(str(APP))
    for name in ("main", "lib", "lib.edit_request", "lib.infers", "lib.infers.mededit"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in ("main", "lib", "lib.edit_request", "lib.infers", "lib.infers.mededit"):
        sys.modules.pop(name, None)


@pytest.fixture()
def files(tmp_path) -> dict[str, str]:
    for name in ("t1.nii.gz", "lesion.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    return {"image": str(tmp_path / "t1.nii.gz"), "label": str(tmp_path / "lesion.nii.gz")}


class Edits:
    """In the place of :func:`mededit_monai.edit`."""

    def __init__(self, suffix: str = ".nii.gz") -> None:
        self.suffix, self.asked = suffix, {}

    def __call__(self, scan, pathology, output_dir, **options):
        self.asked = {"scan": scan, "pathology": pathology, **options}
        self.folder = output_dir / "case"
        self.folder.mkdir(parents=True)
        (self.folder / f"edited{self.suffix}").write_bytes(b"edited")
        facts = {"synthetic": True, "seed": options.get("seed", 0), "warnings": ["w"], "inputs": {"scan": scan}}
        (self.folder / "provenance.json").write_text(json.dumps(facts))
        return [self.folder]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_request_becomes_an_image(app, files, suffix):
    edits = Edits(suffix)
    request = files | {
        "seed": "7",
        "effects": 0.5,
        "slice_index": "12",
        "device": "cpu",
        "model": "m",
        "brain": "/etc/x",
    }
    place, facts = app("lib.edit_request").edited_image(request, "tumor", edits)
    try:
        assert Path(place).read_bytes() == b"edited" and place.endswith(suffix)
    finally:
        Path(place).unlink()
    assert facts == {"synthetic": True, "seed": 7, "warnings": ["w"]} and not edits.folder.exists()
    wanted = {"bundle": "tumor", "progress": False, "seed": 7, "effects": 0.5, "slice_index": 12, "device": "cpu"}
    assert edits.asked == {"scan": files["image"], "pathology": files["label"], **wanted}  # no file that a client names


@pytest.mark.parametrize(
    "change, words",
    [
        ({"label": None}, "label: got None, wanted the mask of the lesion"),
        ({"image": "gone.nii.gz"}, "image: got 'gone.nii.gz', wanted a T1 scan"),
        ({"seed": "x"}, "seed: got 'x', wanted a whole number"),
        ({"effects": [1]}, r"effects: got \[1\], wanted a number"),
    ],
)
def test_a_request_that_cannot_be_met(app, files, change, words):
    edits = Edits()
    with pytest.raises(InputError, match=words):
        app("lib.edit_request").edited_image(files | change, "stroke", edits)
    assert edits.asked == {}


def test_the_options_are_those_of_an_edit(app):
    from mededit_monai.core.options import options_of
    from mededit_monai.methods.edit_options import EditOptions

    declared = options_of(EditOptions)
    for name, kind in app("lib.edit_request").OPTIONS.items():
        assert not declared[name].file and declared[name].kind in (kind, str, int)


def test_the_app(app, files, monkeypatch, tmp_path):
    main = app("main")
    made = main.MyApp(str(APP), str(tmp_path), {})
    models = made.info()["models"]
    assert list(models) == ["mededit_stroke", "mededit_tumor"]
    assert models["mededit_tumor"]["type"] == "others" and models["mededit_tumor"]["dimension"] == 3
    asked = []
    infers = app("lib.infers.mededit")
    monkeypatch.setattr(
        infers, "edited_image", lambda *given: asked.append(given) or ("edited.nii.gz", {"synthetic": True})
    )
    answer = made.infer(files | {"model": "mededit_tumor"})
    assert answer["file"] == "edited.nii.gz" and answer["params"] == {"synthetic": True}
    ((request, bundle),) = asked
    assert bundle == "tumor" and request["seed"] == 0 and request["label"] == files["label"]
    assert list(main.MyApp(str(APP), str(tmp_path), {"models": "stroke"}).info()["models"]) == ["mededit_stroke"]
    with pytest.raises(SystemExit, match="--conf models: got spleen, wanted some of stroke, tumor"):
        main.MyApp(str(APP), str(tmp_path), {"models": "stroke, spleen"})
