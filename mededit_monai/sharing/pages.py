# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's page for readers who have the bundle alone: its links, its commands, the head of a model card."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

#: Relative links of Markdown, whose text may go over a line's end.
_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)([^)\s]+)\)")

#: Where the commands begin that are run from the bundle's folder once it is exported.
_COMMANDS = "## MONAI Bundle Commands"


def alone(text: str, folder: str, version: str) -> str:
    """
    The page of a bundle that has left the repository.

    Links out of the bundle become the names of the repository's files; commands are for the bundle's folder.

    Args:
        text: of ``docs/README.md``; folder: its name in ``bundles/``.
        version: of the package that the bundle needs.
    """
    home = f"bundles/{folder}"

    def told(match: re.Match) -> str:
        place = posixpath.normpath(f"{home}/docs/{match[2].partition('#')[0]}")
        return (
            match[0] if place.startswith(f"{home}/") else f"{match[1]} (`{place}` in the repository of mededit_monai)"
        )

    page, heading, commands = _LINK.sub(told, text).partition(_COMMANDS)
    commands = commands.replace(
        "From the repository root, with the package installed.",
        f"From this folder, with the package installed (`pip install mededit_monai=={version}`). An overlay "
        "`configs/NAME.yaml` that is not\nhere is one of the package's repository.",
    )
    return page + heading + commands.replace(f"{home}/", "").replace(home, ".")


def from_above(text: str) -> str:
    """The page, one folder up: its links lead into ``docs/``."""
    return _LINK.sub(lambda match: f"[{match[1]}]({posixpath.normpath(f'docs/{match[2]}')})", text)


def model_card(page: str, root: Path, use: str = "") -> str:
    """
    The page as a model card of Hugging Face: what is known of the model as YAML, then the page.

    Args:
        page: what :func:`alone` gives; root: folder of the bundle, of which the licence is read.
        use: a section on how to get it, put in front of the second heading.
    """
    head = yaml.safe_dump(card_data(page, root), sort_keys=False, allow_unicode=True)
    first, heading, rest = from_above(page).partition("\n## ")
    return f"---\n{head}---\n\n{first}{use and f'{chr(10)}{use}'}{heading}{rest}"


def card_data(page: str, root: Path) -> dict[str, Any]:
    """Licence, library, task and tags, as the hub's search has them; MONAI's own uploads begin with the same tags."""
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    known = "Apache License" in licence and "Version 2.0" in licence
    own = re.search(r"^## Tags\s+(.+?)\n\s*\n", page, flags=re.DOTALL | re.MULTILINE)
    words = [word.strip().lower().replace(" ", "-") for word in own[1].split(",")] if own else []
    return {
        "license": "apache-2.0" if known else "unknown",
        "library_name": "monai",
        "pipeline_tag": "image-to-image",
        "tags": list(dict.fromkeys(["monai", "medical", *words])),
    }


def how_to_get_it(hub_id: str, name: str, edits: bool) -> str:
    """
    The section of a card that says how to run it.

    Args:
        hub_id: ORG/NAME; name: of the bundle's folder.
        edits: whether it edits scans, or synthesizes volumes from masks.
    """
    verb = "edit" if edits else "synthesize"
    files = "--scan T1.nii.gz --pathology lesion.nii.gz" if edits else "--mask seg.nii.gz"
    return (
        f"## Use it\n\n```\npip install 'mededit_monai[hub]'\n"
        f"mededit {verb} --bundle hf:{hub_id} {files} -o out\n```\n\n"
        f"or, as a MONAI bundle:\n\n```\npython -m monai.bundle download --source huggingface_hub --repo {hub_id} "
        f"--name {name} --bundle_dir .\n```\n"
    )


def hub_metadata(metadata: Mapping[str, Any], hub_id: str) -> dict[str, Any]:
    """A bundle's metadata as the zoo's ``hf_models`` have it: where the model is, and no formats of networks."""
    kept = {key: value for key, value in metadata.items() if not key.endswith("_data_format")}
    authors = metadata["authors"]
    return kept | {
        "schema": re.sub(r"meta_schema_\d+", "meta_schema_hf_20250321", metadata["schema"]),
        "authors": [authors] if isinstance(authors, str) else authors,
        "huggingface_model_id": hub_id,
        "huggingface_url": f"https://huggingface.co/{hub_id}",
    }
