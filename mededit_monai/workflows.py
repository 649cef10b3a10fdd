# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Running a bundle: what its ``initialize`` checks, and the Python function behind ``mededit edit``."""

from __future__ import annotations

import difflib
import inspect
import logging
import pydoc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS
from monai.data import get_track_meta, set_track_meta

from mededit_monai.core.edit_options import check_edit_options, region_kind
from mededit_monai.core.errors import (
    InputError,
    called_from_python,
    find_input_error,
    raising_bad_input,
    reporting_bad_input,
    require_choice,
)
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.plain_values import as_data, plain_value, require_option_name, shown
from mededit_monai.core.program import report_what_ends_this_process
from mededit_monai.io.claims import claim
from mededit_monai.io.edit_inputs import edit_inputs
from mededit_monai.io.finished import clear_up

__all__ = [
    "bundle_content",
    "check_edit_options",
    "check_ids",
    "edit",
    "given_options",
    "region_kind",
    "run_edits",
    "run_engine",
    "train",
]

#: Ids that MONAI itself reads, so that nothing in a config has to refer to them.
MONAI_IDS = (
    {"imports", "initialize", "finalize", "run", "training", "inference", "evaluating", "_meta_", "dataset_dir"}
    | {
        p["id"].replace("::", "#")
        for group in (TrainProperties, InferProperties, MetaProperties)
        for p in group.values()
    }
    | {key for settings in DEFAULT_EXP_MGMT_SETTINGS.values() for key in settings["configs"]}
)


def check_ids() -> None:
    """
    Refuse options that nothing in the config refers to, naming the nearest known one.

    MONAI takes any ``--key value`` and adds it to the config: ``--resampel 4`` would change nothing and say nothing.
    An id that no other item refers to, and that MONAI does not read, has no effect; that is what is refused.
    """
    parser = _running_parser()
    if parser is None:
        return
    if not called_from_python():
        report_what_ends_this_process()
    config = {k: v for k, v in parser.get().items() if k != "_meta_"}
    text = " ".join(_strings(config))
    # An override inside a component may have cut the last reference to an option of the bundle; it is known still.
    known = MONAI_IDS | _bundle_ids(shown(config.get("bundle_root"))) | {key for key in config if _referred(key, text)}
    candidates = dict(config)
    for section, content in config.items():
        # The members of a plain section (train, validate) are options of their own unless it is used as a whole.
        if isinstance(content, dict) and "_target_" not in content and not re.search(rf"@{section}(?![\w#:])", text):
            candidates |= {f"{section}#{key}": value for key, value in content.items()}
            known |= {section} | {f"{section}#{k}" for k in content if _referred(f"{section}#{k}", text)}
    with reporting_bad_input():
        for name, value in candidates.items():
            if name not in known:
                near = difflib.get_close_matches(name, sorted(known & set(candidates)), n=1)
                hint = f"did you mean --{near[0]}?" if near else "see the bundle's config for the known ones."
                raise InputError(f"--{name}: unknown option (value {shown(value)!r}); {hint}")
        for name, component in config.items():
            _check_arguments(name, component)
        _check_expressions(parser)
    _read_words(parser)


def _check_expressions(parser: ConfigParser) -> None:
    """
    Refuse names of files that MONAI reads as expressions and cannot evaluate.

    ``python -m monai.bundle`` takes values in the config's language, which is how MONAI has it; `mededit` takes names.
    """
    for name in ("scan", "pathology", "brain", "datalist", "dataset_dir", "output_dir"):
        raw = parser.get(name)
        if not isinstance(raw, str) or not raw.startswith("$"):
            continue
        try:
            parser.get_parsed_content(name)
        except Exception as error:
            if find_input_error(error) is not None:
                raise
            raise InputError(
                f"--{name}: got '{raw}', which a bundle run reads as an expression and cannot evaluate; give a file "
                f"whose name begins with $ to mededit instead."
            ) from error


#: What words on a shell stand for. MONAI reads Python there (``False``, ``None``), everyone writes YAML, and the text
#: 'false' would count as true.
WORDS = {"true": True, "false": False, "null": None}


def _read_words(parser: ConfigParser) -> None:
    """Give top-level options that came as the text 'true', 'false' or 'null' the value that was meant."""
    for name, value in parser.get().items():
        if isinstance(value, str) and value in WORDS:
            parser.get()[name] = WORDS[value]
            parser.ref_resolver.items[name].update_config(WORDS[value])  # nothing but the imports is resolved yet


def run_engine(name: str) -> None:
    """
    Build and run an engine of the config that calls this, e.g. ``"$run_engine('evaluator')"``.

    The engine is resolved here, not as ``@evaluator`` in the expression, so that bad input met while its parts are
    built ends in one sentence too; MONAI would wrap and hide it.
    """
    parser = _running_parser()
    if parser is None:
        raise RuntimeError("run_engine works inside a bundle run only.")
    with reporting_bad_input():
        engine = parser.get_parsed_content(name)
        # Ignite announces every exception it passes on; the sentence, or the traceback, comes once and at the end.
        engine.logger.addFilter(lambda record: "terminating due to exception" not in record.getMessage())
        if len(engine.data_loader) > 0:  # every case may be done already
            engine.run()


def given_options() -> set[str]:
    """Names of the options of the bundle run that calls this that differ from the bundle's own inference.yaml."""
    parser = _running_parser()
    if parser is None:
        return set()
    own = ConfigParser.load_config_file(str(Path(shown(parser.get("bundle_root"))) / "configs" / "inference.yaml"))
    return {name for name, value in parser.get().items() if name in own and own[name] != value}


