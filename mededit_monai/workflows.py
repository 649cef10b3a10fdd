# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Running a bundle: the Python functions behind ``mededit edit`` and ``mededit train``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.data import get_track_meta, set_track_meta

from mededit_monai.core.errors import InputError, find_input_error, raising_bad_input, require_choice
from mededit_monai.core.guard import check_sections
from mededit_monai.core.loudness import hush
from mededit_monai.core.options import options_of
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.plain_values import as_data, plain_value, require_option_name
from mededit_monai.core.running import running
from mededit_monai.downstream.options import DownstreamOptions
from mededit_monai.io.edit_inputs import edit_inputs
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.synthesis.options import SynthesisOptions
from mededit_monai.training.options import TrainingOptions

__all__ = ["bundle_content", "downstream", "edit", "evaluate_synthesis", "overrides", "recovery", "synthesize", "train"]


def bundle_content(
    bundle: str | Path, ids: Sequence[str], config: str = "inference.yaml", **options: Any
) -> tuple[Any, ...]:
    """
    Parsed items of a bundle's config, for programs that need its parts (``network``, ``inferer``, …).

    Args:
        options: as on the command line of a bundle run.
    """
    root = bundle_root(bundle)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / config))
    parser.update(overrides({"progress": False, **options}) | {"bundle_root": as_data(str(root))})
    try:
        with running(parser):
            return tuple(parser.get_parsed_content(name) for name in ids)
    except Exception as error:
        bad_input = find_input_error(error)
        if bad_input is None:
            raise
        raise bad_input from None


def edit(
    scan: Any = None,
    pathology: Any = None,
    output_dir: str | Path = "out/edits",
    bundle: str | Path = "stroke",
    **options: Any,
) -> list[Path]:
    """
    Edit a scan, or the cases of a ``datalist``, with a bundle; the same as ``mededit edit``.

    Args:
        scan: T1 without the lesion, in any orientation and format that is read: a path, or an image of nibabel.
        pathology: binary lesion mask on the same grid, likewise; or ``lesion="MCA left large"`` among the options.
        output_dir: gets a folder per case.
        bundle: ``stroke`` or a bundle's folder.
        options: any option of the bundle's ``inference.yaml``: ``brain``, ``method``, ``steps``, ``seed``, …;
            ``datalist`` may be a file or a list of cases (``case_id``, ``scan``, ``pathology``, ``brain``).

    Returns:
        the folders written, in the order of the cases.

    Raises:
        InputError: bad input, in one sentence; SomeFailed: some cases of a datalist failed, the others are done.

    Example:
        >>> from mededit_monai import edit
        >>> edit("T1.nii.gz", "lesion.nii.gz", "out", seed=1)  # doctest: +SKIP
        [PosixPath('out/T1')]
    """
    given = {"scan": scan, "pathology": pathology, "output_dir": output_dir, **options}
    with edit_inputs(given) as files, _workflow(bundle, ["inference.yaml"], "inference", files) as workflow:
        written: list[Path] = workflow.parser.get_parsed_content("writer").written
        return written


def synthesize(
    mask: Any = None,
    output_dir: str | Path = "out/synthesis",
    bundle: str | Path = "semantic_synthesis",
    overlays: Sequence[str | Path] = (),
    **options: Any,
) -> list[Path]:
    """
    Synthesize volumes from a segmentation, or from those of a ``datalist``; the same as ``mededit synthesize``.

    Args:
        mask: labels 1 (core), 2 (edema), 3 (enhancing) and 4 (the brain around them), 3-D NIfTI in any orientation.
        output_dir: gets a folder per case.
        bundle: ``semantic_synthesis`` or a bundle's folder.
        overlays: config files laid over its ``inference.yaml``, for other modalities and sizes.
        options: any option of ``inference.yaml``: ``brain``, ``samples``, ``seed``, ``steps``, …

    Returns:
        the folders written, in the order of the cases.

    Raises:
        InputError: bad input, in one sentence; SomeFailed: some cases of a datalist failed, the others are done.
    """
    given = {"mask": mask, "output_dir": output_dir, **options}
    with _workflow(bundle, ["inference.yaml", *checked_overlays(overlays, bundle)], "inference", given) as workflow:
        written: list[Path] = workflow.parser.get_parsed_content("writer").written
        return written


