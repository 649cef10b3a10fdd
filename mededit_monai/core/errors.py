# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input, and what the operating system refuses: one sentence on stderr and exit code 2, from every entry point."""

from __future__ import annotations

import difflib
import errno
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mededit_monai.core.loudness import is_quiet


class InputError(ValueError):
    """
    Something the user gave cannot be used. The message is one sentence that names the file or option, the value found,
    the value wanted and the way out.
    """


class SomeFailed(InputError):
    """
    Some cases of a list failed; the others are done.

    Args:
        written: folders of those that were made.
        failed: ``case_id`` and ``failed``, a sentence, of those that are not.
        before: how many had been done before.
        listed: the file that lists those that failed, if there is one.
    """

    def __init__(
        self, written: Sequence[Path], failed: Sequence[Mapping[str, str]], before: int = 0, listed: Path | None = None
    ) -> None:
        self.written, self.failed = list(written), list(failed)
        count, done = len(self.failed), len(self.written) + before
        others = ", the others are done" if done else ""
        where = "" if listed is None else f"; {listed} lists them"
        super().__init__(f"{count} of {count + done} cases failed{others}{where}.")


def require_choice(name: str, value: Any, known: Sequence[Any]) -> None:
    """
    Refuse an option's value that is none of the known ones, naming the nearest.

    Raises:
        InputError: for any other value.
    """
    if value not in known:
        near = difflib.get_close_matches(str(value), [str(k) for k in known if k is not None], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise InputError(f"--{name}: got '{value}', wanted one of {', '.join(map(str, known))}{hint}")


def require_whole(name: str, value: Any, least: int, optional: bool = False, most: int | None = None) -> None:
    """
    Refuse what is not a whole number of at least ``least``.

    Args:
        name: of the option.
        optional: whether None, not given, will do.
        most: the largest that will do; None: the largest seed, 2^63 - 1.

    Raises:
        InputError: names the option, the value found and the least one wanted.
    """
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"--{name}: got {value!r}, wanted a whole number of at least {least}.")
    if value > (2**63 - 1 if most is None else most):
        raise InputError(f"--{name}: got {value!r}, wanted at most {2**63 - 1 if most is None else most}.")


def require_part(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """
    Which part of how many ``i/n`` means, i from 1.

    Args:
        name: of the option.
        least: the smallest n that will do.

    Raises:
        InputError: names the option, the value found and the form wanted.
    """
    part, _, parts = str(value).partition("/")
    # Nine digits: a Python int reads no more than some thousands of them.
    known = all(number.isascii() and number.isdecimal() and len(number) < 10 for number in (part, parts))
    if not known or not 1 <= int(part) <= int(parts) or int(parts) < least:
        wanted = "1 <= i <= n" if least == 1 else f"1 <= i <= n and n >= {least}"
        raise InputError(f"--{name}: got '{value}', wanted i/n with {wanted}, for example 1/4.")
    return int(part), int(parts)


def require_number(name: str, value: Any, low: float, high: float, optional: bool = False) -> None:
    """
    Refuse what is not a finite number from ``low`` to ``high``.

    Args:
        name: of the option.
        optional: whether None, not given, will do.

    Raises:
        InputError: names the option, the value found and the range wanted.
    """
    if optional and value is None:
        return
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    is_number = is_number and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise InputError(f"--{name}: got {value!r}, wanted a number between {low:g} and {high:g}.")


def find_input_error(error: BaseException | None) -> InputError | None:
    """
    The :class:`InputError` an exception stems from, if any: MONAI wraps what transforms and configs raise.

    What the operating system refuses (a disk that is full, no permission, no memory, a process that was killed) is
    nobody's fault in the program, so it counts as one too, as a sentence.
    """
    seen: set[int] = set()
    direct = True  # whether nothing but wrapping lies between: what failed while another error was handled is a fault
    while error is not None and id(error) not in seen:
        if isinstance(error, InputError):
            return _from_worker(error)
        if type(error).__name__ == "OptionalImportError":  # MONAI's, named so that MONAI is not imported for it
            return InputError(f"{error}; this option needs a package more: pip install 'mededit_monai[all]'.")
        if isinstance(error, RuntimeError) and (wrapped := _wrapped_in_worker(error)) is not None:
            return wrapped
        if direct and (sentence := _system_sentence(error)) is not None:
            return InputError(sentence)
        seen.add(id(error))
        direct = direct and error.__cause__ is not None
        error = error.__cause__ or error.__context__
    return None


#: How PyTorch's loader passes an exception on from a process of its own: a new one of the same type, whose message is
#: the traceback there.
_WORKER = re.compile(r"^Caught (\w+) in (?:DataLoader worker|pin memory thread)", re.MULTILINE)


def _from_worker(error: InputError) -> InputError:
    text = str(error)
    if _WORKER.match(text) is None:
        return error
    return InputError(text.rpartition("InputError: ")[2].strip())


#: In the traceback of such a process: the first cause, which MONAI's transforms wrap in a RuntimeError there.
_CAUSE = re.compile(
    r"^(?:[\w.]+\.InputError: (?P<bad>.+?)|\w*Error: (?P<system>\[Errno \d+\] .+?))(?=\n\n|\s*\Z)", re.M | re.S
)


def _wrapped_in_worker(error: BaseException) -> InputError | None:
    """Bad input, or what the operating system said, in another process and wrapped there; None for anything else."""
    text = str(error)
    found = _CAUSE.search(text) if _WORKER.match(text) is not None else None
    if found is None:
        return None
    if found["bad"] is not None:
        return InputError(" ".join(found["bad"].split()))
    return InputError(f"{found['system']}; check the path, its permissions and the space that is left.")


#: Another place to write to, in the words of every verb.
_ELSEWHERE = "choose another place with -o (--output_dir or --output)"

#: What to do about what the operating system says.
_WAYS = {
    errno.ENOSPC: f"free some space, or {_ELSEWHERE}",
    errno.EDQUOT: f"free some space, or {_ELSEWHERE}",
    errno.EFBIG: f"the file system or the shell ('ulimit -f') limits files to less; {_ELSEWHERE}",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: _ELSEWHERE,
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file is in the way; choose another path",
    errno.EISDIR: "wanted a file; choose another path",
    errno.EEXIST: "something is in the way; choose another path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit with 'ulimit -n', or give fewer --num_workers",
    errno.ENOMEM: "close other programs, or give a smaller --batch_size or fewer --workers",
}

#: No room for what is written.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Files and folders under the names that they have while they are written (see ``io.atomic`` and ``io.finished``).
_UNFINISHED = re.compile(r"(?<![^/])\.(?:[0-9a-f]{8}\.unfinished\.([^/]+)|([^/]+)\.[0-9a-f]{8,20}\.unfinished)(?![^/])")

#: Runtime errors of libraries that say what the operating system said.
_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|Cannot allocate memory|bad_alloc", re.I)
_KILLED = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)|process.* terminated abruptly", re.I)
_WRITING = re.compile(r"PytorchStreamWriter failed|file write failed|unexpected pos \d+ vs", re.I)


