# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which cases an editing run works on, and the batches they travel in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, require_part, say
from mededit_monai.core.paths import user_path
from mededit_monai.io.case_names import case_name, other_scan, owner_of, stem, was_in_memory
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.finished import require_own_folder
from mededit_monai.io.formats.registry import image_sha256, is_there
from mededit_monai.io.outputs import require_apart
from mededit_monai.io.provenance import is_finished
from mededit_monai.lesions.masks import folder_state
from mededit_monai.lesions.wanted import from_words
from mededit_monai.prepare.one_by_one import failed_case
from mededit_monai.space.stack import CaseStack

#: Model-space tensors of a case, Sx1x128x128 or 1x1x128x128xD (``condition``: K channels), joined in a batch.
TENSOR_KEYS = ("image", "brain", "pathology", "condition", "region")

#: What names a file in a case.
_FILES = ("scan", "pathology", "brain", "region_file")


class EditingCases(list[dict[str, Any]]):
    """
    Cases to edit.

    Args:
        pending: the cases.
        done: names of those of the same list, or share of it, that are not among them, since their results are there.
    """

    def __init__(self, pending: Iterable[dict[str, Any]], done: Sequence[str] = ()) -> None:
        super().__init__(pending)
        self.done = list(done)


def editing_cases(
    scan: Any,
    pathology: Any,
    brain: Any,
    datalist: Any,
    dataset_dir: Any,
    region: Any,
    shard: str | None,
    output_dir: Any,
    options: Mapping[str, Any],
    keep_going: bool = False,
    overwrite: bool = False,
    carry: Any = None,
    lesion: str | None = None,
) -> EditingCases:
    """
    The cases to edit: one from ``scan`` and ``pathology`` (or ``lesion``), or those of a datalist.

    In a datalist the prior scan is ``scan``, else ``prior``, else ``image``; its mask ``brain`` or, with ``prior``,
    ``prior_brain``; with the condition ``regions`` the lesion mask is ``regions``, else ``pathology``. Cases whose
    finished output was made with the same options and the same input bytes are left out, so a run that was interrupted
    goes on where it stopped.

    Args:
        datalist: JSON file, or its content.
        shard: ``i/n`` with i from 1: every n-th case beginning with the i-th.
        options: everything that decides the result, written to each case's provenance.
        keep_going: whether a case with a fault is kept, with the sentence under ``failed``, instead of ending the run;
            a whole list of them ends it all the same.
        overwrite: whether the result of another scan may be replaced.
        carry: files to take along with the single scan; a datalist's case has its own, under ``carry``.
        lesion: words that say where the single scan's lesion is to be, in place of ``pathology``; a datalist's case has
            its own, under ``lesion`` (:func:`~mededit_monai.lesions.wanted.from_words`).

    Raises:
        InputError: too little, too much or nothing usable given, a file that does not exist, a result folder that is
            not ours or another scan's.
    """
    out = user_path(_text("output_dir", output_dir))
    if datalist is None and dataset_dir is not None:
        datalist = str(user_path(_text("dataset_dir", dataset_dir)) / "datalist.json")
    elif dataset_dir is not None:
        raise InputError("--dataset_dir: was given together with --datalist; give one or the other.")
    if datalist is not None:
        if scan is not None or pathology is not None:
            raise InputError("--datalist: was given together with --scan or --pathology; give one or the other.")
        if brain is not None:
            raise InputError("--brain: goes with --scan; in a datalist every case names its own, under 'brain'.")
        if carry is not None:
            raise InputError("--carry: goes with --scan; in a datalist every case names its own, under 'carry'.")
        if lesion is not None:
            raise InputError("--lesion: goes with --scan; in a datalist every case says its own, under 'lesion'.")
        source = datalist if not isinstance(datalist, (str, Path)) else str(user_path(datalist))
        name = source if isinstance(source, str) else "datalist"
        cases = [_from_datalist(case, name, options.get("condition", "mask")) for case in read_datalist(source)]
    else:
        if shard is not None:
            raise InputError(f"--shard: got '{shard}' with a single scan; it goes with --datalist, leave it out.")
        files = {"scan": scan, "pathology": pathology, "brain": brain}
        _require_one_lesion(pathology, lesion)
        for name in ("scan", "pathology"):
            if not files[name] and (name == "scan" or lesion is None):
                way = ", --lesion to say where it is to be," if name == "pathology" else ","
                raise InputError(f"--{name}: is missing; give a NIfTI file{way} or --datalist for many cases.")
        files = {k: None if v is None else str(user_path(_text(k, v))) for k, v in files.items()}
        cases = [
            {
                "case_id": None,
                **files,
                "lesion": lesion,
                "carry": [str(user_path(_text("carry", one))) for one in carry or ()],
            }
        ]
    own_region = region if region and region not in ("auto", "dilate", "brain", "pathology") else None
    if own_region is not None and was_in_memory(_text("region", own_region)):
        options = {**options, "region": Path(own_region).name}  # its path is another one in every run; its bytes tell
    chosen = share_of(cases, shard)
    for case in chosen:
        case["region_file"] = None if own_region is None else str(user_path(_text("region", own_region)))
    found = sorted_out(chosen, lambda case: _is_pending(case, out, options, overwrite), keep_going)
    if shard is None:
        require_any(found, "edited")
    return found


