# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A BIDS derivative dataset of finished cases.

The cases are edited, resumed and judged as ever, in folders of their own under ``sourcedata/mededit``; their files get
second names in the dataset. A case's folder there appears whole, and is replaced under the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from mededit_monai import __version__
from mededit_monai.bids.files import IGNORED, case_facts, case_files, name_of
from mededit_monai.bids.names import CASES, BidsName, bids_name
from mededit_monai.bids.sources import DESCRIPTION, Sources
from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.claims import exclusive
from mededit_monai.io.finished import clear_up, finished_folder, is_complete, require_own_folder
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import MARKER, OutputFolder, make_folder, marker_facts, was_changed, written_files
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.prepare.one_by_one import failed_case

#: Of the specification that the names follow.
BIDS_VERSION = "1.11.1"

README_FILE, IGNORE_FILE = "README.md", ".bidsignore"

README = f"""# Counterfactual brain MRI

Made by mededit_monai {__version__}. {DISCLAIMER}

Every image under `sub-*` that a sidecar calls `"Synthetic": true` was made by a model; the headers of the NIfTI files
say so too.

- `desc-counterfactual_T1w`: the scan as if the person had the lesion; of several samples `desc-counterfactual0`, ...
- `desc-synthetic_T1w` (`T2w`, `FLAIR`): a volume synthesized from the labels `desc-asked_dseg`
- `label-lesion_mask`: the lesion; `desc-counterfactualeditregion_mask`: where the counterfactual may differ
- `from-T1w_to-counterfactual_mode-image_xfm`: the displacement as ITK and ANTs read it, and its inverse
- `desc-counterfactual..._dseg`: segmentations taken along with it
- `*_provenance.json`: options, seed, versions, hashes of inputs and weights; `*_effects.json`: what moved
- `figures`: pictures

`sourcedata/mededit` holds the same files in a folder a case, by which a run goes on where it stopped. They are second
names of the files above, where the file system knows those; it can be left out when the dataset is passed on.
"""


