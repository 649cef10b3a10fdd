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

from mededit_monai.errors import (
    InputError,
    find_input_error,
    raising_bad_input,
    reporting_bad_input,
    require_choice,
    require_whole,
)
from mededit_monai.families import method_family
from mededit_monai.inferers import METHODS
from mededit_monai.inferers.repaint import MODES, SAMPLERS
from mededit_monai.inferers.schedule import SPACINGS
from mededit_monai.paths import bundle_root
from mededit_monai.training.options import AMP_TYPES
from mededit_monai.transforms.conditions import CONDITIONS
from mededit_monai.transforms.restore import RESTORE_MODES

#: Region word (see ``AxialSlicesd``) of the methods that have a region of their own; the others take ``--region``.
METHOD_REGIONS = {
    "naive_repaint": "pathology",
    "sdedit": "image",
    "palette": "image",
    "palette_original": "pathology",
}

#: Methods that can find their edit region themselves.
AUTO_REGION = ("mededit", "prior")

#: What a method cannot do otherwise: option → the values it takes (None: not given).
FIXED_OPTIONS: dict[str, dict[str, tuple]] = {
    "palette": {"start": (None, 1), "guidance": (1,), "mode": ("corrected",)},
    "palette_original": {"start": (None, 1), "guidance": (1,), "mode": ("corrected",)},
    "context": {"mode": ("corrected",)},
    "prior": {"start": (None, 1), "mode": ("corrected",), "resample": (1,), "jump": (1,), "resample_above": (0,)},
}

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
    config = {k: v for k, v in parser.get().items() if k != "_meta_"}
    text = " ".join(_strings(config))
    # An override inside a component may have cut the last reference to an option of the bundle; it is known still.
    known = MONAI_IDS | _bundle_ids(config.get("bundle_root")) | {key for key in config if _referred(key, text)}
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
                raise InputError(f"--{name}: unknown option (value {value!r}); {hint}")
        for name, component in config.items():
            _check_arguments(name, component)
    _read_words(parser)


#: What words on a shell stand for. MONAI reads Python there (``False``, ``None``), everyone writes YAML, and the text
#: 'false' would count as true.
WORDS = {"true": True, "false": False, "null": None}


def _read_words(parser: ConfigParser) -> None:
    """Give top-level options that came as the text 'true', 'false' or 'null' the value that was meant."""
    for name, value in parser.get().items():
        if isinstance(value, str) and value in WORDS:
            parser.get()[name] = WORDS[value]
            parser.ref_resolver.items[name].update_config(WORDS[value])  # nothing but the imports is resolved yet


def check_edit_options(options: Mapping[str, Any]) -> None:
    """
    Check an edit's options before anything is built, so that a wrong one is one sentence and not a traceback.

    Args:
        options: the bundle's ``options`` section.
    """
    with reporting_bad_input():
        for name, known in (
            ("method", tuple(METHODS)),
            ("condition", CONDITIONS),
            ("sampler", SAMPLERS),
            ("spacing", SPACINGS),
            ("restore", RESTORE_MODES),
            ("mode", MODES),
        ):
            require_choice(name, options[name], known)
        least_of = {"steps": 1, "resample": 1, "jump": 1, "samples": 1, "dilation": 0, "seed": 0, "batch_size": 1}
        for name, least in least_of.items():
            require_whole(name, options[name], least, optional=True)
        require_choice("amp", options.get("amp"), (None, *AMP_TYPES))
        if options["steps"] > 1000:
            raise InputError(f"--steps: got {options['steps']}, wanted at most 1000 (the timesteps of the training).")
        start = options["start"]
        if start is not None and not (isinstance(start, (int, float)) and 0 < start <= 1):
            raise InputError(f"--start: got {start!r}, wanted a fraction of T above 0 and at most 1.")
        if start is not None and start < 1 and options["steps"] == 1:
            raise InputError("--start: below 1 needs at least 2 --steps, got 1.")
        for name, low, high in (
            ("eta", 0, 1),
            ("window_mm", 1, 1000),
            ("percentile", 1, 100),
            ("resample_above", 0, 1),
        ):
            value = options[name]
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"--{name}: got {value!r}, wanted a number between {low} and {high}.")
        if not isinstance(options["guidance"], (int, float)):
            raise InputError(f"--guidance: got {options['guidance']!r}, wanted a number (1 = no guidance).")
        index = options["slice_index"]
        if index not in ("auto", "all") and (not isinstance(index, int) or isinstance(index, bool)):
            raise InputError(f"--slice_index: got {index!r}, wanted a whole number (RAS axial), 'auto' or 'all'.")
        _check_method(options["method"], options)
        if options["region"] == "auto" and options["method"] not in AUTO_REGION:
            raise InputError(
                f"--region: 'auto' is for --method {' and '.join(AUTO_REGION)}, got {options['method']}; wanted "
                f"dilate, brain, pathology or a mask FILE."
            )
        if options["mode"] == "paper" and options["jump"] != 1:
            raise InputError(f"--jump: got {options['jump']}, but --mode paper goes up one level at a time; wanted 1.")


