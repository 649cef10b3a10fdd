# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Does a change of the code change a byte? Record what a tree writes, before and after, and compare.

    python -m studies.golden record --tree DIR --out golden_before.json
    python -m studies.golden compare golden_before.json golden_after.json

A record holds the SHA-256 of edits by every method, of simulated cohorts and of briefly trained weights, with the
options of each run; ``golden_runs.py`` lists them. Records are comparable if they were made on one machine with the
same packages: another processor or another torch rounds otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from studies.golden_runs import PARTS

#: Variables that numerical libraries read when they are loaded.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def main() -> int:
    """Command line; returns the exit code."""
    given = _parser().parse_args()
    return given.action(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    one = actions.add_parser("record", help="run everything in a tree and write the record")
    one.add_argument("--tree", type=Path, required=True, help="top of the tree, with mededit_monai/ and bundles/")
    one.add_argument("--out", type=Path, required=True, help="JSON to write")
    one.add_argument("--overwrite", action="store_true", help="replace the file that is there")
    one.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated (default: all)")
    one.add_argument("--no_progress", action="store_true", help="say nothing but what fails")
    one.set_defaults(action=_record)
    two = actions.add_parser("compare", help="list what differs between two records; exit code 1 if anything does")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.add_argument(
        "--except",
        dest="deliberate",
        metavar="PATTERN",
        action="append",
        default=[],
        help="keys that differ on purpose, such as 'edits/*/palette/*'; listed as such; may be repeated",
    )
    two.set_defaults(action=_compare)
    return parser


def _record(given: argparse.Namespace) -> int:
    tree, out = given.tree.resolve(), given.out.resolve()
    if not (tree / "mededit_monai" / "__init__.py").is_file():
        print(f"golden: {given.tree} holds no mededit_monai/; give the top of a tree with --tree.", file=sys.stderr)
        return 2
    if out.exists() and not given.overwrite:
        print(f"golden: {given.out} is there already; choose another --out, or give --overwrite.", file=sys.stderr)
        return 2
    sys.dont_write_bytecode = True  # the tree is left as it was found
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for variable in THREADS:
        os.environ[variable] = "1"
    from studies.golden_record import record  # imports NumPy, which reads these once

    parts = [part for part in PARTS if part in (given.only or PARTS)]
    stderr = sys.stderr  # a run's own output is caught
    found, failed = record(tree, parts, lambda line: None if given.no_progress else print(line, file=stderr))
    unfinished = out.with_name(
        f".{out.name}.{os.getpid()}.unfinished"
    )  # not by the tree's own writer: it may be broken
    unfinished.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, out)
    hashes = sum(isinstance(value, str) for value in found["entries"].values())
    print(f"{given.out}: {hashes} hashes in {sum(found['seconds'].values()):.0f} s", file=stderr)
    for key in failed:
        print(f"failed: {key}: {found['entries'][f'{key}/error']}", file=stderr)
    return 1 if failed else 0


def _compare(given: argparse.Namespace) -> int:
    before, after = (json.loads(path.read_bytes()) for path in (given.before, given.after))
    for name in sorted({*before["environment"], *after["environment"]}):
        old, new = (one["environment"].get(name) for one in (before, after))
        if old != new:
            print(f"note: {name} was {old}, is {new}; bytes may differ for that alone")
    counts = dict.fromkeys(("same", "different", "gone", "new", "failed", "deliberate"), 0)
    for key, kind, text in differences(before["entries"], after["entries"]):
        if kind != "same" and any(fnmatchcase(key, pattern) for pattern in given.deliberate):
            kind, text = "deliberate", f"{kind} {text}"
        counts[kind] += 1
        if kind != "same":
            print(f"{kind:<10} {key} {text}".rstrip())
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 1 if sum(counts.values()) > counts["same"] + counts["deliberate"] else 0


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """
    Every key of two records, what became of it, and more about that.

    ``failed`` is a run that raised in the second record, also where it raised in the first: it proves nothing.
    """
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if new is not None and key.endswith("/error"):
            found.append((key, "failed", str(new)))
        elif old == new:
            found.append((key, "same", ""))
        elif old is None or new is None:
            found.append((key, "new" if old is None else "gone", ""))
        else:
            found.append((key, "different", _changed_options(old, new)))
    return found


def _changed_options(old: Any, new: Any) -> str:
    """Which options of a run changed, and how; nothing of digests, which say nothing to a reader."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return ""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return ", ".join(f"{name}: {old.get(name)!r} -> {new.get(name)!r}" for name in names)


if __name__ == "__main__":
    sys.exit(main())
