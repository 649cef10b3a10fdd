# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Write the SHA-256 of all shipped weights, which `mededit doctor` compares; `sha256sum -c` reads them too.

    python -m studies.write_checksums [--check]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mededit_monai.io.checksums import CHECKSUMS, checksums

REPOSITORY = Path(__file__).resolve().parents[1]


def weight_folders() -> list[Path]:
    """Folders with weights that are shipped."""
    folders = [*sorted((REPOSITORY / "bundles").glob("*/models")), REPOSITORY / "mededit_monai" / "judges" / "weights"]
    return [folder for folder in folders if any(folder.glob("*.pt"))]


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a list is out of date")
    only_check = parser.parse_args().check
    for folder in weight_folders():
        place, text = folder / CHECKSUMS, checksums(folder)
        if place.is_file() and place.read_text(encoding="utf-8") == text:
            continue
        if only_check:
            raise SystemExit(f"{place.relative_to(REPOSITORY)}: out of date; run python -m studies.write_checksums")
        place.write_text(text, encoding="utf-8")
        print(f"{place.relative_to(REPOSITORY)}: written")


if __name__ == "__main__":
    main()