class BidsDataset:
    """
    Args:
        path: of the dataset.
        overwrite: whether what somebody changed, or another case's, may be replaced.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path, self.overwrite = user_path(path), overwrite
        self.cases = self.path / CASES

    def require_free(
        self, pending: Sequence[MutableMapping[str, Any]], done: Iterable[str], keep_going: bool = False
    ) -> None:
        """
        Before a run: refuse names of two cases, or in the place of what is not ours.

        Args:
            pending: cases with ``case_id`` and ``files``; done: names of those whose folders are there.
            keep_going: whether a case whose place is taken is marked as failed, instead of ending the run.

        Raises:
            InputError: names both cases, or what is in the way.
        """
        # What somebody has changed of these stays as it is.
        OutputFolder(self.path, overwrite=True).require_free((DESCRIPTION, README_FILE, IGNORE_FILE))
        todo = [case for case in pending if not case.get("failed")]
        names = {name: name_of(case_facts(self.cases / name)) for name in done}
        names |= {case["case_id"]: bids_name(case["case_id"], _image(case["files"])) for case in todo}
        self._require_apart(names)
        for case in todo:
            try:
                self._require_place(names[case["case_id"]], case["case_id"])
            except InputError as error:
                if not keep_going:
                    raise
                case.update(failed_case(case["case_id"], error))

    def add_results(self, writer: Any, done: Iterable[str], keep_going: bool = False) -> list[Path]:
        """
        At the end of a run, or where it was interrupted: lay out the cases that are finished, those that were done
        before too where they are not laid out yet, and bring the files of the dataset up to date.

        Args:
            writer: whose ``written`` are the folders that the run made.
            done: names of cases that were done before.
            keep_going: whether a case that cannot be laid out is added to the writer's ``failed``.

        Returns:
            the folders of what the run made, in the dataset.

        Raises:
            InputError: something in the way that is not ours, or a file that is gone.
        """
        placed: dict[str, Path] = {}
        sources, made = Sources(self.path, self._links()), [folder.name for folder in writer.written]
        for name in [*done, *made]:
            try:
                placed[name] = self._lay_out(name, sources)
            except Exception as error:
                if not keep_going:
                    raise
                writer.failed.append(failed_case(name, error))
        if placed:
            self._describe(sources)
        return [placed[name] for name in made if name in placed]

    def _lay_out(self, name: str, sources: Sources) -> Path:
        case = self.cases / name
        final = self.path / name_of(case_facts(case)).folder
        made = sha256(case / MARKER)
        if marker_facts(final).get("made_of") == made and is_complete(final):
            return final
        self._require_place(name_of(case_facts(case)), name)
        clear_up(final.parent, {final.name})
        with finished_folder(final, self.overwrite, clear=False, case=name, made_of=made) as unfinished:
            for file in case_files(case, sources):
                place = unfinished / file.name
                make_folder(place.parent)
                file.write(place)
        return final

    def _require_apart(self, names: Mapping[str, BidsName]) -> None:
        """Refuse two cases in one folder, or one in another's."""
        taken: dict[str, str] = {}
        whole = {name.folder.parts[0]: case for case, name in names.items() if name.session is None}
        for case, name in names.items():
            folder = name.folder.as_posix()
            other = taken.setdefault(folder, case)
            if other == case and name.session is not None:
                other = whole.get(name.folder.parts[0], case)
            if other != case:
                raise InputError(
                    f"--layout bids: cases '{other}' and '{case}' would both be {name.folder.parts[0]}; edit one of "
                    f"them with another --output_dir, or name the session of its scan (sub-…_ses-…_T1w)."
                )

    def _require_place(self, name: BidsName, case: str) -> None:
        final = self.path / name.folder
        other = marker_facts(final).get("case", case)
        if other != case and not self.overwrite:
            raise InputError(
                f"{final}: holds the case '{other}', and '{case}' would be in its place; choose another --output_dir, "
                f"or give --overwrite to replace it."
            )
        if name.session is not None and (final.parent / MARKER).is_file():
            raise InputError(
                f"{final.parent}: holds a case without sessions, and '{case}' would be in it; choose another "
                f"--output_dir."
            )
        require_own_folder(final, self.overwrite)

    def _links(self) -> dict[str, str]:
        with suppress(OSError, ValueError, AttributeError, TypeError):
            return dict(json.loads((self.path / DESCRIPTION).read_bytes()).get("DatasetLinks", {}))
        return {}

    def _describe(self, sources: Sources) -> None:
        """Write what is about the whole dataset; what somebody has changed since, such as the authors, stays."""
        with exclusive(self.path):
            links = self._links() | sources.links
            description = {
                "Name": "Counterfactual brain MRI (synthetic)",
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": "derivative",
                "GeneratedBy": [{"Name": "mededit_monai", "Version": __version__, "Description": DISCLAIMER}],
                **({"DatasetLinks": links} if links else {}),
            }
            content = {
                DESCRIPTION: json_bytes(description, indent=2),
                README_FILE: README.encode(),
                IGNORE_FILE: "".join(f"{one}\n" for one in IGNORED).encode(),
            }
            known = written_files(self.path) or {}
            ours = {name: text for name, text in content.items() if not was_changed(self.path / name, known.get(name))}
            OutputFolder(self.path).write(ours)


def bids_dataset(parser: ConfigParser) -> BidsDataset | None:
    """The dataset that a run of a bundle writes; None without ``--layout bids``."""
    names = ("layout", "output_dir", "overwrite")
    layout, output_dir, overwrite = (parser.get_parsed_content(name) for name in names)
    return BidsDataset(output_dir, overwrite) if layout == "bids" else None


def _image(files: Mapping[str, str]) -> str:
    """What a case is made of, by which it is named."""
    return files.get("scan") or files["label"]
