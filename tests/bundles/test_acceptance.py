# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the Model Zoo accepts, for every bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY, write_head
from monai.bundle import ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out
from released_bundle import shipped

from mededit_monai.methods.record import METHODS, network_named
from mededit_monai.networks import load_weights
from mededit_monai.workflows import bundle_content
from studies.release_check import DEFAULT

#: The zoo's metadata schema, see tests/data/README.md.
SCHEMA = REPOSITORY / "tests" / "data" / "meta_schema_20240725.json"


@pytest.fixture(params=["stroke", "tumor"])
def bundle(request) -> Path:
    return REPOSITORY / "bundles" / request.param


def test_metadata_is_valid(bundle):
    assert SCHEMA.name in json.loads((bundle / "configs" / "metadata.json").read_text())["schema"]
    # Found on disk, MONAI does not download it.
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA))


def test_metadata_without_what_the_schema_asks_for_is_refused(bundle, tmp_path):
    content = json.loads((bundle / "configs" / "metadata.json").read_text())
    del content["network_data_format"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="network_data_format"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


def test_metadata_names_what_is_installed(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    pins = dict(line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().split() if "==" in line)
    for name, version in metadata["required_packages_version"].items():
        assert name == "mededit_monai" or pins[name] == version, name
    assert metadata["monai_version"] == pins["monai"] and metadata["pytorch_version"] == pins["torch"]


def test_network_in_and_out(bundle):
    """The default editor's painter, which ``network_def`` is."""
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        device="cpu",
        n=2,
    )


def test_effects_network_in_and_out(bundle):
    """The network of what moves, by the channels that the metadata has for it; with the default's it is refused."""
    place = bundle / "configs" / "metadata.json"
    formats = json.loads(place.read_text())["effects_network_data_format"]
    asked = {"config_file": str(bundle / "configs" / "inference.yaml"), "bundle_root": str(bundle), "device": "cpu"}
    asked |= {"net_id": "effects_network_def", "meta_file": str(place), "n": 2}
    counts = {
        f"_meta_#network_data_format#{key}#{name}#num_channels": formats[key][name]["num_channels"]
        for key, name in (("inputs", "image"), ("outputs", "pred"))
    }
    verify_net_in_out(**asked, **counts)
    with pytest.raises(RuntimeError, match="channels"):
        verify_net_in_out(**asked)
    told = [
        list(formats[key][name]["channel_def"].values()) for key, name in (("inputs", "image"), ("outputs", "pred"))
    ]
    assert [len(texts) for texts in told] == list(counts.values()) == [7, 7]  # two fields of three components, and one
    assert all(name in text for name, text in zip(network_named("effects").in_names("mask"), told[0]))


def test_metadata_names_the_channels_of_the_default_editor(bundle):
    """In their order, by words that both have."""
    network = METHODS[DEFAULT].network
    formats = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]
    inputs, outputs = (formats[key][name] for key, name in (("inputs", "image"), ("outputs", "pred")))
    assert (inputs["num_channels"], outputs["num_channels"]) == (8, 1) == (network.in_channels("mask"), network.outputs)
    for told, width in ((inputs, 8), (outputs, 1)):
        assert list(told["channel_def"]) == [str(channel) for channel in range(width)]
    for name, text in zip(network.in_names("mask"), inputs["channel_def"].values()):
        assert name in text, (name, text)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name, outputs", [("", 1), ("effects_", 7)])
