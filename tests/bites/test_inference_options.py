# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of inference.yaml arrives at the component that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bites.wiring import TUMOR, Bench, Built, Wire, listen, name_of, settable

from mededit_monai.core.options import options_of
from mededit_monai.methods.edit_options import EditOptions

FILES = ["inference.yaml"]

#: What inference.yaml makes of its options.
SECTIONS = ["imports", "settings", "options", "weights_file", "scheduler", "network_size", "network_def"]
SECTIONS += [
    "thesis_network_def",
    "editing_network",
    "effects_weights_file",
    "effects_network_def",
    "effects_network",
    "memory_format",
    "network",
    "preprocessing",
    "request",
    "cases",
    "dataset",
]
SECTIONS += [
    "dataloader",
    "inferer",
    "writer",
    "case_progress",
    "handlers",
    "evaluator",
    "initialize",
    "run",
    "inference",
]

#: An edit in which tissue moves.
MOVING = {"effects": 1.0, "effects_weights": "effects.pt"}

#: A method to which every option means something.
COMPOSED = {"method": "mededit", "steps": 20, "resample": 1}


def at(item: str, attribute: str):
    """An attribute of a component."""
    return lambda built: getattr(built(item), attribute)


def cases(argument: str):
    """What the cases are looked for with."""
    return lambda built: built("cases")[0][argument]


def transform(kind: str, attribute: str):
    """An attribute of one of the transforms of a case."""
    return lambda built: getattr(built.of("preprocessing", kind), attribute)


def one_by_one(attribute: str):
    """An attribute of what decides about a case that cannot be used."""
    return lambda built: getattr(built("dataset").transform.transforms[0], attribute)


def loaded(argument: str):
    """What the weights were loaded with."""
    return lambda built: built("network").asked[argument]


def highest(built: Built) -> int:
    """The noisiest timestep that the sampler begins at."""
    return built("inferer").levels.timesteps[-1]


def lowest_return(built: Built) -> int:
    """The lowest timestep from which the sampler goes back up."""
    inferer = built("inferer")
    return min((inferer.levels.timesteps[start] for start, to in inferer.moves if to > start), default=0)


def channels_last(built: Built) -> bool:
    """Whether the network's weights lie channels last in memory."""
    return any(not weight.is_contiguous() for weight in built("network").parameters())


