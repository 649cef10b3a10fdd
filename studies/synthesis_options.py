# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The options that Med-DDPM left open, each trained alike at a small size and measured on the same held-out masks.

    mededit simulate --disease tumor --spatial_dims 3 --modalities t1 --modalities t1ce --modalities t2 \\
        --modalities flair --side 32 --cases 400 -o out/heads_32
    python -m studies.synthesis_options --cohort out/heads_32 -o out/synthesis_options

Every row goes through the bundle's own training (the same cases, seed and number of volumes) and evaluation (the list
``testing``, 10 steps, the same noise), and differs from the first in what its name says. A row that is finished is
kept, so that a run that was stopped goes on when the command is given again; ``--rows`` does some of them, also one
after the other. Writes ``synthesis_options.json`` and ``synthesis_options.md`` of all that are finished, and prints the
latter.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_choice, require_whole
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases.modalities import MODALITIES
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.metrics.statistics import compare_paired
from mededit_monai.networks.weights import read_weights
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.workflows import evaluate_synthesis, train

BUNDLE = "semantic_synthesis"

#: Side of the volumes, epochs that the volumes of a training are spread over, and heads that its validation looks at.
SIDE, EPOCHS, VALIDATED = 32, 10, 8

#: Options of a network that its autoencoder has too.
OF_AUTOENCODER = ("side", "depth", "modalities", "autoencoder_channels", "latent_channels")

#: Files of the study, and of each row.
FILES, ROW_FILE = ("synthesis_options.json", "synthesis_options.md"), "row.json"

#: The modality that every row is measured on.
MEASURED = "t1"


@dataclass(frozen=True)
class Row:
    """
    One training.

    Args:
        what: differs from the first row, for people.
        network: options of the network and its noise, which the synthesis shares.
        training: options of the training alone.
        latent: whether an autoencoder is trained first, on as many volumes, and its latents are diffused.
    """

    what: str
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    latent: bool = False


ROWS = {
    "preset": Row("L1, cosine, clean volume from a linear guess, three levels, concatenation, voxels, T1 alone"),
    "epsilon": Row("noise predicted, as published", {"prediction_type": "epsilon", "linear_guess": False}),
    "no_guess": Row("clean volume from x_t alone", {"linear_guess": False}),
    "l2": Row("L2 in place of L1", training={"loss_kind": "mse"}),
    "huber": Row("Huber in place of L1", training={"loss_kind": "huber"}),
    "linear": Row("linear β", {"noise_schedule": "linear"}),
    "exponential": Row("exponential β", {"noise_schedule": "exponential"}),
    "deep": Row("four levels", {"channels": [32, 64, 64, 128], "attention_levels": [False] * 4}),
    "spade": Row("SPADE in place of concatenation", {"conditioning": "spade"}),
    "cross_attention": Row("cross-attention in place of concatenation", {"conditioning": "cross_attention"}),
    "latent": Row("latents of an autoencoder in place of voxels", {"patch": 1}, latent=True),
    "joint": Row("four modalities at once", {"modalities": list(MODALITIES)}),
}


