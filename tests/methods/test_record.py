# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Records of the methods: channels, files, defaults and regions, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.record import METHODS, Method, method_of, network_named, networks

NAMES = ("morph", "mededit", "naive_repaint", "sdedit", "palette", "palette_original")


@pytest.mark.parametrize(
    ("method", "condition", "channels", "file"),
    [
        ("mededit", "mask", "x_t brain mask", "model.pt"),
        ("naive_repaint", "box", "x_t brain box", "model_box.pt"),
        ("sdedit", "regions", "x_t brain core edema rim", "model_regions.pt"),
        ("palette", "mask", "x_t|scan with a hole", "palette.pt"),
        ("palette_original", "box", "x_t|scan with a hole", "palette_original.pt"),
        ("morph", "regions", "y_t|brain|mask|box|core|edema|rim|displaced scan", "paint.pt"),
        ("morph", "box", "y_t|brain|mask|box|core|edema|rim|displaced scan", "paint.pt"),
    ],
)
def test_channels_and_files(method, condition, channels, file):
    record = METHODS[method]
    names = tuple(channels.split("|" if "|" in channels else " "))
    assert record.network.in_names(condition) == names
    assert record.network.in_channels(condition) == len(names)
    assert record.weights_file(condition) == record.network.weights_file(condition) == file


def test_what_the_networks_give():
    found = {name: (one.outputs, one.prediction, one.state) for name, one in networks().items()}
    inpainting = (1, "v_prediction", "x_t")
    assert found == {
        "paint": (1, "sample", "y_t"),
        "med_ddpm": (1, "epsilon", "x_t"),
        "autoencoder": (1, "sample", "volume"),
        "effects": (5, "sample", "scan"),
        **dict.fromkeys(("mededit", "palette", "palette_original"), inpainting),
    }


def test_methods_may_share_a_network():
    assert METHODS.names() == NAMES
    assert all(METHODS[name].network is network_named("mededit") for name in ("mededit", "naive_repaint", "sdedit"))
    assert all(network_named(name) is METHODS[name].network for name in ("palette", "palette_original"))
    assert network_named("paint") is METHODS["morph"].network
    assert (method_of("mededit"), method_of("paint")) == (METHODS["mededit"], METHODS["morph"])


def test_the_effects_network_is_no_method_s_own():
    """Scan, brain and every condition; no noise, no method that asks it by itself."""
    effects = network_named("effects")
    assert effects.in_names("box") == ("scan", "brain", "mask", "box", "core", "edema", "rim")
    assert method_of("effects") is None and "effects" not in METHODS


@pytest.mark.parametrize(
    ("name", "slices", "volumes"),
    [
        ("effects", "effects.pt", "effects_3d.pt"),
        ("mededit", "model_box.pt", "model_box_3d.pt"),
        ("paint", "paint.pt", "paint_3d.pt"),
    ],
)
def test_files_of_networks_for_slices_and_for_volumes(name, slices, volumes):
    network = network_named(name)
    assert (network.weights_file("box"), network.weights_file("box", 3)) == (slices, volumes)
    assert (network.own_dims(2), network.own_dims(3)) == (2, 3)
    alone = replace(network, spatial_dims=(2,))  # volumes are given to it slice by slice
    assert alone.own_dims(3) == 2 and alone.weights_file("box", 3) == slices


def test_a_method_without_a_network_has_no_weights():
    assert (
        Method("nothing", "changes nothing", editor=lambda scheduler: None, network=None).weights_file("mask") is None
    )


@pytest.mark.parametrize("ask", [lambda: METHODS["mededits"], lambda: EditOptions.of({"method": "mededits"})])
def test_an_unknown_method(ask):
    with pytest.raises(InputError, match=f"--method: got 'mededits', wanted one of {', '.join(NAMES)}; did you mean"):
        ask()


def test_the_method_that_is_no_more():
    """Scripts of the first version: refused as any unknown method is, and never edited by another."""
    with pytest.raises(InputError, match="--method: got 'prior', wanted one of morph, mededit"):
        EditOptions.of({"method": "prior"})


def test_an_unknown_network_and_an_unknown_condition():
    with pytest.raises(InputError, match="--family: got 'sdedit', wanted one of paint, mededit, palette, palette"):
        network_named("sdedit")
    for ask in (network_named("paint").in_channels, network_named("paint").weights_file):
        with pytest.raises(InputError, match="--condition: got 'boxes'"):
            ask("boxes")


#: Method → what follows for steps, sampler, resample, start and dilation; None: no such thing, or off.
DEFAULTS = {
    "morph": (10, "dpm2m", None, None, None),
    "mededit": (50, "ddpm", 2, None, 25),
    "naive_repaint": (50, "ddpm", 2, None, None),
    "sdedit": (50, "ddpm", None, 0.2, None),
    "palette": (50, "ddpm", None, None, None),
    "palette_original": (50, "ddpm", None, None, None),
}


def following(disease: str, **given) -> tuple:
    """What the options are once everything that follows is filled in."""
    found = EditOptions.of(given).resolved(DISEASES[disease])
    return found.steps, found.sampler, found.resample, found.start, found.dilation