WIRES = [
    Wire("bundle_root", TUMOR, lambda b: Path(b("weights_file")).parts[-3], "tumor"),
    Wire("prepare", True, transform("PrepareCased", "prepare"), True),
    Wire("prepare", False, transform("LoadCased", "extract"), False),
    Wire("spatial_dims", 2, transform("PrepareCased", "spatial_dims"), 2),
    Wire("slice_index", "auto", transform("PrepareCased", "spatial_dims"), 2),
    Wire("disease", "tumor", transform("LoadCased", "labels"), True),
    Wire("disease", "tumor", transform("ToModelSpaced", "window"), 200),
    Wire("disease", "tumor", transform("ToModelSpaced", "percentile"), 99.5),
    Wire("disease", "tumor", lambda b: 500 < highest(b) < 600, True, {"method": "sdedit"}),  # from 0.6 T, not 0.2
    Wire("device", "cpu:0", lambda b: b("evaluator").state.device, torch.device("cpu:0")),
    Wire("output_dir", "elsewhere", cases("output_dir")),
    Wire("output_dir", "elsewhere", lambda b: b("writer").output_dir, Path("elsewhere")),
    Wire("scan", "T1.nii.gz", cases("scan")),
    Wire("pathology", "lesion.nii.gz", cases("pathology")),
    Wire("lesion", "MCA left", cases("lesion")),
    Wire("brain", "brain.nii.gz", cases("brain")),
    Wire("echo", 1, lambda b: b("request")["echo"]),
    Wire("datalist", "mine.json", cases("datalist")),
    Wire("dataset_dir", "mine", cases("dataset_dir")),
    Wire("shard", "1/2", cases("shard")),
    Wire("condition", "box", transform("LoadCased", "condition")),
    Wire("condition", "box", transform("ToModelSpaced", "condition")),
    Wire("condition", "box", at("inferer", "condition")),
    Wire("condition", "regions", at("editing_network", "in_channels"), 5, COMPOSED),
    Wire("condition", "box", lambda b: Path(b("weights_file")).name, "model_box.pt", COMPOSED),
    Wire("condition", "box", at("inferer", "dilation"), 20, COMPOSED),
    Wire("method", "sdedit", lambda b: type(b("inferer")).__name__, "SDEditEditor"),
    Wire("method", "mededit", lambda b: Path(b("weights_file")).name, "model.pt"),
    Wire("method", "mededit", at("editing_network", "in_channels"), 3),
    Wire("weights", "mine.pt", lambda b: str(loaded("path")(b))),
    Wire("weights", "mine.pt", lambda b: b("request")["weights_sha256"], "the hash of mine.pt"),
    Wire("weights_dir", "mine", lambda b: str(loaded("path")(b)), "mine/paint_3d.pt"),
    Wire("region", "brain", cases("region"), beside=COMPOSED),
    Wire("region", "brain", transform("ToModelSpaced", "region"), beside=COMPOSED),
    Wire("region", "auto", at("inferer", "auto_region"), True, COMPOSED),
    Wire("dilation", 9, transform("ToModelSpaced", "dilation"), beside=COMPOSED),
    Wire("dilation", 9, at("inferer", "dilation"), beside=COMPOSED),
    Wire("draw_regions", False, at("inferer", "draw_regions"), beside={"disease": "tumor"}),
    Wire("spatial_dims", 2, lambda b: b("settings").spatial_dims),
    Wire("spatial_dims", 2, at("effects_network_def", "spatial_dims")),
    Wire("spatial_dims", 2, at("editing_network", "spatial_dims")),
    Wire("spatial_dims", 2, transform("ToModelSpaced", "depth"), None),
    Wire("spatial_dims", 2, transform("ToModelSpaced", "fine"), False),
    Wire("spatial_dims", 2, at("inferer", "guidance"), 1.1),
    Wire("spatial_dims", 2, lambda b: Path(b("weights_file")).name, "paint.pt"),
    Wire("spatial_dims", 3, lambda b: Path(b("weights_file")).name, "model_3d.pt", COMPOSED),
    Wire("effects", 0.5, at("inferer", "strength"), beside=MOVING),
    Wire("global_atrophy", 0.5, at("inferer", "global_atrophy"), beside=MOVING),
    Wire("course", 3, lambda b: b("evaluator").prepare_batch.course, beside=MOVING),
    Wire("samples", 3, at("inferer", "draws"), True, MOVING),
    Wire("condition", "box", lambda b: b("inferer").condition, beside=MOVING),
    Wire("exact", True, lambda b: b("inferer").exact, beside=MOVING),
    Wire("window_mm", 128, at("effects_network_def", "pixel_mm"), 1.0),
    Wire("effects_weights", "mine.pt", lambda b: str(b("effects_network").asked["path"]), beside=MOVING),
    Wire("effects_weights", "mine.pt", lambda b: b("request")["effects_sha256"], "the hash of mine.pt", MOVING),
    Wire("carry", ["a.nii.gz"], cases("carry"), beside=MOVING),
    Wire("lesion_label", 7, lambda b: b("request")["lesion_label"], beside={**MOVING, "carry": ["a.nii.gz"]}),
    Wire("course", 3, at("writer", "course"), beside=MOVING),
    Wire("sampler", "ddim", lambda b: b("inferer").sampler_type.__name__, "DDIM"),
    Wire("eta", 0.25, lambda b: b("inferer").new_sampler(torch.zeros).eta, beside={"sampler": "ddim"}),
    Wire("spacing", "t", lambda b: b("inferer").levels.timesteps, (0, 500, 999), {"steps": 3}),
    Wire("steps", 7, lambda b: len(b("inferer").levels.timesteps)),
    Wire("resample", 3, lambda b: b("inferer").moves.count((6, 5)), 3, COMPOSED),
    Wire("jump", 2, lambda b: (4, 6) in b("inferer").moves, True, {**COMPOSED, "resample": 2}),
    Wire("resample_above", 0.5, lambda b: lowest_return(b) >= 500, True, {**COMPOSED, "resample": 2}),
    Wire("start", 0.5, lambda b: highest(b) < 500, True, COMPOSED),
    Wire("guidance", 2.0, at("inferer", "guidance")),
    Wire("mode", "paper", at("inferer", "paper"), True, COMPOSED),
    Wire("samples", 3, lambda b: b("evaluator").prepare_batch.samples),
    Wire("samples", 3, at("writer", "samples")),
    Wire("seed", 7, lambda b: b("evaluator").prepare_batch.seed),
    Wire("seed", 7, at("writer", "seed")),
    Wire("slice_index", "auto", transform("ToModelSpaced", "slice_index")),
    Wire("slice_index", 80, transform("ToModelSpaced", "depth"), None),
    Wire("restore", "replace", at("writer", "restore")),
    Wire("exact", True, at("inferer", "exact")),
    Wire("batch_size", 3, at("dataloader", "batch_size")),
    Wire("num_workers", 2, at("dataloader", "num_workers")),
    Wire("cluster", "local:2", lambda b: b("settings").cluster, beside={"datalist": "cases.json"}),
    Wire("progress", True, at("inferer", "progress")),
    Wire("layout", "bids", at("writer", "output_dir"), Path("out/edits/sourcedata/mededit")),
    Wire("layout", "bids", cases("output_dir"), Path("out/edits/sourcedata/mededit")),
    Wire("strict", True, one_by_one("strict")),
    Wire("strict", True, at("writer", "strict")),
    *(
        Wire("keep_going", False, part, beside={"datalist": "cases.json"})
        for part in (
            cases("keep_going"),
            one_by_one("keep_going"),
            at("writer", "keep_going"),
            at("evaluator", "keep_going"),
        )
    ),
    Wire("datalist", "cases.json", at("writer", "many"), True),
    Wire("progress", False, at("case_progress", "shown"), beside={"datalist": "cases.json", "progress": True}),
    Wire("overwrite", True, cases("overwrite")),
    Wire("overwrite", True, at("writer", "overwrite")),
    Wire("html", True, at("writer", "html")),
    Wire("amp", "bf16", at("evaluator", "amp"), True, {"device": "meta"}),
    Wire("amp", "bf16", at("evaluator", "amp_kwargs"), {"dtype": torch.bfloat16}, {"device": "meta"}),
    Wire("channels_last", True, channels_last, beside={"spatial_dims": 2}),
    Wire("compile", True, at("evaluator", "compile")),
    Wire("window_mm", 180, transform("ToModelSpaced", "window")),
    Wire("percentile", 90.0, transform("ToModelSpaced", "percentile")),
]

