# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Write the SHA-256 of all weights: of those in git to SHA256SUMS, which `mededit doctor` and `sha256sum -c` compare; of a
bundle's others, which are released apart, to its large_files.yml.

    python -m studies.write_checksums [--check]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mededit_monai.io.atomic import write_text
from mededit_monai.io.checksums import CHECKSUMS, WEIGHTS, checksums
from mededit_monai.io.hashing import sha256
from mededit_monai.io.weight_files import LARGE_FILES, large_files_list, released_files

REPOSITORY = Path(__file__).resolve().parents[1]

#: A bundle's weights that are kept in git: the default editor's, the thesis's model and those of synthesis. All others
#: are released apart.
IN_GIT = ("effects.pt", "effects_3d.pt", "model.pt", "model_four_modalities.pt", "paint.pt", "paint_3d.pt")

#: What stands for the web address of a release in a large_files.yml of the repository.
ADDRESS = "${FILES_URL}"


def weight_folders() -> list[Path]:
    """Folders with weights that are shipped."""
    folders = [*sorted((REPOSITORY / "bundles").glob("*/models")), REPOSITORY / "mededit_monai" / "judges" / "weights"]
    return [folder for folder in folders if any(folder.glob("*.pt"))]


def lists(folder: Path) -> dict[Path, str]:
    """
    The lists of a folder of weights → what they should say.

    Args:
        folder: a bundle's ``models/``; any other holds nothing that is released apart.
    """
    bundle = folder.parent
    if folder.name != "models":
        return {folder / CHECKSUMS: checksums(folder)}
    known = {name: one.digest for name, one in released_files(bundle).items()}
    known |= {p.name: sha256(p) for p in folder.iterdir() if p.suffix in WEIGHTS and p.name not in IN_GIT}
    entries = [(f"models/{name}", f"{bundle.name}_{name}", digest) for name, digest in sorted(known.items())]
    head = "# Released apart; 'make release-assets FILES_URL=…' puts the address in.\n"
    text = head + large_files_list(entries, ADDRESS)
    return {folder / CHECKSUMS: checksums(folder, without=known)} | ({bundle / LARGE_FILES: text} if known else {})


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a list is out of date")
    only_check = parser.parse_args().check
    wanted = {place: text for folder in weight_folders() for place, text in lists(folder).items()}
    for place, text in wanted.items():
        if place.is_file() and place.read_text(encoding="utf-8") == text:
            continue
        if only_check:
            raise SystemExit(f"{place.relative_to(REPOSITORY)}: out of date; run python -m studies.write_checksums")
        write_text(place, text)
        print(f"{place.relative_to(REPOSITORY)}: written")


if __name__ == "__main__":
    main()