def evaluate_synthesis(
    dataset_dir: str | Path,
    output_dir: str | Path = "out/synthesis_evaluation",
    bundle: str | Path = "semantic_synthesis",
    overlays: Sequence[str | Path] = (),
    **options: Any,
) -> Path:
    """
    Synthesize the held-out masks of a cohort and measure the volumes; the same as the bundle's run ``evaluating``.

    Args:
        dataset_dir: a cohort of ``mededit simulate --modalities``.
        bundle, overlays: as for :func:`synthesize`.
        options: any option of ``inference.yaml`` and ``evaluate.yaml``: ``weights``, ``limit``, ``steps``, …

    Returns:
        the output folder, with ``cases.csv``, ``summary.json``, ``summary.md`` and pictures.

    Raises:
        InputError: bad input, in one sentence.
    """
    given = {"dataset_dir": dataset_dir, "output_dir": output_dir, **options}
    configs = ["inference.yaml", bundle_root(bundle) / "configs" / "evaluate.yaml", *checked_overlays(overlays, bundle)]
    with _workflow(bundle, configs, "inference", given, "evaluating") as workflow:
        return Path(workflow.parser.get_parsed_content("output_dir"))


def train(bundle: str | Path = "stroke", overlays: Sequence[str | Path] = (), **options: Any) -> Path:
    """
    Train a bundle; the same as ``mededit train``.

    Args:
        bundle: ``stroke`` or a bundle's folder.
        overlays: config files laid over the bundle's ``train.yaml``, such as ``configs/thesis.yaml``.
        options: any option of ``train.yaml``: ``datalist``, ``output_dir``, ``max_epochs``, …

    Returns:
        the output folder, with ``model.pt``, ``checkpoint.pt``, ``history.csv``, ``progress.png`` and previews.

    Raises:
        InputError: bad input, in one sentence.
    """
    with _workflow(bundle, ["train.yaml", *checked_overlays(overlays, bundle)], "train", options) as workflow:
        return Path(workflow.parser.get_parsed_content("output_dir"))


def downstream(
    cohort: str | Path,
    output_dir: str | Path = "out/downstream",
    synthetic: str | Path | None = None,
    **options: Any,
) -> Path:
    """
    Measure what synthetic cases are worth to a segmentation network; the same as ``mededit downstream``.

    Args:
        cohort: folder of ``mededit dataset`` or ``mededit simulate``.
        output_dir: gets ``results.json``, ``table.csv``, ``table.md``, ``cases.csv``, ``dice.png``, ``report.html``.
        synthetic: folder that :func:`synthesize` or :func:`edit` wrote.
        options: any of ``mededit downstream``: ``rows``, ``preset``, ``folds``, ``seeds``, ``iterations``, …

    Returns:
        ``results.json``.

    Raises:
        InputError: bad input, in one sentence.
    """
    from mededit_monai.downstream.run import downstream as run_downstream
    from mededit_monai.evaluation.folder import path_word  # the evaluation's plan imports this module

    places = {"cohort": cohort, "output_dir": output_dir, "synthetic": synthetic}
    paths = {name: path_word(name, value, optional=name != "output_dir") for name, value in places.items()}
    with raising_bad_input():
        return run_downstream(DownstreamOptions.of(paths | {k: plain_value(k, v) for k, v in options.items()}))


