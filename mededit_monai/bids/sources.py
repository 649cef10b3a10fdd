# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How a BIDS dataset names files of other datasets: ``bids:NAME:PATH``, and where NAME is."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from mededit_monai.bids.names import alphanumeric

DESCRIPTION = "dataset_description.json"


class Sources:
    """
    Args:
        dataset: folder of the dataset that names others.
        links: name of another dataset → where it is, relative to this one, as in ``DatasetLinks``; others are added.
    """

    def __init__(self, dataset: Path, links: dict[str, str] | None = None) -> None:
        self.dataset, self.links = dataset, dict(links or {})

    def uri(self, file: str | Path) -> str:
        """A BIDS URI of a file in a dataset, or the bare name of any other, since paths tell of the machine."""
        path = Path(os.path.abspath(file))
        root = next((folder for folder in path.parents if (folder / DESCRIPTION).is_file()), None)
        if root is None or root == Path(os.path.abspath(self.dataset)):
            return path.name
        where = quote(Path(os.path.relpath(root, self.dataset)).as_posix())
        name = next((name for name, place in self.links.items() if place == where), None)
        if name is None:
            name = base = alphanumeric(root.name) or "raw"
            while name in self.links:
                name = f"{base}{len(self.links)}"
            self.links[name] = where
        return f"bids:{name}:{quote(path.relative_to(root).as_posix())}"
