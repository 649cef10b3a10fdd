# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edits that are kept: each is stored as soon as it is made, and looked up before it is made again."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.inferers import Inferer
from tqdm import tqdm

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.editing import share_of
from mededit_monai.handlers.edit_batch import CohortPrepareBatch
from mededit_monai.io.atomic import replacing, write_json
from mededit_monai.io.datalist import CUT_KEYS, VOLUME_KEYS
from mededit_monai.io.hashing import sha256
from mededit_monai.io.held import reserve_together
from mededit_monai.io.outputs import OutputFolder, written_files
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.methods.editor import Edit
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.space.masks import edit_region

SETTINGS_FILE = "settings.json"


#: Parts of ``Edit.extras`` that are kept beside the edit; ``strength`` and ``spread`` are numbers.
KEPT = ("displacement", "inverse", "displaced", "painted", "strength", "spread")


@dataclass(frozen=True)
class StoredEdit:
    """
    ``edit``: float32 HxW[xD] in [0, 1]; nfe: network evaluations; seconds: its share of the batch it was made in;
    extras: what an edit that displaces the scan says beside (see :data:`KEPT`), without the batch axis.
    """

    edit: np.ndarray
    nfe: int
    seconds: float
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)


def read_edit(path: Path, request: str | None = None, extras_too: bool = False) -> StoredEdit | None:
    """
    A stored edit; None where there is no whole file (by its checksums), or one of another request.

    Args:
        request: SHA-256 of what decides the edit; None: whatever there is.
        extras_too: whether what is kept beside the edit is read; of a volume, it takes as long as all else.

    Raises:
        OSError: a file that is there and cannot be read.
    """
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            if request is not None and str(stored["request"]) != request:
                return None
            edit = np.asarray(stored["edit"], dtype=np.float32)
            extras = {name: stored[name] for name in KEPT if extras_too and name in stored}
            known = (edit, *(one for one in extras.values() if one.dtype.kind == "f"))
            whole = all(np.isfinite(one).all() for one in known)
            return StoredEdit(edit, int(stored["nfe"]), float(stored["seconds"]), extras) if whole else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return None  # cut short, damaged, not ours


def write_edit(path: Path, edit: StoredEdit, request: str) -> None:
    """Store an edit, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"nfe": edit.nfe, "seconds": edit.seconds, "request": request, "synthetic": True, "note": DISCLAIMER}
    with replacing(path) as unfinished, open(unfinished, "wb") as stream:
        np.savez_compressed(stream, edit=edit.edit, **edit.extras, **facts)


def with_requests(cases: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cases with ``request``: SHA-256 of the settings and of the bytes of the files that an edit is made of."""
    keys = ["prior", "brain", "regions" if settings.get("condition") == "regions" else "pathology"]
    keys += ["image"] if settings.get("control") == "truth" else []
    keys += [key for key in VOLUME_KEYS if settings.get("control") == "by_volume"]
    keys += ["displacement"] if settings.get("effects") and settings.get("control") in ("no_edit", "truth") else []
    start = json.dumps(settings, sort_keys=True, default=str)
    return [
        {
            **case,
            "request": hashlib.sha256(
                "".join([start, *(sha256(case[k]) for k in keys if k in case)]).encode()
            ).hexdigest(),
        }
        for case in cases
    ]


