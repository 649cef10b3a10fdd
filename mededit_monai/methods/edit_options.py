# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The options of an edit. One that is given is used or refused, from the command line, YAML and Python alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from mededit_monai.bids.names import LAYOUT_HELP, LAYOUTS
from mededit_monai.cluster.where import cluster_option
from mededit_monai.core.options import OneOrMany, option, options_of, refuse_unknown
from mededit_monai.methods.edit_checks import check_resolved, check_together, refuse_useless
from mededit_monai.methods.record import CHOSEN, METHODS, Method, own_options
from mededit_monai.sampling.levels import SPACINGS
from mededit_monai.sampling.sampler import SAMPLERS
from mededit_monai.space.conditions import CONDITIONS
from mededit_monai.space.model_size import MODEL_SIZE

MODES, RESTORE_MODES, AMP_NAMES = ("corrected", "paper"), ("residual", "replace"), ("fp16", "bf16")

WHAT, HOW, MOVES, SAMPLE = "What to edit", "How", "What moves", "Noise levels and sampling"
WRITE, RUN = "What is written", "The run itself"


@dataclass(frozen=True)
class EditOptions(OneOrMany):
    """
    Everything that can be said about an edit.

    None stands for what follows from the method, the condition and the disease; :meth:`resolved` fills it in.
    """

    scan: str | None = option(
        None,
        "T1-weighted scan without the lesion, 3-D, any orientation; docs/concepts/files.md lists the formats.",
        group=WHAT,
        file=True,
    )
    pathology: str | None = option(
        None,
        "Lesion mask on the scan's grid: 0 and 1, for tumours also the labels 1, 2, 3 (or 4).",
        group=WHAT,
        file=True,
    )
    lesion: str | None = option(
        None,
        "Where the lesion is to be, in words, instead of --pathology: 'MCA left large', 'sphere 38 -24 23 14', 'random "
        "FOLDER'; in a datalist a case's own 'lesion'.",
        group=WHAT,
    )
    brain: str | None = option(
        None, "Brain mask on the scan's grid; not needed if the scan is skull-stripped.", group=WHAT, file=True
    )
    prepare: bool | None = option(
        None,
        "Even out the scan's brightness and set the head upright before the model sees it, and find the brain if there "
        "is no mask of it; by default for whole heads without a mask.",
        group=WHAT,
        recorded=True,
    )
    echo: int | None = option(
        None,
        "Which volume of a scan with several (echoes, time points): its index along the fourth axis, from 0.",
        group=WHAT,
        least=0,
        most=65535,
        recorded=True,
    )
    datalist: str | None = option(
        None,
        "JSON list of many cases, instead of --scan; a case's scan is its 'scan', else 'prior', else 'image'.",
        group=WHAT,
        file=True,
    )
    dataset_dir: str | None = option(
        None, "Folder with a datalist.json, instead of --datalist.", group=WHAT, file=True, verb=False
    )
    shard: str | None = option(None, "i/n: edit only every n-th case of the list, from the i-th on.", group=WHAT)
    output_dir: str = option(
        "out/edits", "Folder for the results, in which every case gets its own.", group=WHAT, file=True, short="-o"
    )

    method: str = option("morph", "Editing method.", group=HOW, choices=METHODS.names, recorded=True)
    condition: str = option(
        "mask",
        "What the network is given of the lesion: its mask, boxes around its pieces, or a tumour's regions.",
        group=HOW,
        choices=CONDITIONS,
        recorded=True,
    )
    weights: str | None = option(None, "Weight file to use instead of the bundle's.", group=HOW, file=True)
    weights_dir: str | None = option(None, "Folder of released weights, or $MEDEDIT_WEIGHTS.", group=HOW, file=True)
    region: str | None = option(
        None,
        "Where the scan may change: dilate (around the lesion), auto (where the network finds it), brain, pathology "
        "(the lesion alone) or a mask file.",
        group=HOW,
        recorded=True,
    )
    draw_regions: bool | None = option(
        None, "Draw core, edema and rim where a tumour's bare mask is; by default in volumes.", group=HOW, recorded=True
    )
    # The model's image has 128 pixels a side, so a kernel of 255 covers it from anywhere.
    dilation: int | None = option(
        None,
        "Side of the square that dilates the lesion for --region dilate, in model pixels; 0 and 1 dilate nothing.",
        group=HOW,
        least=0,
        most=255,
        recorded=True,
    )
    spatial_dims: int | None = option(
        None,
        "Axial slices, or the volume as a whole; default: 3 for morph unless --slice_index chooses a slice, else 2.",
        group=HOW,
        choices=(2, 3),
        recorded=True,
    )
    slice_index: int | str = option(
        "all",
        "Which axial slices, with --spatial_dims 2: all that hold lesion, auto for the one that holds most, or an "
        "index (RAS, from 0).",
        group=HOW,
        words=("auto", "all"),
        recorded=True,
    )
    window_mm: int | None = option(
        None,
        "Side of the model's field of view in mm; belongs to the weights.",
        group=HOW,
        least=16,
        most=1000,
        recorded=True,
        verb=False,
    )
    percentile: float | None = option(
        None,
        "Percentile of a slice's intensities that is scaled to 1; belongs to the weights.",
        group=HOW,
        least=1,
        most=100,
        recorded=True,
        verb=False,
    )

    effects: float | None = option(
        None,
        "Strength of the displacement that the lesion causes: 0 is none, 1 what is expected, -1 the opposite; default: "
        "1 for morph, else 0.",
        group=MOVES,
        least=-4,
        most=4,
        recorded=True,
    )
    global_atrophy: float = option(
        0.0,
        "Atrophy far from the lesion, by the same displacement: 1 is as much as in a typical person who has some.",
        group=MOVES,
        least=0,
        most=2,
        recorded=True,
    )
    course: int = option(
        0,
        "Write a course of so many edits, from no displacement to that of --effects; 0 is none.",
        group=MOVES,
        least=0,
        most=100,
        recorded=True,
    )
    effects_weights: str | None = option(None, "Weight file of the effects network to use.", group=MOVES, file=True)

    sampler: str | None = option(
        None, "How to step from one noise level to the next.", group=SAMPLE, choices=SAMPLERS.names, recorded=True
    )
    eta: float = option(
        0.0, "Noise that --sampler ddim adds: 0 none, 1 as much as ddpm.", group=SAMPLE, least=0, most=1, recorded=True
    )
    spacing: str = option(
        "logsnr", "Noise levels evenly spaced in t or in log-SNR.", group=SAMPLE, choices=SPACINGS, recorded=True
    )
    steps: int | None = option(
        None, "Number of noise levels over the whole range.", group=SAMPLE, least=1, most=1000, recorded=True
    )
    resample: int | None = option(
        None,
        "How often each noise level is denoised (U), to blend the edit into what is kept.",
        group=SAMPLE,
        least=1,
        most=1000,
        recorded=True,
    )
    jump: int = option(
        1, "How many noise levels to go back up at each resampling.", group=SAMPLE, least=1, most=1000, recorded=True
    )
    resample_above: float = option(
        0.0,
        "Fraction of the noise range below which no level is resampled.",
        group=SAMPLE,
        least=0,
        most=1,
        recorded=True,
    )
    start: float | None = option(
        None,
        "Fraction of the noise range to start at; below 1 from the scan with noise, not from noise alone.",
        group=SAMPLE,
        least=0,
        most=1,
        recorded=True,
    )
    guidance: float | None = option(
        None,
        "Strength of the lesion: 0 is none, 1 the network's own; other values take the thesis's methods twice as long.",
        group=SAMPLE,
        least=-100,
        most=100,
        recorded=True,
    )
    mode: str = option(
        "corrected",
        "The algorithm as it should be, or with four steps as in the authors' code.",
        group=SAMPLE,
        choices=MODES,
        recorded=True,
    )
    seed: int = option(
        0,
        "Seed of the noise; a case's own follows from it and the case's name.",
        group=SAMPLE,
        least=0,
        most=2**63 - 1,
        recorded=True,
    )

    samples: int = option(
        1,
        "Edits of every case, each with its own noise; their spread is not a map of uncertainty.",
        group=WRITE,
        least=1,
        most=1000,
        recorded=True,
    )
    restore: str = option(
        "residual",
        "Texture of edited voxels: the scan's own, or the model's.",
        group=WRITE,
        choices=RESTORE_MODES,
        recorded=True,
    )
    carry: tuple[str, ...] | None = option(
        None,
        "Label maps and other images of the same person, each on a grid of its own, to take along with the "
        "displacement; in a datalist a case's own 'carry'.",
        group=WRITE,
        file=True,
        several=True,
    )
    lesion_label: int | None = option(
        None,
        "Label that the lesion gets in the label maps that are carried; without it they keep theirs.",
        group=WRITE,
        least=1,
        most=65535,
        recorded=True,
    )
    layout: str = option("folders", LAYOUT_HELP, group=WRITE, choices=LAYOUTS)
    strict: bool = option(False, "Refuse whatever would be done with a warning.", group=WRITE)
    keep_going: bool = option(
        True, "Go on with a list's other cases if one fails; failed.json lists them.", group=WRITE
    )
    overwrite: bool = option(False, "Replace the result of another scan, or one that was changed by hand.", group=WRITE)
    html: bool = option(
        False,
        "Write viewer.html too, a page to look at scan and edit in a browser: a file of some MB with the scan in it.",
        group=WRITE,
    )

    exact: bool = option(
        False,
        "Run the network on one slice or volume at a time, so that results do not depend on the batch.",
        group=RUN,
        recorded=True,
    )
    batch_size: int = option(1, "Cases edited at a time.", group=RUN, least=1, most=4096)
    num_workers: int = option(0, "Extra processes that load cases.", group=RUN, least=0, most=256)
    cluster: str | None = cluster_option(RUN)
    device: Any = option(None, "cpu, cuda, cuda:1, …; by default a GPU if there is one.", group=RUN, yaml="")
    amp: str | None = option(
        None,
        "Half precision: either on a GPU, bf16 on a CPU with AVX-512.",
        group=RUN,
        choices=(None, *AMP_NAMES),
        recorded=True,
    )
    channels_last: bool = option(
        True,
        "Lay the network's weights out channels last in memory, which is faster on CPUs and most GPUs.",
        group=RUN,
        recorded=True,
        verb=False,
    )
    compile: bool = option(
        False,
        "Compile the network: minutes before the first edit, then faster on most GPUs.",
        group=RUN,
        recorded=True,
        verb=False,
    )
    progress: bool = option(True, "Show a progress bar.", group=RUN)

    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def record(self) -> Method:
        """The method's record."""
        return METHODS[self.method]

    @property
    def region_word(self) -> str:
        """Word of the edit region for the slices."""
        return self.record.region_word(self.region)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EditOptions:
        """
        Options from values by name, those of methods' own among them; checked one by one.

        Raises:
            InputError: no such option, or a value that it cannot have.
        """
        known = options_of(cls)
        refuse_unknown(tuple(values), (*known, *own_options()), "an edit")
        method = METHODS[values.get("method", cls.method)]
        more = {one.name: one for one in method.options}
        for name, value in values.items():
            if name not in known:
                method.refuse_unused(name, value)
            (known | more)[name].check(value)
        given = {name: value for name, value in values.items() if name in known}
        return cls(**given, own={name: values.get(name, one.default) for name, one in more.items()})

    def refuse_useless(self, given: Collection[str]) -> None:
        """Refuse options that were given and have no use in this edit, which must be resolved; InputError."""
        refuse_useless(self, given)

    def resolved(self, disease: Any) -> EditOptions:
        """
        With everything that follows from method, condition and disease filled in.

        Args:
            disease: its record.

        Raises:
            InputError: options that do not go together.
        """
        dims = self.record.default_dims(self.slice_index) if self.spatial_dims is None else self.spatial_dims
        given = dataclasses.replace(self, spatial_dims=dims)
        check_together(given)
        follows = {"window_mm": disease.window, "percentile": disease.percentile, "effects": 0.0, "guidance": 1.0}
        follows |= self.record.defaults(disease, self.condition, dims)
        if self.region_word != "dilate":
            follows.pop("dilation", None)
        chosen = {name: value for name, value in follows.items() if getattr(self, name) is None}
        found = dataclasses.replace(given, **chosen)
        check_resolved(found, disease)
        return found

    def editor_settings(self) -> dict[str, Any]:
        """Settings of the method's editor: the options that it and its sampler take, where they are known."""
        names = {name: getattr(self, name) for name in sorted(self.record.of_editor)}
        settings = {name: value for name, value in names.items() if value is not None}
        if not self.sampler_takes("eta"):
            settings.pop("eta", None)
        scale = {"pixel_mm": self.window_mm / MODEL_SIZE} if self.draw_regions and self.window_mm else {}
        return settings | scale | dict(self.own) | {"exact": self.exact, "progress": self.progress}

    def sampler_takes(self, name: str) -> bool:
        """Whether the sampler has an option."""
        return self.sampler is not None and name in SAMPLERS[self.sampler].options

    def recorded(self) -> dict[str, Any]:
        """What decides the result, for the provenance; None for what the method does not take."""
        names = [one.name for one in options_of(type(self)).values() if one.recorded]
        unused = CHOSEN - self.record.takes
        return {name: None if name in unused else getattr(self, name) for name in names} | dict(self.own)
