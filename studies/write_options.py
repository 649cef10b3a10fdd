# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Write what comes from the declared options: their block in a bundle's YAML, their tables in the reference.

    python -m studies.write_options [--check]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mededit_monai.core.options import options_of, reference_table, yaml_block
from mededit_monai.downstream.options import DownstreamOptions
from mededit_monai.io.atomic import write_text
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.recovery.options import RecoveryOptions
from mededit_monai.synthesis.options import SynthesisOptions
from mededit_monai.training.options import TrainingOptions

REPOSITORY = Path(__file__).resolve().parents[1]

#: File → dataclass of its options.
YAML = {
    "bundles/stroke/configs/inference.yaml": EditOptions,
    "bundles/stroke/configs/train.yaml": TrainingOptions,
    "bundles/semantic_synthesis/configs/inference.yaml": SynthesisOptions,
}
REFERENCE = "docs/reference/options.md"

#: Whose options are tables of the reference: those of the bundles, and of verbs that run none.
TABLES = (*dict.fromkeys(YAML.values()), DownstreamOptions, RecoveryOptions)

#: Words of the comments that enclose a block in YAML; the first goes on to an empty line.
BEGIN, END = "# Options, from here", "# End of the options."


def with_block(text: str, block: str) -> str:
    """A YAML file with its block of options replaced."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the comments '{BEGIN} …' and '{END}' are missing; put them back.")
    comment = rest.partition("\n\n")[0] + "\n\n"
    return head + begin + comment + block + end + tail


def with_tables(text: str) -> str:
    """The page of the reference with its tables replaced, each between two comments that name the class."""
    for declared in TABLES:
        begin, end = f"<!-- {declared.__name__} -->\n", f"<!-- end of {declared.__name__} -->"
        head, found, rest = text.partition(begin)
        if not found or end not in rest:
            raise SystemExit(f"{REFERENCE}: the comments '{begin.strip()}' and '{end}' are missing; put them back.")
        text = head + begin + "\n" + reference_table(options_of(declared)) + end + rest.partition(end)[2]
    return text


def written() -> dict[Path, str]:
    """Files of the repository → what they should be."""
    found = {}
    for name, declared in YAML.items():
        path = REPOSITORY / name
        found[path] = with_block(path.read_text(encoding="utf-8"), yaml_block(options_of(declared)))
    page = REPOSITORY / REFERENCE
    return found | {page: with_tables(page.read_text(encoding="utf-8"))}


def main() -> None:
    """Write the files, or with ``--check`` only say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is stale")
    check = parser.parse_args().check
    stale = {path: text for path, text in written().items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        print(f"{path.relative_to(REPOSITORY)}: {'stale' if check else 'written'}")
        if not check:
            write_text(path, text)
    sys.exit(int(check and bool(stale)))


if __name__ == "__main__":
    main()