def pending_cases(
    cases: Sequence[Mapping[str, Any]], edits_dir: str | Path | None, shard: str | None, settings: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """
    The cases of a shard whose edits are not stored yet, or were made by other settings, weights or files.

    Args:
        cases: of :func:`with_requests`.
        edits_dir: where edits are; None: nothing is stored, and nothing is edited ahead of being measured.
        shard: ``i/n``: every n-th case beginning with the i-th; None: all.
        settings: written to ``settings.json`` there; if other ones stand there, a sentence on stderr says so.

    Raises:
        InputError: a shard that is none, or one without ``edits_dir``; a file in the way that mededit did not write.
    """
    if edits_dir is None:
        if shard is not None:
            raise InputError(f"--shard: got '{shard}' without --edits_dir; give the folder that all shards share.")
        return []
    folder = user_path(edits_dir)
    own = share_of(list(cases), shard)
    reserve_together(OutputFolder(folder), [SETTINGS_FILE, *(f"{case['case_id']}.npz" for case in cases)])
    _note_settings(folder, json.loads(json.dumps(settings, default=str)))
    return [case for case in own if read_edit(folder / f"{case['case_id']}.npz", case["request"]) is None]


def _note_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    place = folder / SETTINGS_FILE
    try:
        found = json.loads(place.read_bytes())["settings"]
        found = found if isinstance(found, dict) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        found = None
    if found == settings:
        return
    if found is not None:
        other = [
            f"{key} {found.get(key)!r}, now {settings.get(key)!r}"
            for key in dict.fromkeys([*settings, *found])
            if found.get(key) != settings.get(key)
        ]
        print(f"mededit: {folder}: was made with {'; '.join(other)}; its edits are made again.", file=sys.stderr)
    write_json(place, {"note": DISCLAIMER, "synthetic": True, "settings": settings})


class StoredEdits(Inferer):
    """
    An editor that looks an edit up before it makes it, and stores what it made.

    The edit that comes out is the stored one, made now or before: what is measured is what is kept.

    Args:
        editor: that edits.
        folder: of ``CASE.npz``; None: nothing is kept, and the editor's own result comes out.

    Raises:
        InputError: when called, an edit with NaN or infinite values, or a file in its place that mededit did not write.
    """

    def __init__(self, editor: Any, folder: str | Path | None) -> None:
        super().__init__()
        self.editor, self.folder = editor, None if folder is None else user_path(folder)

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The editor's own edit region M."""
        return self.editor.region(brain, pathology)

    def _reserve(self, names: Sequence[str]) -> None:
        """Names that :func:`pending_cases` listed are on the list already."""
        folder = self.folder
        if folder is not None and not set(names) <= set(written_files(folder) or ()):
            reserve_together(OutputFolder(folder), names)

    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        cases: Sequence[str],
        requests: Sequence[str],
        seeds: Sequence[int],
        **tensors: Any,
    ) -> Edit:
        """
        Args:
            inputs: prior scans in [-1, 1], Nx1xHxW.
            cases, requests, seeds: of each case.
            tensors: what else the editor takes, batch first, or a list of as many.

        Returns:
            counterfactuals in [-1, 1], Nx1xHxW[xD]; a stored one's region is where it differs from the prior, and the
            evaluations are those of the case that took most. ``extras``: those of :data:`KEPT` that all cases have.
        """
        if self.folder is None:
            made = self.editor(inputs, network, seeds=seeds, **tensors)
            _require_finite(made.image, cases)
            return made
        places = [self.folder / f"{case}.npz" for case in cases]
        found = [read_edit(place, request, extras_too=True) for place, request in zip(places, requests)]
        missing = [k for k, edit in enumerate(found) if edit is None]
        if missing:
            self._reserve([places[k].name for k in missing])
            started = time.perf_counter()
            parts = {name: _rows(one, missing) for name, one in tensors.items()}
            made = self.editor(inputs[missing], network, seeds=[seeds[k] for k in missing], **parts)
            planes = to_unit_range(made.image)[:, 0].clamp(0, 1).float().cpu().numpy()
            seconds = (time.perf_counter() - started) / len(missing)
            _require_finite(made.image, [cases[k] for k in missing])
            for row, (k, plane) in enumerate(zip(missing, planes)):
                found[k] = StoredEdit(plane, made.evaluations, seconds, _kept(made.extras, row))
                write_edit(places[k], found[k], requests[k])  # type: ignore[arg-type]
        stack = np.stack([edit.edit for edit in found])[:, None]  # type: ignore[union-attr]
        image = to_model_range(torch.from_numpy(stack)).to(inputs)
        extras = _stacked([edit.extras for edit in found], image)  # type: ignore[union-attr]
        return Edit(image, image != inputs, max(edit.nfe for edit in found), extras)  # type: ignore[union-attr]