def _check_method(method: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a method has no use for, where leaving them unused would be a surprise."""
    if options["region"] is not None and method in METHOD_REGIONS:
        wanted = ", ".join(name for name in METHODS if name not in METHOD_REGIONS)
        raise InputError(f"--region: applies to --method {wanted}; {method} has its own, leave the option out.")
    if method_family(method).pathology == "none" and options["condition"] == "regions":
        raise InputError(
            f"--condition: got 'regions', but {method} is not told of regions; wanted mask or box, or another --method."
        )
    for name, known in FIXED_OPTIONS.get(method, {}).items():
        if options[name] not in known:
            raise InputError(
                f"--{name}: got {options[name]!r}, which {method} cannot do; leave the option out or choose another "
                f"--method."
            )


def region_kind(method: str, region: str | None) -> str:
    """The region word for ``AxialSlicesd``: a method's own, or what ``--region`` asks for."""
    if method in METHOD_REGIONS:
        return METHOD_REGIONS[method]
    if region == "auto" or (method == "prior" and region is None):
        return "brain"  # the network finds the region; this only limits it
    return region if region in ("brain", "pathology") else "dilate" if region in (None, "dilate") else "file"


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
    parser.update({"bundle_root": str(root), "progress": False, **overrides})
    try:
        return tuple(parser.get_parsed_content(name) for name in ids)
    except Exception as error:
        bad_input = find_input_error(error)
        if bad_input is None:
            raise
        raise bad_input from None


def edit(
    scan: str | Path | None = None,
    pathology: str | Path | None = None,
    output_dir: str | Path = "out/edits",
    bundle: str | Path = "stroke",
    **options: Any,
) -> list[Path]:
    """
    Edit a scan, or the cases of a ``datalist``, with a bundle; the same as ``mededit edit``.

    Args:
        scan: T1 without the lesion, 3-D NIfTI in any orientation.
        pathology: binary lesion mask on the same grid.
        output_dir: gets a folder per case.
        bundle: ``stroke`` or a bundle's folder.
        options: any option of the bundle's ``inference.yaml``: ``brain``, ``method``, ``steps``, ``seed``, …

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
    with _workflow(bundle, ["inference.yaml"], "inference", given) as workflow:
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
    for path in overlays:
        if not Path(path).is_file():
            raise InputError(f"--config: {path} not found; give an existing YAML file.")
    with _workflow(bundle, ["train.yaml", *overlays], "train", options) as workflow:
        return Path(workflow.parser.get_parsed_content("output_dir"))


@contextmanager
def _workflow(
    bundle: str | Path, configs: Sequence[str | Path], kind: str, options: Mapping[str, Any]
) -> Iterator[ConfigWorkflow]:
    """Run a bundle and hold its workflow open for whoever wants to look at its parts."""
    root = bundle_root(bundle)
    given = {k: str(v) if isinstance(v, Path) else v for k, v in options.items() if v is not None}
    files = [str(root / "configs" / configs[0]), *map(str, configs[1:])]
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    tracked = get_track_meta()  # a training switches it off
    with raising_bad_input(), ExitStack() as stack:
        stack.callback(set_track_meta, tracked)
        workflow = ConfigWorkflow(files, logging_file=False, workflow_type=kind, bundle_root=str(root), **given)
        workflow.initialize()
        workflow.run()
        yield workflow
        workflow.finalize()


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
    for path in Path(root).glob("configs/*.yaml") if isinstance(root, str) else []:
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