def sorted_out(
    cases: Iterable[dict[str, Any]], is_pending: Callable[[dict[str, Any]], bool], keep_going: bool
) -> EditingCases:
    """
    Which cases are to be worked on, and which are done.

    Args:
        is_pending: checks a case and fills in what goes with it; False if its result is there.
        keep_going: whether a case with a fault is kept, with the sentence under ``failed``, instead of ending the run.

    Raises:
        InputError: a case with a fault.
    """
    pending, done = [], []
    for case in cases:
        try:
            if is_pending(case):
                pending.append(case)
            else:
                done.append(case["case_id"])
        except Exception as error:
            if not keep_going:
                raise
            pending.append(case | failed_case(case["case_id"], error))
    return EditingCases(pending, done)


def require_any(cases: EditingCases, verb: str) -> None:
    """
    Refuse cases of which every one has failed already: the list or the folder is wrong.

    Args:
        verb: what they were to be, for the sentence.

    Raises:
        InputError: why the first one failed.
    """
    if cases.done or not cases or not all(case.get("failed") for case in cases):
        return
    more = f" None of the {len(cases)} cases can be {verb}; this is why not the first." if len(cases) > 1 else ""
    raise InputError(f"{cases[0]['failed']}{more}")


def _is_pending(case: dict[str, Any], out: Path, options: Mapping[str, Any], overwrite: bool) -> bool:
    """Check a case's files, name its result and fill in what goes with it; False if the result is there."""
    wanted = None
    if case.get("lesion") is not None:
        _require_one_lesion(case["pathology"], case["lesion"], case["case_id"])
        wanted = case["lesion"] = from_words(case["lesion"]).beside(case.get("folder", Path()))
    files = {key: str(case[key]) for key in _FILES if case.get(key)}
    if wanted and wanted.mask:
        files["lesion"] = wanted.mask
    if options.get("effects"):
        files |= {f"carry_{number}": path for number, path in enumerate(case["carry"])}
    for key, path in files.items():
        if not is_there(path):
            option = "region" if key == "region_file" else key.partition("_")[0]
            kind = "is a folder, wanted a file" if Path(path).is_dir() else "not found"
            about = f"--{option}, case '{case['case_id'] or stem(case['scan'])}'"
            raise InputError(f"{path}: {kind} ({about}); check the path.")
    request: dict[str, Any] = {"options": dict(options), "inputs": {k: image_sha256(v) for k, v in files.items()}}
    if wanted:
        request["lesion"] = wanted.asked() | folder_state(wanted)
    single = case["case_id"] is None
    if single:
        name = stem(case["scan"])
        case["case_id"] = case_name(out, case["scan"], overwrite)
        case |= {} if case["case_id"] == name else {"noise_name": name}  # same seed, same noise, whatever was there
    case |= {"files": files, "request": request, "owner": owner_of(case["scan"])}
    final = out / case["case_id"]
    if is_finished(final, request):
        say(f"{case['case_id']} is done with these options, skipped ({final})")
        return False
    if not single:
        _require_same_scan(final, case, overwrite)
    require_own_folder(final, overwrite)
    require_apart(final, files.values())
    return True


def _require_one_lesion(pathology: Any, lesion: Any, case_id: Any = None) -> None:
    """Refuse a mask and words about one lesion; InputError."""
    if pathology and lesion is not None:
        about = "" if case_id is None else f" (case '{case_id}')"
        raise InputError(
            f"--lesion: got '{lesion}' together with --pathology {pathology}{about}; give one or the other."
        )


def _require_same_scan(final: Path, case: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse to put a case's result in the place of another scan's."""
    other = other_scan(final, case["scan"])
    if other is not None and not overwrite:
        raise InputError(
            f"{final}: holds the result of another scan ({other}); choose another --output_dir, or give --overwrite to "
            f"replace it."
        )


def collate_cases(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Join the slices or volumes of several cases into one batch (see :class:`~mededit_monai.space.stack.CaseStack`).

    Everything else travels in the list ``cases``.

    Cases that failed (``failed`` among their keys) are set apart in the list ``failed``.
    """
    failed = [{"case_id": case["case_id"], "failed": case["failed"]} for case in cases if case.get("failed")]
    good = [case for case in cases if not case.get("failed")]
    batch: dict[str, Any] = {key: CaseStack.join([case[key] for case in good]) for key in TENSOR_KEYS if good}
    batch["cases"] = [{k: v for k, v in case.items() if k not in TENSOR_KEYS} for case in good]
    return batch | ({"failed": failed} if failed else {})


def _text(name: str, value: Any) -> str | Path:
    if not isinstance(value, (str, Path)) or not str(value).strip():
        raise InputError(f"--{name}: got {value!r}, wanted the path of a file; give a text or a pathlib.Path.")
    return value


def _from_datalist(case: Mapping[str, Any], datalist: str, condition: str) -> dict:
    key = next((k for k in ("scan", "prior", "image") if case.get(k)), None)
    if key is None or not (case.get("pathology") or case.get("lesion")):
        missing = "a scan ('scan', 'prior' or 'image')" if key is None else "'pathology' (or 'lesion')"
        raise InputError(f"{datalist}: case '{case['case_id']}' has no {missing}; add it.")
    brain = case.get("prior_brain") if key == "prior" else None
    return {
        "case_id": str(case["case_id"]),
        "scan": case[key],
        "pathology": (case.get("regions") if condition == "regions" else None) or case.get("pathology"),
        "lesion": case.get("lesion") or None,
        "folder": Path(os.path.abspath(datalist)).parent if datalist != "datalist" else Path.cwd(),
        "brain": brain or case.get("brain"),
        "carry": case.get("carry") or [],
    }


def share_of(cases: list[dict], shard: str | None) -> list[dict]:
    """Every n-th case beginning with the i-th for the shard ``i/n`` (i from 1), all for None; InputError for others."""
    if shard is None:
        return cases
    part, parts = require_part("shard", shard)
    return cases[part - 1 :: parts]
