# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Write what a release holds beside wheel and sdist: the bundles' weights that are not in git, each compared with its
checksum and read, SHA256SUMS, and a large_files.yml a bundle. `--weights_dir` takes the folder as it is.

    python -m studies.release_assets [--url https://…] -o dist/weights
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.io.atomic import write_text
from mededit_monai.io.checksums import CHECKSUMS, checksums
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.hashing import sha256
from mededit_monai.io.weight_files import LARGE_FILES, find_weights, how_to_get, large_files_list, released_files
from mededit_monai.networks.weights import read_weights
from studies.write_checksums import ADDRESS, IN_GIT, REPOSITORY


def write_assets(bundles: list[Path], output_dir: Path, url: str = ADDRESS) -> list[str]:
    """
    Write the folder.

    Args:
        bundles: folders of bundles; those without a large_files.yml have nothing to release.
        output_dir: a new folder, or one that was written before.
        url: web address under which its files will be.

    Returns:
        names of the weight files.

    Raises:
        InputError: an address that is none; a file that is absent, differs from its checksum or is no plain state dict.
    """
    if url != ADDRESS and not re.match(r"https?://", url):
        raise InputError(f"--url: got '{url}', wanted a web address (https://…).")
    names: list[str] = []
    with finished_folder(output_dir) as folder:
        for bundle in bundles:
            released = released_files(bundle)
            for name, one in released.items():
                place = find_weights(bundle, name)
                if not place.is_file():
                    raise InputError(f"{place}: not found; {how_to_get(place)}.")
                shutil.copyfile(place, folder / one.asset)
                if sha256(folder / one.asset) != one.digest:
                    way = "bring the file back, or the list up to date with python -m studies.write_checksums"
                    raise InputError(f"{place}: differs from its checksum in {bundle / LARGE_FILES}; {way}.")
                read_weights(folder / one.asset)
                names.append(one.asset)
            entries = [(f"models/{name}", one.asset, one.digest) for name, one in released.items()]
            if entries:
                write_text(folder / f"{bundle.name}_{LARGE_FILES}", large_files_list(entries, url))
        write_text(folder / CHECKSUMS, checksums(folder))
    return names


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=ADDRESS, help="web address of the release's files")
    parser.add_argument("-o", "--output_dir", type=Path, default=REPOSITORY / "dist" / "weights")
    given = parser.parse_args()
    bundles = sorted(place.parents[1] for place in (REPOSITORY / "bundles").glob("*/configs/inference.yaml"))
    with reporting_bad_input():
        names = write_assets(bundles, given.output_dir, given.url or ADDRESS)
    total = sum((given.output_dir / name).stat().st_size for name in names)
    print(f"{given.output_dir}: {len(names)} files, {total / 1e6:.1f} MB, as their checksums say")
    for bundle in bundles:
        sizes = [place.stat().st_size for name in IN_GIT if (place := bundle / "models" / name).is_file()]
        if sizes:
            print(f"{bundle.name}: {sum(sizes) / 1e6:.1f} MB stay in git, the largest file {max(sizes) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