def _system_sentence(error: BaseException) -> str | None:
    """What the operating system refused, and the way out; None for any other error."""
    text = str(error)
    if isinstance(error, OSError):
        return _os_sentence(error, text)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _MEMORY.search(text)):
        return (
            "not enough memory; close other programs, or ask for less at once, where the command has one of these: "
            "--batch_size, --samples, --workers."
        )
    if type(error).__name__ == "BrokenProcessPool" or (isinstance(error, RuntimeError) and _KILLED.search(text)):
        return (
            "a process of this run was killed, as happens when memory runs out; give fewer --workers or --num_workers."
        )
    if isinstance(error, RuntimeError) and _WRITING.search(text):
        what = _final_name(getattr(error, "filename", None) or "a file")
        return f"{what} could not be written ({text.splitlines()[0][:120]}); free some space, or choose another place."
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() == "ascii":
        return f"{error.object!r}: cannot be a file name in this locale; set PYTHONUTF8=1 or LC_ALL=C.UTF-8."
    return None


def _os_sentence(error: OSError, text: str) -> str:
    if _WORKER.match(text) is not None:  # the number and the name were lost on the way; the last line has both
        last = text.strip().splitlines()[-1].partition(": ")[2]
        return f"{last}; check the path, its permissions and the space that is left."
    names = [os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, (str, bytes))]
    # What is copied or renamed has two names, of which the second is written.
    what = f"{_final_name(names[-1 if error.errno in _FULL else 0])}: " if names else ""
    why = error.strerror or text or type(error).__name__
    way = _WAYS.get(error.errno or 0, "check the path and the disk")
    return f"{what}{why[:1].lower() + why[1:]}; {way}."


def _final_name(path: str) -> str:
    """The path that something half-written was to get; it is gone by the time that somebody reads its name."""
    return _UNFINISHED.sub(lambda found: found[1] or found[2], path)


def say(sentence: str, error: bool = False) -> None:
    """
    One line on stderr, as the program says everything there, above any progress bar.

    Args:
        error: whether it is said in a quiet run too.
    """
    if error or not is_quiet():
        say_lines([f"mededit: {' '.join(sentence.split())}"])


def say_lines(lines: Sequence[str]) -> None:
    """Lines on stderr as they are, above any progress bar, such as those that another process said."""
    bars = sys.modules["tqdm"].tqdm.external_write_mode(file=sys.stderr) if "tqdm" in sys.modules else nullcontext()
    with bars, suppress(OSError):  # a screen that nobody looks at any more is no reason to stop
        for line in lines:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def exit_on_bad_input() -> Iterator[None]:
    """
    Turn an :class:`InputError` raised inside, however wrapped, into its sentence on stderr and exit code 2.

    ``SystemExit`` passes through MONAI's config expressions, which would swallow any other exception's message.
    """
    try:
        yield
    except Exception as error:
        bad_input = find_input_error(error)
        if bad_input is None:
            raise
        say(str(bad_input), error=True)
        raise SystemExit(2) from None


_called_from_python: ContextVar[bool] = ContextVar("called_from_python", default=False)


@contextmanager
def raising_bad_input() -> Iterator[None]:
    """For Python callers: whatever MONAI wrapped an :class:`InputError` in, that error alone comes out, as one line."""
    token = _called_from_python.set(True)
    try:
        yield
    except Exception as error:
        bad_input = find_input_error(error)
        if bad_input is None:
            raise
        if isinstance(bad_input, SomeFailed):
            raise bad_input from None
        raise InputError(" ".join(str(bad_input).split())) from None
    finally:
        _called_from_python.reset(token)


def called_from_python() -> bool:
    """Whether a Python caller waits for the error itself, and not a shell for a sentence and a code."""
    return _called_from_python.get()


@contextmanager
def reporting_bad_input() -> Iterator[None]:
    """In a bundle run: one sentence on stderr and exit code 2. Inside :func:`raising_bad_input`: the error itself."""
    if _called_from_python.get():
        yield
    else:
        with exit_on_bad_input():
            yield
