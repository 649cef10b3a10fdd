# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of evaluate.yaml arrives at the component that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bites.wiring import Bench, Built, Wire, listen, name_of, settable

from mededit_monai.core.options import options_of
from mededit_monai.methods.edit_options import EditOptions

FILES = ["train.yaml", "evaluate.yaml"]
SECTIONS = ["imports", "evaluate", "initialize", "evaluating"]

#: An edit in which tissue moves.
MOVING = {"effects": 1.0, "effects_weights": "effects.pt"}

#: A method to which every option means something.
COMPOSED = {"method": "mededit", "steps": 20, "resample": 1}


def editor(attribute: str):
    """An attribute of what edits."""
    return lambda built: getattr(built("evaluate#editor"), attribute)


def asked(item: str, argument: str):
    """What something light was asked instead of the real thing."""
    return lambda built: built(f"evaluate#{item}").asked[argument]


def names(built: Built) -> set[str]:
    """The metrics that are measured."""
    return {getattr(handler, "name", "") for handler in built("evaluate#handlers")}


def spacings(built: Built) -> set[float]:
    """The pixel sizes that metrics work with."""
    handlers = built("evaluate#handlers")
    found = [getattr(getattr(handler, "metric_fn", None), "spacing", None) for handler in handlers]
    return {spacing for spacing in found if spacing is not None}


def lowest_return(built: Built) -> int:
    """The lowest timestep from which the sampler goes back up."""
    inferer = built("evaluate#editor")
    return min((inferer.levels.timesteps[start] for start, to in inferer.moves if to > start), default=0)


WIRES = [
    Wire("output_dir", "elsewhere", lambda b: b.of("evaluate#handlers", "CaseTable").output_dir, Path("elsewhere")),
    Wire("split", "validation", asked("found", "split")),
    Wire("limit", 5, asked("found", "limit")),
    Wire("pairing", "thesis", asked("found", "pairing")),
    Wire("pairing", "thesis", lambda b: "truth" in names(b), False),
    Wire("edits_dir", "kept", asked("pending", "edits_dir")),
    Wire("edits_dir", "kept", lambda b: b("evaluate#inferer").folder, Path("kept")),
    Wire("shard", "1/2", asked("pending", "shard")),
    Wire("row", "mine", lambda b: b.of("evaluate#editing#val_handlers", "EditProgress").name, "mine, paired"),
    Wire("method", "sdedit", lambda b: type(b("evaluate#editor")).__name__, "SDEditEditor"),
    Wire("control", "no_edit", lambda b: b("evaluate#inferer").editor.control),
    Wire("control", "no_edit", asked("network", "control")),
    Wire("family", "paint", lambda b: b("network_def").in_channels, 8),
    Wire("weights", "mine.pt", lambda b: str(b("evaluate#network").asked["weights"])),
    Wire("weights", "mine.pt", lambda b: b("evaluate#settings")["weights_sha256"], "the hash of mine.pt"),
    Wire("region", "auto", editor("auto_region"), True),
    Wire("dilation", 9, editor("dilation")),
    Wire("draw_regions", True, editor("draw_regions"), beside={"method": "morph", "effects": 0, "disease": "tumor"}),
    Wire("sampler", "dpm2m", lambda b: b("evaluate#editor").sampler_type.__name__, "DPM2M"),
    Wire("eta", 0.25, lambda b: b("evaluate#editor").new_sampler(list).eta, beside={"sampler": "ddim"}),
    Wire("spacing", "t", lambda b: b("evaluate#editor").levels.timesteps, (0, 500, 999), {"steps": 3}),
    Wire("steps", 7, lambda b: len(b("evaluate#editor").levels.timesteps)),
    Wire("resample", 3, lambda b: b("evaluate#editor").moves.count((6, 5))),
    Wire("jump", 2, lambda b: (4, 6) in b("evaluate#editor").moves, True, {"resample": 2}),
    Wire("resample_above", 0.5, lambda b: lowest_return(b) >= 500, True, {"resample": 2}),
    Wire("start", 0.5, lambda b: b("evaluate#editor").levels.timesteps[-1] < 500, True),
    Wire("guidance", 2.0, editor("guidance")),
    Wire("mode", "paper", editor("paper"), True),
    Wire("effects", 0.5, editor("strength"), beside=MOVING),
    Wire("global_atrophy", 0.5, editor("global_atrophy"), beside=MOVING),
    Wire("effects_weights", "mine.pt", lambda b: str(b("evaluate#effects_network").asked["path"]), beside=MOVING),
    Wire(
        "effects_weights", "mine.pt", lambda b: b("evaluate#settings")["effects_sha256"], "the hash of mine.pt", MOVING
    ),
    Wire("exact", True, editor("exact")),
    Wire("eval_batch_size", 3, lambda b: b("evaluate#dataloader").batch_size),
    Wire("eval_batch_size", 3, lambda b: b("evaluate#editing").data_loader.batch_size),
    Wire("channels_last", True, lambda b: b("evaluate#network").layout == "channels_last"),
    Wire("judge", "mine", asked("judge", "folder")),
    Wire("judge", "mine", asked("extractor", "judge"), beside={"realism": True}),
    Wire("summary", False, lambda b: b.of("evaluate#handlers", "CaseTable").summary),
    Wire("realism", True, lambda b: {"fid", "kid", "auc"} <= names(b)),
    Wire("features", "mine.pt", asked("extractor", "features"), beside={"realism": True}),
    Wire("registration", True, lambda b: "registration" in names(b)),
    Wire("spacing_mm", 3.0, spacings, {3.0}),
    Wire("reference_dilation", 9, lambda b: b("evaluate#prepare_batch").reference),
]