#: Options that change no voxel, or that the request holds in another form.
FREE = {"output_dir", "scan", "pathology", "brain", "datalist", "dataset_dir", "shard", "weights", "batch_size"}
FREE |= {"lesion", "device", "num_workers", "progress", "strict", "keep_going", "overwrite", "carry", "effects_weights"}
FREE |= {"html", "layout", "cluster", "weights_dir"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    """Runs without files: what would read some says what it was asked instead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("wires"))
        patch.setattr(torch, "compile", lambda network, **_: network)
        listen(patch, "mededit_monai.methods.edit_run:require_device", lambda asked: None)  # amp wants a GPU
        listen(patch, "mededit_monai.datasets.editing:editing_cases", lambda asked: [{"case_id": "a", **asked}])
        listen(patch, "mededit_monai.methods.build:weights_sha256", lambda asked: f"the hash of {asked['path']}")

        def found(asked):
            return Path(asked["weights_dir"] or Path(asked["root"], "models"), asked["name"])

        listen(patch, "mededit_monai.methods.build:find_weights", found)

        def load(asked):
            asked["network"].asked = asked
            return asked["network"]

        listen(patch, "mededit_monai.methods.build:load_weights", load)
        yield Bench(FILES, {"progress": False, "channels_last": False, "device": "cpu", "effects": 0.0})


@pytest.mark.one_in(3)
@pytest.mark.parametrize("wire", WIRES, ids=name_of)
def test_an_option_arrives(wire, bench):
    wire.check(bench)


def test_every_option_is_in_the_table():
    """An option that is added to inference.yaml wants a line above that says where it acts."""
    assert {wire.option for wire in WIRES} == settable(FILES, SECTIONS)


RECORDED = sorted(name for name, one in options_of(EditOptions).items() if one.recorded)


@pytest.mark.parametrize("option", RECORDED)
def test_what_decides_an_edit_is_in_its_request(option, bench):
    """A result that is there is kept only if it was made with the same request."""
    wire = next(wire for wire in WIRES if wire.option == option)
    built = bench.built(**{**(wire.beside or {}), option: wire.value})
    assert built("request")[option] == wire.value
    assert built("cases")[0]["options"][option] == wire.value


def test_every_option_is_declared():
    """In the config and in the table of options alike, and recorded unless it decides nothing."""
    declared = set(options_of(EditOptions))
    assert settable(FILES, SECTIONS) - {"bundle_root", "disease"} == declared
    assert declared - FREE == set(RECORDED)