def finished(folder: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    What a row's folder holds of a row that is done; None: nothing yet.

    Raises:
        InputError: a row of other settings.
    """
    place = folder / ROW_FILE
    if not place.is_file():
        return None
    content: dict[str, Any] = json.loads(place.read_bytes())
    for name, value in request.items():
        if content["request"].get(name) != value:
            raise InputError(
                f"{place}: was made with {name} = {content['request'].get(name)!r}, now {value!r}; choose another "
                f"--output_dir."
            )
    return content


def run_row(row: Row, folder: Path, cohort: Path, request: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict:
    """
    Train a row and measure it; what is there of a run that was stopped is gone on from.

    Args:
        request: what decides the row, written down with it.
        sizes: options of every row's network, for trials at a smaller size than the table's.

    Returns:
        content of ``row.json``.
    """
    network = {"side": SIDE, "depth": SIDE, **sizes, **row.network}
    epochs = min(EPOCHS, request["volumes"])
    plan = {"epoch_cases": request["volumes"] // epochs, "max_epochs": epochs, "val_cases": VALIDATED}
    common = {"dataset_dir": cohort, "seed": request["seed"], "progress": False}
    folders = [folder / "training"]
    if row.latent:
        overlay = [bundle_root(BUNDLE) / "configs" / "autoencoder.yaml"]
        own = {name: value for name, value in network.items() if name in OF_AUTOENCODER}
        folders.append(train(BUNDLE, overlay, output_dir=folder / "autoencoder", **common, **plan, **own))
        network["autoencoder"] = folders[-1] / "model.pt"
    weights = train(BUNDLE, output_dir=folder / "training", **common, **plan, **network, **row.training) / "model.pt"
    more = {"weights": weights, "limit": request["held_out"], **network}
    measured = evaluate_synthesis(output_dir=folder / "evaluation", **common, **more)
    seconds, shown = zip(*map(trained, folders))
    content = {
        "request": dict(request),
        "parameters": sum(tensor.numel() for one in folders for tensor in read_weights(one / "model.pt").values()),
        "seconds_a_volume": sum(seconds) / shown[0],
        "summary": json.loads((measured / "summary.json").read_bytes()),
    }
    OutputFolder(folder).write({ROW_FILE: json_bytes(content)})
    return content


def trained(folder: Path) -> tuple[float, int]:
    """Seconds of a training's epochs, with their validation, and volumes that it was shown: batches are of one."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    return sum(float(line["seconds"]) for line in lines), int(lines[-1]["iteration"])


def errors_of(folder: Path) -> dict[str, tuple[str, float]]:
    """Case → its anatomy and its error."""
    with open(folder / "evaluation" / "cases.csv", encoding="utf-8", newline="") as stream:
        return {line["case_id"]: (line["group"], float(line[f"mse_{MEASURED}"])) for line in csv.DictReader(stream)}


def against_first(folder: Path, first: Path, seed: int) -> dict[str, float]:
    """Mean difference of the error from the first row's on the same masks, with its interval."""
    ours, theirs = errors_of(folder), errors_of(first)
    cases = [case for case in ours if case in theirs]
    values = (np.array([found[case][1] for case in cases]) for found in (ours, theirs))
    compared = compare_paired(*values, groups=[ours[case][0] for case in cases], seed=seed)
    return {"value": compared.difference, "low": compared.low, "high": compared.high}


def compare(
    cohort: str | Path,
    output_dir: str | Path,
    volumes: int = 3000,
    rows: Sequence[str] = tuple(ROWS),
    held_out: int | None = None,
    seed: int = 0,
    **sizes: Any,
) -> str:
    """
    The table.

    Args:
        cohort: folder of ``mededit simulate --side 32`` with all four modalities.
        volumes: that each training is shown.
        rows: names of those that are to be done.
        held_out: masks that are synthesized, the first of ``testing``; None: all.
        sizes: options of every row's network, for trials.

    Raises:
        InputError: unknown rows, a cohort that will not do, or a folder with rows of other settings.
    """
    require_whole("volumes", volumes, 1, most=10**7)
    require_whole("held_out", held_out, 2, optional=True, most=10**7)
    require_whole("seed", seed, 0)
    for name in rows:
        require_choice("rows", name, tuple(ROWS))
    if volumes > EPOCHS and volumes % EPOCHS:
        raise InputError(f"--volumes: got {volumes}, wanted a multiple of {EPOCHS}, or at most {EPOCHS}.")
    cohort, output = user_path(cohort), user_path(output_dir)
    if not (cohort / "datalist.json").is_file():
        raise InputError(f"--cohort: {cohort} has no datalist.json; give a folder of mededit simulate.")
    OutputFolder(output).require_free(FILES)
    request = {"volumes": volumes, "seed": seed, "held_out": held_out, "sizes": sizes}
    request = json.loads(json.dumps(request | {"cohort": sha256(cohort / "datalist.json")}))
    found = {}
    for name, row in ROWS.items():
        asked = request | {"row": json.loads(json.dumps({**row.network, **row.training}))}
        done = finished(output / "rows" / name, asked)
        if done is None and name in rows:
            print(f"{name}: {row.what}", file=sys.stderr)
            done = run_row(row, output / "rows" / name, cohort, asked, sizes)
        if done is not None:
            found[name] = done
    return table(found, output, volumes, seed)


def table(found: Mapping[str, dict], output: Path, volumes: int, seed: int) -> str:
    """Write both files of the finished rows; the Markdown."""
    first, differences = output / "rows" / "preset", {}
    if "preset" in found:
        others = [name for name in found if name != "preset"]
        differences = {name: against_first(output / "rows" / name, first, seed) for name in others}
    heads = ["row", "", "parameters", "s a training volume", "error, x 1000", "error - that of the first row, x 1000"]
    heads += ["MS-SSIM with the real head", "diversity", "MMD, x 1000", "3-D FID"]
    lines = [[name, ROWS[name].what, *figures(one, differences.get(name))] for name, one in found.items()]
    masks, sets = next(iter(found.values()))["summary"]["cases"], next(iter(found.values()))["summary"]["sets"]
    real = sets[MEASURED]
    notes = [
        f"Each training saw {volumes} volumes of the same simulated cohort; each row synthesized {masks} held-out "
        f"masks in 10 steps from the same noise, and is measured on {MEASURED}. In brackets: 95 % intervals over "
        f"heads, anatomies first; one training says nothing of how far another seed would lie.",
        f"Of real heads: diversity {real['diversity_real']:.3f}; their two halves against each other: "
        f"{_floors(real)}. Diversity is mean MS-SSIM of pairs: more alike than real heads if larger.",
        "Seconds are of the machine that ran it, validation included; parameters and seconds of latents are those of "
        "both trainings together.",
    ]
    title = f"# Options of semantic synthesis: small-scale comparison: {SIDE}³, {volumes} volumes, one seed"
    text = "\n".join([title, "", DISCLAIMER, "", *markdown_table(heads, lines), "", *_paragraphs(notes)])
    content = {"synthetic": True, "note": DISCLAIMER, "kind": title.partition(": ")[2], "rows": found}
    content |= {"error_against_preset": differences, "versions": versions()}
    OutputFolder(output).write(dict(zip(FILES, (json_bytes(content), text.encode()))))
    return text


def figures(one: Mapping[str, Any], difference: Mapping[str, float] | None) -> list[str]:
    """A finished row's cells."""
    heads, sets = one["summary"]["heads"], one["summary"]["sets"][MEASURED]
    return [
        f"{one['parameters'] / 1e6:.2f} M",
        f"{one['seconds_a_volume']:.2f}",
        _interval(heads[f"mse_{MEASURED}"], 1000),
        "" if difference is None else _interval(difference, 1000),
        _interval(heads[f"ms_ssim_{MEASURED}"]),
        f"{sets['diversity']:.3f}",
        f"{1000 * sets['mmd']:.3g}",
        f"{sets['fid_3d_halves']:.3g}",  # of as many heads as the floor
    ]


def _interval(found: Mapping[str, float], scale: float = 1) -> str:
    return f"{scale * found['value']:.3g} [{scale * found['low']:.3g}, {scale * found['high']:.3g}]"


def _floors(real: Mapping[str, float]) -> str:
    if "mmd_floor" not in real:
        return "too few to say"
    return f"MMD {1000 * real['mmd_floor']:.3g}, 3-D FID {real['fid_3d_floor']:.3g}"


def _paragraphs(notes: Sequence[str]) -> list[str]:
    return [line for note in notes for line in (note, "")]


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate, four modalities at 32³")
    parser.add_argument("--output_dir", "-o", default="out/synthesis_options")
    parser.add_argument("--volumes", type=int, default=3000, help="that each training is shown")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument(
        "--held_out", type=int, default=None, help="masks that are synthesized; default: all of testing"
    )
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    with exit_on_bad_input():
        print(compare(asked.cohort, asked.output_dir, asked.volumes, asked.rows, asked.held_out, asked.seed))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