def test_traced_export(bundle, name, outputs, tmp_path):
    """What MONAI's command makes of the default editor's weights is the two networks that an edit asks."""
    family = network_named("effects") if name else METHODS[DEFAULT].network
    target = tmp_path / "model.ts"
    ckpt_export(
        net_id=f"{name}network_def",
        filepath=str(target),
        ckpt_file=str(bundle / "models" / family.weights_file("mask", 3)),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        use_trace=True,
        bundle_root=str(bundle),
        input_shape=[1, family.in_channels("mask"), 32, 32, 32],
    )
    x = torch.rand(1, family.in_channels("mask"), 32, 32, 32, generator=torch.Generator().manual_seed(0))
    (network,) = bundle_content(bundle, (f"{name}network",))
    with torch.no_grad():
        found, wanted = torch.jit.load(str(target))(x), network.eval()(x)
    assert found.shape[:2] == (1, outputs) and (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("condition", ["mask", "box", "regions"])
def test_the_networks_of_the_bundle(bundle, condition):
    """The default editor's takes every condition, the thesis's one, with weights of its own; both are shipped."""
    default, thesis = bundle_content(bundle, ("network_def", "thesis_network_def"), condition=condition)
    assert (default.in_channels, thesis.in_channels) == (8, 5 if condition == "regions" else 3)
    assert (default.spatial_dims, thesis.spatial_dims) == (3, 2)
    assert load_weights(default, bundle / "models" / "paint_3d.pt") is default
    if (bundle.name, condition) != ("stroke", "regions"):
        assert load_weights(thesis, shipped(bundle.name, METHODS["mededit"].weights_file(condition))) is thesis


@pytest.mark.one_in(2)
def test_no_property_is_missing(bundle, tmp_path):
    head = write_head(tmp_path / "head")
    sizes = {"cohort_size": 4, "validation_size": 2, "batch_size": 2, "progress": False}
    files = {"scan": str(head.scan), "pathology": str(head.pathology)}
    for config, kind, options in (("train.yaml", "train", sizes), ("inference.yaml", "inference", files)):
        options = {**options, "bundle_root": str(bundle), "output_dir": str(tmp_path / "out")}
        workflow = ConfigWorkflow(str(bundle / "configs" / config), logging_file=False, workflow_type=kind, **options)
        workflow.initialize()
        assert workflow.check_properties() == [], config


def test_files_of_the_bundle(bundle):
    for name in (
        "LICENSE",
        "docs/README.md",
        "docs/data_license.txt",
        "configs/logging.conf",
        "models/model.pt",
        "models/paint.pt",
        "models/paint_3d.pt",
        "models/effects.pt",
        "models/effects_3d.pt",
    ):
        assert (bundle / name).is_file(), name
    assert all(path.stat().st_size <= 16e6 for path in (bundle / "models").iterdir())


def test_what_both_share_exists_once():
    """The tumour bundle's configs are the stroke bundle's; what differs is in the metadata."""
    for name in ("inference.yaml", "train.yaml", "multi_gpu_train.yaml", "logging.conf"):
        files = [REPOSITORY / "bundles" / b / "configs" / name for b in ("stroke", "tumor")]
        assert files[1].is_symlink() and files[1].resolve() == files[0].resolve()


def settings(bundle, **options):
    """The options of an edit, as a run of the bundle has them once everything that follows is filled in."""
    return bundle_content(bundle, ("settings",), **options)[0]


def test_the_default_editor(bundle):
    """The one that the release check scores; few evaluations, whatever the disease."""
    found = settings(bundle)
    assert (found.method, found.steps, found.sampler, found.resample) == (DEFAULT, 10, "dpm2m", None)
    assert found.spatial_dims == 3 and settings(bundle, slice_index="auto").spatial_dims == 2
    found = settings(bundle, method="mededit")
    assert (found.steps, found.sampler, found.resample, found.spatial_dims) == (50, "ddpm", 2, 2)


def test_defaults_of_each_disease():
    """Thesis: window, percentile and SDEdit start; boxes are dilated by 20, masks by 25."""
    for bundle, window, percentile, start in (("stroke", 233, 98.0, 0.2), ("tumor", 200, 99.5, 0.6)):
        found = settings(bundle, method="sdedit")
        assert (found.window_mm, found.percentile, found.start) == (window, percentile, start)
        assert found.recorded()["window_mm"] == window and bundle_content(bundle, ("disease",)) == (bundle,)
        assert settings(bundle, method="mededit").dilation == 25
        assert settings(bundle, method="mededit", condition="box").dilation == 20
        assert settings(bundle, window_mm=256, percentile=99).window_mm == 256


def test_weights_are_plain_half_precision(bundle):
    for path in (bundle / "models").glob("*.pt"):
        state = torch.load(path, weights_only=True)
        assert {v.dtype for v in state.values()} == {torch.float16}
        assert all(torch.isfinite(v).all() for v in state.values())