@pytest.mark.parametrize("method", NAMES)
def test_defaults_of_methods(method):
    assert following("stroke", method=method) == DEFAULTS[method]
    given = {"steps": 7, "sampler": "dpm2m"}
    assert following("stroke", method=method, **given) == (7, "dpm2m", *DEFAULTS[method][2:])


def test_what_moves_by_default():
    """Tissue, with the editor that is made for it; the thesis's methods stay the thesis's."""
    found = {method: EditOptions.of({"method": method}).resolved(DISEASES["stroke"]).effects for method in NAMES}
    assert found == dict.fromkeys(NAMES, 0.0) | {"morph": 1.0}
    given = EditOptions.of({"method": "morph", "effects": 0}).resolved(DISEASES["stroke"])
    assert given.effects == 0 and given.recorded()["effects"] == 0


@pytest.mark.parametrize(
    ("given", "dims"),
    [
        ({}, 3),
        ({"slice_index": "all"}, 3),
        ({"slice_index": "auto"}, 2),
        ({"slice_index": 80}, 2),
        ({"spatial_dims": 2}, 2),
        ({"spatial_dims": 3}, 3),
        ({"method": "mededit"}, 2),
        ({"method": "mededit", "spatial_dims": 3}, 3),
        ({"method": "sdedit", "slice_index": "auto"}, 2),
    ],
)
def test_whether_slices_or_volumes_are_edited(given, dims):
    """Volumes by the default editor, unless a slice is chosen; slices by the thesis's methods."""
    found = EditOptions.of(given).resolved(DISEASES["stroke"])
    assert found.spatial_dims == found.recorded()["spatial_dims"] == dims
    assert [name for name in NAMES if METHODS[name].volume_defaults] == ["morph"]


@pytest.mark.parametrize("index", ["auto", 80])
def test_a_slice_of_a_volume_that_is_edited_as_a_whole_is_refused(index):
    given = {"slice_index": index, "spatial_dims": 3}
    found = EditOptions.of(given).resolved(DISEASES["stroke"])
    with pytest.raises(InputError, match=f"--slice_index: got {index!r}, but it applies to --spatial_dims 2; leave"):
        found.refuse_useless(given)


@pytest.mark.parametrize(("dims", "strengths"), [(2, [1.1, 1.1, 1.25]), (3, [1.2, 1.2, 1.2])])
def test_the_strength_of_the_paint_is_that_of_its_painter(dims, strengths):
    asked = [{"spatial_dims": dims, "condition": condition} for condition in ("mask", "box", "regions")]
    assert [EditOptions.of(one).resolved(DISEASES["tumor"]).guidance for one in asked] == strengths
    assert EditOptions.of({"spatial_dims": dims, "guidance": 2}).resolved(DISEASES["tumor"]).guidance == 2


@pytest.mark.parametrize(
    ("disease", "given", "drawn"),
    [
        ("tumor", {}, True),
        ("stroke", {}, False),
        ("tumor", {"spatial_dims": 2}, False),
        ("tumor", {"condition": "regions"}, False),
        ("tumor", {"condition": "box"}, False),
        ("tumor", {"draw_regions": False}, False),
        ("tumor", {"spatial_dims": 2, "draw_regions": True}, True),
    ],
)
def test_whether_a_tumour_s_regions_are_drawn(disease, given, drawn):
    """Where nothing is known but the mask of a whole tumour, on the scale that the regions' law is in."""
    found = EditOptions.of(given).resolved(DISEASES[disease])
    assert found.draw_regions is found.recorded()["draw_regions"] is drawn
    assert found.editor_settings().get("pixel_mm") == (200 / 128 if drawn else None)


@pytest.mark.parametrize(
    ("given", "said", "disease"),
    [
        (
            {"condition": "regions", "draw_regions": True},
            "--draw_regions: applies to --condition mask, not to regions",
            "tumor",
        ),
        ({"method": "sdedit", "draw_regions": True}, "--draw_regions: got True, which sdedit cannot do", "tumor"),
        ({"draw_regions": True}, "--draw_regions: applies to tumours, not to stroke; leave it out", "stroke"),
    ],
)
def test_regions_that_cannot_be_drawn(given, said, disease):
    with pytest.raises(InputError, match=said):
        EditOptions.of(given).resolved(DISEASES[disease])


def test_what_follows_from_condition_region_and_disease():
    assert following("stroke", method="mededit", condition="box")[4] == 20
    assert following("stroke", method="mededit", condition="box", dilation=7)[4] == 7
    assert following("stroke", method="mededit", region="brain")[4] is None  # nothing is dilated
    assert following("tumor", method="sdedit")[3] == 0.6
    windows = [
        (one.window_mm, one.percentile) for one in map(EditOptions().resolved, map(DISEASES.get, ("stroke", "tumor")))
    ]
    assert windows == [(233, 98.0), (200, 99.5)]


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("mededit", {None: "dilate", "auto": "brain", "pathology": "pathology", "m.nii.gz": "file"}),
        ("morph", {None: "brain"}),
        ("naive_repaint", {None: "pathology"}),
        ("sdedit", {None: "image"}),
        ("palette", {None: "image"}),
        ("palette_original", {None: "pathology"}),
    ],
)
def test_regions_of_the_methods(method, words):
    """A method's own region, whatever is asked for; --region for those that have none."""
    assert {asked: METHODS[method].region_word(asked) for asked in words} == words