def _rows(values: Any, rows: Sequence[int]) -> Any:
    """Some rows of a batch."""
    return values[list(rows)] if isinstance(values, torch.Tensor) else [values[row] for row in rows]


def _kept(extras: Mapping[str, Any], row: int) -> dict[str, np.ndarray]:
    """What is kept of one row of a batch."""
    found = {name: extras[name][row] for name in KEPT if name in extras}
    return {
        name: one.cpu().numpy() if isinstance(one, torch.Tensor) else np.asarray(one) for name, one in found.items()
    }


def _stacked(extras: Sequence[Mapping[str, np.ndarray]], like: torch.Tensor) -> dict[str, Any]:
    """A batch of what was kept: tensors as ``like`` (masks bool), and numbers in lists."""
    found: dict[str, Any] = {}
    for name in (name for name in KEPT if all(name in one for one in extras)):
        rows = [one[name] for one in extras]
        if rows[0].ndim == 0:
            found[name] = [float(row) for row in rows]
        else:
            stack = torch.from_numpy(np.stack(rows)).to(like.device)
            found[name] = stack if stack.dtype == torch.bool else stack.to(like)
    return found


def _require_finite(edits: torch.Tensor, cases: Sequence[str]) -> None:
    for edit, case in zip(edits, cases):
        bad = float((~torch.isfinite(edit)).float().mean())
        if bad:
            raise InputError(
                f"{case}: the network gave NaN or infinite values in {bad:.0%} of the edit, so it was not kept; check "
                "the weights, and options such as --guidance."
            )


class EvaluationPrepareBatch(CohortPrepareBatch):
    """
    As :class:`CohortPrepareBatch`, for :class:`StoredEdits`.

    Adds to the batch ``reference_region``, dilate(condition, k) ∩ b with one k for all methods: zones must be the same
    to be compared, also where a method has another region or none.

    Args:
        editor, condition, seed: as there.
        reference: k of the reference region in pixels.
    """

    def __init__(self, editor: Any, condition: str = "mask", seed: int = 0, reference: int = 25) -> None:
        super().__init__(editor, condition, seed)
        self.reference = reference

    def __call__(self, batchdata: dict[str, Any], *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None, tuple, dict]:
        """
        As the base; the facts gain ``cases``, ``requests`` and, where it is known, ``truth`` in [-1, 1],
        ``true_displacement`` in mm and the ``volumes`` that slices were cut from.
        """
        prior, target, rest, facts = super().__call__(batchdata, *args, **kwargs)
        batchdata["reference_region"] = edit_region(facts["pathology"], facts["brain"], self.reference)
        facts |= {"cases": list(batchdata["case_id"]), "requests": list(batchdata["request"])}
        if "image" in batchdata:
            facts["truth"] = to_model_range(batchdata["image"].to(prior))
        if "true_displacement" in batchdata:
            facts["true_displacement"] = batchdata["true_displacement"].to(prior)
        if "volume_prior" in batchdata:
            known = [key for key in CUT_KEYS if key in batchdata]
            facts["volumes"] = [dict(zip(known, row)) for row in zip(*(batchdata[key] for key in known))]
        return prior, target, rest, facts


class EditProgress:
    """
    A bar that counts edited cases.

    Args:
        total: cases; name: before the bar; shown: whether there is one.
    """

    def __init__(self, total: int, name: str, shown: bool) -> None:
        self.total, self.name, self.shown = total, name, shown
        self._bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator``."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.COMPLETED, lambda _: self._bar.close() if self._bar else None)

    def _start(self, engine: Engine) -> None:
        self._bar = tqdm(total=self.total, desc=self.name, unit="case", disable=not self.shown)

    def _step(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.update(len(engine.state.batch["case_id"]))