class Answer(list):
    """A list of cases, or whatever an item shall be, that knows what it was made with."""

    def __init__(self, asked, content=()) -> None:
        super().__init__(content)
        self.asked = asked


class Network:
    """Stands for the network on its device."""

    def __init__(self, asked) -> None:
        self.asked, self.layout = asked, ""

    def to(self, device, memory_format) -> Network:
        self.layout = str(memory_format).removeprefix("torch.")
        return self


def with_question(asked):
    """The network, which then knows what was asked."""
    asked["network"].asked = asked
    return asked["network"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    """Evaluations without files: what would read some says what it was asked instead."""
    case = {"case_id": "a", **{key: "a.nii.gz" for key in ("image", "prior", "brain", "pathology")}}
    light = {
        "mededit_monai.datasets.evaluation:evaluation_cases": lambda asked: Answer(asked, [case]),
        "mededit_monai.evaluation.edits:with_requests": lambda asked: Answer(asked, asked["cases"]),
        "mededit_monai.evaluation.edits:pending_cases": lambda asked: Answer(asked, asked["cases"]),
        "mededit_monai.evaluation.controls:evaluation_network": Network,
        "mededit_monai.evaluation.controls:weights_identity": lambda asked: f"the hash of {asked['weights']}",
        "mededit_monai.methods.build:load_weights": with_question,
        "mededit_monai.methods.build:weights_sha256": lambda asked: f"the hash of {asked['path']}",
        "mededit_monai.evaluation.judging:evaluation_judge": lambda asked: SimpleNamespace(asked=asked),
        "mededit_monai.evaluation.judging:finds_tissue": lambda asked: True,
        "mededit_monai.evaluation.judging:realism_extractor": lambda asked: SimpleNamespace(asked=asked, name="none"),
        "mededit_monai.evaluation.realism:reference_features": lambda asked: None,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("wires"))
        for place, answer in light.items():
            listen(patch, place, answer)
        yield Bench(FILES, {**COMPOSED, "progress": False, "channels_last": False, "device": "cpu"})


@pytest.mark.one_in(3)
@pytest.mark.parametrize("wire", WIRES, ids=name_of)
def test_an_option_arrives(wire, bench):
    wire.check(bench)


def test_every_option_is_in_the_table():
    """An option that is added to evaluate.yaml wants a line above that says where it acts."""
    assert {wire.option for wire in WIRES} == settable(FILES, SECTIONS)


def test_what_comes_from_the_training_arrives_too(bench):
    """Options that evaluate.yaml leaves to train.yaml."""
    for option, value, shown in (
        ("condition", "box", lambda b: b("evaluate#prepare_batch").condition),
        ("condition", "box", lambda b: b("evaluate#found").asked["condition"]),
        ("seed", 7, lambda b: b("evaluate#prepare_batch").seed),
        ("datalist", "my.json", lambda b: b("evaluate#found").asked["datalist"]),
        ("dataset_dir", "mine", lambda b: b("evaluate#found").asked["dataset_dir"]),
        ("num_workers", 2, lambda b: b("evaluate#dataloader").num_workers),
        ("progress", True, lambda b: b("evaluate#editor").progress),
        ("prediction_type", "epsilon", lambda b: str(b("evaluate#editor").scheduler.prediction_type)),
    ):
        Wire(option, value, shown).check(bench)


@pytest.mark.parametrize(
    ("cohort", "control", "dims", "strength", "weights"),
    [
        (2, None, 2, 1.1, "paint.pt"),
        (3, None, 3, 1.2, "paint_3d.pt"),
        (3, "by_slice", 2, 1.1, "paint.pt"),
        (2, "by_volume", 3, 1.2, "paint_3d.pt"),
    ],
)
def test_cases_are_edited_as_what_they_are(bench, cohort, control, dims, strength, weights):
    """Whatever the editor's default; a control that edits otherwise has the strength of its own painter, too."""
    built = bench.built(method="morph", resample=1, spatial_dims=cohort, control=control)
    options, files = built("evaluate#editing_options"), built("evaluate#network").asked
    assert (options.spatial_dims, options.guidance, Path(files["weights"]).name) == (dims, strength, weights)
    assert built("evaluate#network_def").spatial_dims == built("evaluate#effects_network_def").spatial_dims == dims


DECIDES = sorted(name for name, one in options_of(EditOptions).items() if one.recorded)

#: Options that say how a scan is read and written, which is not done with a cohort in model space; how it is computed.
FREE = {"samples", "restore", "slice_index", "window_mm", "percentile", "spatial_dims"}
FREE |= {"exact", "amp", "channels_last", "compile", "course", "lesion_label", "echo", "prepare"}


@pytest.mark.parametrize("option", sorted(set(DECIDES) - FREE))
def test_what_decides_an_edit_is_written_down(option, bench):
    """A stored edit is taken up only if it was made with the same settings."""
    follow = {wire.option: wire for wire in WIRES} | {
        n: Wire(n, v, len) for n, v in (("condition", "box"), ("seed", 7))
    }
    wire = follow[option]
    built = bench.built(**{**(wire.beside or {}), option: wire.value})
    assert built("evaluate#settings")[option] == wire.value