def run_edits() -> None:
    """
    Build and run the evaluator of an editing bundle; while it runs, no other run takes up the same cases.

    Raises:
        InputError: another run is at the same cases, or, at the end of a run that kept going, some failed.
    """
    parser = _running_parser()
    if parser is None:
        raise RuntimeError("run_edits works inside a bundle run only.")
    with reporting_bad_input():
        cases = parser.get_parsed_content("cases")
        if not cases:  # every case is done already
            return
        out = user_path(parser.get_parsed_content("output_dir"))
        names = [case["case_id"] for case in cases]
        with claim(out, names):
            clear_up(out, names)
            run_engine("evaluator")
            parser.get_parsed_content("writer").report_failures()


def bundle_content(
    bundle: str | Path, ids: Sequence[str], config: str = "inference.yaml", **overrides: Any
) -> tuple[Any, ...]:
    """
    Parsed items of a bundle's config, for programs that need its parts (``network``, ``inferer``, …).

    Args:
        overrides: as on the command line of a bundle run.
    """
    root = bundle_root(bundle)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / config))
    parser.update(_overrides({"progress": False, **overrides}) | {"bundle_root": as_data(str(root))})
    try:
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
        scan: T1 without the lesion, 3-D NIfTI in any orientation: a path, or an image of nibabel.
        pathology: binary lesion mask on the same grid, likewise.
        output_dir: gets a folder per case.
        bundle: ``stroke`` or a bundle's folder.
        options: any option of the bundle's ``inference.yaml``: ``brain``, ``method``, ``steps``, ``seed``, …;
            ``datalist`` may be a file or a list of cases (``case_id``, ``scan``, ``pathology``, ``brain``).

    Returns:
        the folders written, in the order of the cases.

    Raises:
        InputError: bad input, in one sentence.

    Example:
        >>> from mededit_monai import edit
        >>> edit("T1.nii.gz", "lesion.nii.gz", "out", seed=1)  # doctest: +SKIP
        [PosixPath('out/T1')]
    """
    given = {"scan": scan, "pathology": pathology, "output_dir": output_dir, **options}
    with edit_inputs(given) as files, _workflow(bundle, ["inference.yaml"], "inference", files) as workflow:
        written: list[Path] = workflow.parser.get_parsed_content("writer").written
        return written


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
    with _workflow(bundle, ["train.yaml", *checked_overlays(overlays)], "train", options) as workflow:
        return Path(workflow.parser.get_parsed_content("output_dir"))


@contextmanager
def _workflow(
    bundle: str | Path, configs: Sequence[str | Path], kind: str, options: Mapping[str, Any]
) -> Iterator[ConfigWorkflow]:
    """Run a bundle and hold its workflow open for whoever wants to look at its parts."""
    root = bundle_root(bundle)
    given = _overrides(options) | {"bundle_root": as_data(str(root))}
    files = [str(root / "configs" / configs[0]), *map(str, configs[1:])]
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    tracked = get_track_meta()  # a training switches it off
    with raising_bad_input(), ExitStack() as stack:
        stack.callback(set_track_meta, tracked)
        workflow = ConfigWorkflow(files, logging_file=False, workflow_type=kind, **given)
        workflow.initialize()
        workflow.run()
        yield workflow
        workflow.finalize()


def checked_overlays(paths: Sequence[str | Path]) -> list[str]:
    """
    Config files to lay over a bundle's, as paths that MONAI's reader takes for one file each.

    Raises:
        InputError: one that is not there, or is no YAML or JSON.
    """
    found = []
    for given in paths:
        path = user_path(given)
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


#: Options that name files or folders, in any config.
PATH_OPTIONS = (
    "scan",
    "pathology",
    "brain",
    "datalist",
    "dataset_dir",
    "output_dir",
    "weights",
    "init_weights",
    "cache_dir",
)


def _overrides(options: Mapping[str, Any]) -> dict[str, Any]:
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
        given[name] = as_data(value)
    return given


def _running_parser() -> ConfigParser | None:
    """The parser of the bundle run that called us: MONAI hands config expressions nothing to find it by."""
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigWorkflow):
            return owner.parser
        frame = frame.f_back
    return None


def _bundle_ids(root: Any) -> set[str]:
    """Top-level ids of a bundle's own configs, and the members of their plain sections."""
    found: set[str] = set()
    for path in Path(root, "configs").glob("*.yaml") if isinstance(root, str) else []:
        for key, content in ConfigParser.load_config_file(str(path)).items():
            found.add(str(key))
            if isinstance(content, dict) and "_target_" not in content:
                found |= {f"{key}#{member}" for member in content}
    return found


def _check_arguments(name: str, item: Any) -> None:
    """Refuse arguments of a component that its class or function does not take, such as ``--inferer#stepz 3``."""
    if isinstance(item, (list, tuple)):
        item = dict(enumerate(item))
    if not isinstance(item, Mapping):
        return
    for key, value in item.items():
        _check_arguments(f"{name}#{key}", value)
    target = item.get("_target_")
    made = pydoc.locate(target) if isinstance(target, str) and "." in target else None
    if not callable(made):
        return  # a short name of MONAI's, or an expression: known when it is built
    parameters = inspect.signature(made).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = {p.name for p in parameters}
    for key in item:
        if not str(key).startswith("_") and key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), n=1)
            hint = f"did you mean --{name}#{near[0]}?" if near else f"it takes {', '.join(sorted(known))}."
            raise InputError(f"--{name}#{key}: {target} takes no such argument; {hint}")


def _referred(name: str, text: str) -> bool:
    return re.search(rf"@{re.escape(name)}(?!\w)", text.replace("::", "#")) is not None


def _strings(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _strings(value)
    elif isinstance(item, (list, tuple)):
        for value in item:
            yield from _strings(value)