def recovery(scans: str | Path, output_dir: str | Path = "out/recovery", **options: Any) -> Path:
    """
    Put lesions into scans and score what a segmenter finds of them; the same as ``mededit recovery``.

    Args:
        scans: folder of scans without lesion, or a datalist.
        output_dir: gets ``recovery.json``, ``recovery.csv``, ``recovery.md``, ``recovery.png``; ``edits``, ``found``.
        options: any of ``mededit recovery``: ``lesions``, ``segmenter``, ``ventricle_labels``, ``bundle``, ``seed``, …

    Returns:
        ``recovery.json``.

    Raises:
        InputError: bad input, in one sentence; SomeFailed: some cases failed, the others are scored.
    """
    from mededit_monai.evaluation.folder import path_word
    from mededit_monai.recovery.options import RecoveryOptions
    from mededit_monai.recovery.run import recovery as run_recovery

    paths = {"scans": path_word("scans", scans, optional=True), "output_dir": path_word("output_dir", output_dir)}
    with raising_bad_input():
        return run_recovery(RecoveryOptions.of(paths | {k: plain_value(k, v) for k, v in options.items()}))


@contextmanager
def _workflow(
    bundle: str | Path, configs: Sequence[str | Path], kind: str, options: Mapping[str, Any], run_id: str = "run"
) -> Iterator[ConfigWorkflow]:
    """Run a bundle and hold its workflow open for whoever wants to look at its parts."""
    root = bundle_root(bundle)
    given = overrides(options) | {"bundle_root": as_data(str(root))}
    files = [str(root / "configs" / configs[0]), *map(str, configs[1:])]
    hush("monai.bundle.workflows", logging.ERROR)
    tracked = get_track_meta()  # a training switches it off
    with raising_bad_input(), ExitStack() as stack:
        stack.callback(set_track_meta, tracked)
        check_sections(list(given), files)
        workflow = ConfigWorkflow(files, logging_file=False, workflow_type=kind, run_id=run_id, **given)
        stack.enter_context(running(workflow.parser, files))
        workflow.initialize()
        workflow.run()
        yield workflow
        workflow.finalize()


def checked_overlays(paths: Sequence[str | Path], bundle: str | Path | None = None) -> list[str]:
    """
    Config files to lay over a bundle's, as paths that MONAI's reader takes for one file each.

    Args:
        bundle: whose folder ``configs`` holds what is named without a folder and is not in the working directory.

    Raises:
        InputError: one that is not there, or is no YAML or JSON.
    """
    found = []
    for given in paths:
        path = user_path(given)
        if not path.is_file() and bundle is not None and Path(given).name == str(given):
            path = bundle_root(bundle) / "configs" / given
        if not path.is_file():
            raise InputError(f"--config: {given} not found; give an existing YAML file.")
        if path.suffix.lower() not in (".yaml", ".yml", ".json"):
            raise InputError(f"--config: {given} is named neither .yaml nor .json; give a config file.")
        try:
            ConfigParser.load_config_file(str(path))
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(f"--config: {given} cannot be read as YAML ({why}); mend it.") from error
        found.append(str(path))
    return found


_FILES = [
    one for kind in (EditOptions, TrainingOptions, SynthesisOptions) for one in options_of(kind).values() if one.file
]

#: Options that name a file or folder, in any config, and those that name several.
PATH_OPTIONS = frozenset(one.name for one in _FILES if not one.several)
LISTS_OF_PATHS = frozenset(one.name for one in _FILES if one.several)


def overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as overrides of a config, which reach its parser as data (see ``plain_values``)."""
    given = {}
    for name, value in options.items():
        if value is None:
            continue
        require_option_name(name)
        value = plain_value(name, value)
        if name == "tracking":  # MONAI's own; a file there would be a config
            require_choice(name, value, ("mlflow",))
        if name in PATH_OPTIONS and isinstance(value, str):
            value = str(user_path(value)) if value else value
        if name in LISTS_OF_PATHS:
            value = [str(user_path(one)) for one in ([value] if isinstance(value, str) else value)]
        given[name] = as_data(value)
    return given
