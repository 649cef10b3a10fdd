# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is killed: four commands at toy size, what they are given, and what of their results must be the same."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import yaml

from studies.fuzz_heads import spec_of, write
from studies.golden_runs import TRAINING_OPTIONS

#: What tells of time, or of what was done before, by the file: keys of JSON and arrays, columns of tables.
TIMES: dict[str, frozenset[str]] = {
    "*": frozenset({"seconds"}),
    "summary.csv": frozenset({"seconds", "status"}),
}

#: Files of which the times are a part: their SHA-256, in the list of a folder's files, is left out too.
_TIMED = re.compile(r"(provenance\.json|history\.csv|summary\.(csv|html)|.*\.npz|cases\.csv|metrics\.csv|table_.*)")

#: Logs of TensorBoard's, a file a run, named by time, host and process; what they hold stands in ``history.csv`` too.
LOGS = "events.out.tfevents."

#: What ``summary.html`` says of times and of what was done before.
_OF_TIME = re.compile(r"\d+ done, \d+ done before|>done( before)?</td>|<td>\d+\.\d</td>(?=\s*<td class=\"text\">)")


@dataclass(frozen=True)
class Work:
    """
    Something that can be killed, and is restarted by the same call.

    Args:
        name: in the report.
        call: does it, to the folder that it is given; returns the exit code.
        before: makes what half of the runs find in the folder already, such as an older result; None: nothing.
    """

    name: str
    call: Callable[[Path], Any]
    before: Callable[[Path], Any] | None = None


def command(*words: Any) -> int:
    """``mededit`` with these words; its exit code."""
    from mededit_monai.cli import main

    sys.argv = ["mededit", *map(str, words)]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def write_inputs(folder: Path) -> int:
    """Write what the works are given: a cohort of slices, small scans with lesions, a table of two rows; exit code."""
    code = command("simulate", "--cases", 12, "--slice", "mid", "--seed", 1, "-o", folder / "cohort", "--no_progress")
    good = (spec for spec in map(spec_of, count()) if spec.fault is None and math.prod(spec.shape) < 30_000)
    cases = [
        {"case_id": f"case_{k}", **write(spec, folder / "scans" / str(k))} for k, spec in enumerate(islice(good, 4))
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "table.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    return code


TABLE = {
    "table": "5.1",
    "title": "a toy",
    "bundle": "stroke",
    "condition": "mask",
    "kind": "methods",
    "columns": ["dice", "contrast", "outside", "zone_error", "ventricle_error"],
    "presets": {name: {"cases": 3, "steps": 2, "spacing": "logsnr"} for name in ("quick", "full")},
    "rows": {
        "morph": {"label": "morph", "settings": {"method": "morph"}},
        "no_edit": {"label": "no edit", "settings": {"method": "mededit", "dilation": 9, "control": "no_edit"}},
    },
}

#: Of ``mededit train``, beside the golden record's: epochs to be killed in, and a picture.
TRAINING = {"max_epochs": 3, "preview_interval": 2, "seed": 5}


def works(inputs: Path) -> list[Work]:
    """
    The four works, on what :func:`write_inputs` wrote.

    Cases are edited one by one: a restart has other batches, in which convolutions round differently (1e-4 is promised,
    and with ``--exact`` the same bytes).
    """
    training: list[Any] = ["--bundle", "stroke", "--datalist", inputs / "cohort" / "datalist.json", "--no_progress"]
    for name, value in (TRAINING_OPTIONS | TRAINING).items():
        training += [f"--{name}", json.dumps(value)]
    edits = ["--datalist", inputs / "cases.json", "--spatial_dims", 2, "--slice_index", "auto", "--steps", 1]
    edits += ["--exact", "--no_progress"]
    table = ["--cohort", inputs / "cohort", "--table", inputs / "table.yaml", "--pairing", "paired", "--batch_size", 1]
    table += ["--no_report", "--device", "cpu", "--no_progress"]
    simulated = ["--cases", 6, "--slice", "mid", "--seed", 2, "--no_progress"]
    return [
        Work("training", lambda out: command("train", *training, "-o", out)),
        Work("simulation", lambda out: command("simulate", *simulated, "-o", out)),
        Work(
            "batch editing",
            lambda out: command("edit", *edits, "--seed", 1, "-o", out),
            before=lambda out: command("edit", *edits, "--seed", 0, "-o", out),
        ),
        Work("evaluation", lambda out: command("evaluate", *table, "-o", out)),
    ]


def result(folder: Path) -> dict[str, Any]:
    """Every file of a result, by its name, as what must be the same: its bytes, or what it holds without the times."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir() and not path.name.startswith(LOGS))
    return {path.relative_to(folder).as_posix(): _timeless(path) for path in files}


def _timeless(path: Path) -> Any:
    content, left_out = path.read_bytes(), TIMES.get(path.name, TIMES["*"])
    try:
        if path.name == ".mededit.json":
            listed = _without(json.loads(content), left_out)
            files = {name: digest for name, digest in listed["files"].items() if LOGS not in name}
            return listed | {"files": files | {name: None for name in files if _TIMED.fullmatch(Path(name).name)}}
        if path.suffix == ".json":
            return _without(json.loads(content), left_out)
        if path.suffix == ".csv":
            rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
            return [{key: text for key, text in row.items() if key not in left_out} for row in rows]
        if path.suffix == ".npz":
            return _arrays(content, left_out)
        if path.suffix == ".html":
            return _OF_TIME.sub("", content.decode())
        if path.suffix == ".md":
            return _columns_but(content.decode(), left_out)
    except (ValueError, KeyError, OSError) as error:
        return f"cannot be read: {error}"
    return content


def _without(item: Any, keys: frozenset[str]) -> Any:
    if isinstance(item, dict):
        return {key: _without(value, keys) for key, value in item.items() if key not in keys}
    return [_without(one, keys) for one in item] if isinstance(item, list) else item


def _arrays(content: bytes, left_out: frozenset[str]) -> dict[str, tuple[str, Any, bytes]]:
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        kept = {name: stored[name] for name in stored.files if name not in left_out}
    return {name: (str(one.dtype), one.shape, one.tobytes()) for name, one in kept.items()}


def _columns_but(text: str, left_out: frozenset[str]) -> str:
    """Markdown without the cells of these columns."""
    kept: Sequence[int] = ()
    lines, inside = [], False
    for line in text.splitlines():
        cells = line.split("|")
        if not inside and line.startswith("|"):
            kept = [k for k, cell in enumerate(cells) if cell.strip() not in left_out]
        inside = line.startswith("|")
        lines.append("|".join(cells[k] for k in kept if k < len(cells)) if inside else line)
    return "\n".join(lines)
