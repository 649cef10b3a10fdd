# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of a bundle's run, worked on elsewhere: a worker builds the run once, from its config, and is sent cases."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.bundle.utils import ID_SEP_KEY
from tqdm import tqdm

from mededit_monai.cluster.run import KILLED, cluster
from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.memory import give_large_blocks_back
from mededit_monai.core.running import run_engine, running
from mededit_monai.io.finished import clear_up


@dataclass(frozen=True)
class Part:
    """
    The part of a config that works on cases.

    Args:
        engine: that does.
        cases: item that is a list of them.
        anew: items that are made again for other cases; what else they are made of is kept, networks above all.
        sample: item that others look at for what a case holds; "": there is none.
    """

    engine: str
    cases: str
    anew: tuple[str, ...] = ()
    sample: str = ""


#: Of an ``inference.yaml``, whose ``writer`` says what was written and what failed; and of ``evaluate.yaml``.
INFERENCE = Part("evaluator", "cases", ("dataset", "dataloader", "writer", "case_progress", "handlers"))
EVALUATION = Part("evaluate#editing", "evaluate#pending", sample="evaluate#cases")


@dataclass(frozen=True)
class Done:
    """What became of a job's cases: folders that were written, and those that failed, each with its sentence."""

    cases: int
    written: tuple[Path, ...] = ()
    failed: tuple[Mapping[str, str], ...] = ()


def jobs_of(parser: ConfigParser, part: Part, cases: Sequence[Any], size: int) -> Iterator[tuple[bytes, Part, Any]]:
    """
    Arguments of :func:`work_on` for the cases of a run, in the batches that the run itself would make: so the results
    are the same.

    Args:
        parser: of the run, whose config is data.
        size: of a batch.
    """
    config = dict(parser.get()) | {"progress": False, "num_workers": 0}
    config |= {"cluster": None} if "cluster" in config else {}
    config |= {"datalist": "given"} if isinstance(config.get("datalist"), list) else {}  # a job brings its own cases
    settled = pickle.dumps(config)
    for start in range(0, len(cases), size):
        yield settled, part, list(cases[start : start + size])


def work_on(config: bytes, part: Part, cases: list[Any]) -> Done:
    """
    On a worker: run a part of a config on cases.

    Args:
        config, part, cases: of :func:`jobs_of`.

    Raises:
        InputError: bad input, in one sentence.
    """
    _choose_gpu()
    with raising_bad_input():
        parser = _built(config)
        with running(parser):
            _put(parser, part, cases)
            run_engine(parser, part.engine)
            writer = parser.get_parsed_content("writer") if "writer" in part.anew else None
    return Done(len(cases), tuple(getattr(writer, "written", ())), tuple(getattr(writer, "failed", ())))


@lru_cache(maxsize=1)
def _built(config: bytes) -> ConfigParser:
    """The parser of a run; what is made of its items stays until another run comes."""
    give_large_blocks_back()
    return ConfigParser(pickle.loads(config))


def _put(parser: ConfigParser, part: Part, cases: list[Any]) -> None:
    """
    Put cases, as they are, in the place of an item, and forget what is made of them.

    The config is parsed again, since an item that was made holds what it was made of in place of its references.
    """
    known = parser.ref_resolver.resolved_content
    stale = tuple(parser.ref_resolver.normalize_id(name) for name in (part.engine, *part.anew))
    below = tuple(f"{name}{ID_SEP_KEY}" for name in stale)
    kept = {name: made for name, made in known.items() if name not in stale and not name.startswith(below)}
    kept[parser.ref_resolver.normalize_id(part.cases)] = cases
    if part.sample:
        kept.setdefault(parser.ref_resolver.normalize_id(part.sample), cases)
    parser.parse(reset=True)
    parser.ref_resolver.resolved_content.update(kept)


def _choose_gpu() -> None:
    """Workers of one machine, which are numbered, take its GPUs in turn."""
    from distributed import get_worker  # of an extra

    number = get_worker().name
    if isinstance(number, int) and torch.cuda.is_available() and torch.cuda.device_count() > 1:
        torch.cuda.set_device(number % torch.cuda.device_count())


def run_cases(
    parser: ConfigParser,
    cases: Sequence[Mapping[str, Any]],
    word: str,
    size: int = 1,
    shown: bool = True,
    keep_going: bool = False,
) -> None:
    """
    Have the cases of an ``inference.yaml`` worked on by a cluster, as its own evaluator would; its writer hears of it.

    Args:
        parser: of the run, which claims the cases.
        word: of ``--cluster``; size: of a batch; shown: whether there is a bar.
        keep_going: whether cases whose workers were killed one after the other are noted, and the others go on.

    Raises:
        InputError: bad input, in one sentence.
    """
    writer, names = parser.get_parsed_content("writer"), [case["case_id"] for case in cases]
    out = writer.output_dir
    before, found = len(getattr(cases, "done", ())), {}

    def lost(number: int) -> Done:
        batch = names[number * size : (number + 1) * size]
        if not keep_going:
            raise InputError(f"{batch[0]}: {KILLED}")
        return Done(len(batch), (), tuple({"case_id": name, "failed": KILLED} for name in batch))

    bar = tqdm(total=before + len(cases), initial=before, unit="case", disable=None if shown else True)
    try:
        with cluster(word, out) as workers, bar, ExitStack() as stack:
            jobs = jobs_of(parser, INFERENCE, cases, size)
            for number, done in stack.enter_context(closing(workers.results(work_on, jobs, lost))):
                found[number] = done
                bar.update(done.cases)
    finally:
        for done in (found[number] for number in sorted(found)):
            writer.written += done.written
            if done.failed:
                writer.failed += done.failed
        clear_up(out, names, anywhere=True)
