"""An error as one line: what a user reads last, whichever library or process it was raised in.

A library's own text is often a page, whose last line says nothing: a caret, a link. Each kind is
asked for what it knows: what is wrong, where (file, row, column, value), and how to mend it.
"""

from __future__ import annotations

import re
from typing import Any

RAISED = re.compile(r"^(?!ray\.)([A-Za-z_][\w.]*): (.+)$", re.MULTILINE)
# What a worker raises for a user to mend: its trace tells nothing.
MENDABLE = re.compile(
    r"^(?:lmtx_ray\.teacher\.\w+\.(?:Judge\w+|BudgetReached)|lmtx_ray\.[\w.]+\.(?:ConfigError|"
    r"CorpusError|StorageError|PublishError)): ",
    re.MULTILINE,
)
MOST = 600  # characters of a line
LINKS = re.compile(r"\s*For (?:further|more) information.*$", re.MULTILINE)


def is_users_to_mend(error: BaseException) -> bool:
    """Whether an error of Ray's was raised in a worker for a user to mend: because of the judge,
    its key or budget, of a file or a setting."""
    return _is_rays(error) and MENDABLE.search(str(error)) is not None


def name_of(error: BaseException) -> str:
    """The name of an error's kind; of one of Ray's, that of what was raised in the worker."""
    cause, raised = _cause(error)
    return raised[0].rsplit(".", 1)[-1] if raised else type(cause).__name__


def one_line(error: BaseException) -> str:
    """What there is to say of an error, on one line."""
    cause, raised = _cause(error)
    text = raised[1] if raised else _said(cause)
    line = " ".join(text.split())
    return line if len(line) <= MOST else f"{line[: MOST - 1]}…"


def _is_rays(error: BaseException) -> bool:
    return type(error).__module__.startswith("ray.")


def _cause(error: BaseException) -> tuple[BaseException, tuple[str, str] | None]:
    """What was raised in the worker, or, where Ray Data kept only the text of its trace, its (kind,
    message)."""
    trace = ""
    while _is_rays(error):
        failures = getattr(error, "worker_failures", None) or {}  # of training, by worker
        cause = (
            getattr(error, "cause", None) or error.__cause__ or next(iter(failures.values()), None)
        )
        if cause is None:
            break
        trace, error = str(error), cause
    if type(error).__name__ == "UserCodeException":
        raised = RAISED.findall(trace or str(error))
        return error, raised[-1] if raised else None
    return error, None


def _said(error: BaseException) -> str:
    for kind in (_yaml, _pydantic, _unicode, _aws, _system):
        if text := kind(error):
            return text
    if isinstance(error, KeyError) and len(error.args) == 1:
        return f"there is no {error.args[0]!r}"
    return _best_line(str(error)) or type(error).__name__


def _best_line(text: str) -> str:
    """The first line of a message, with the next where it only announces: of a trace the last."""
    lines = [line.strip() for line in LINKS.sub("", text).splitlines() if line.strip()]
    if not lines:
        return ""
    if lines[0].startswith("Traceback"):
        return lines[-1]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _yaml(error: BaseException) -> str:
    if not type(error).__module__.startswith("yaml"):
        return ""
    from lmtx_ray.config.yaml_errors import explain

    return explain(error)


def _pydantic(error: BaseException) -> str:
    """Each wrong field of a ValidationError, with what it got."""
    if type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return ""
    return "; ".join(_problem(problem) for problem in error.errors())


def _problem(problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    said = str(problem["msg"]).removeprefix("Value error, ")
    said = said[:1].lower() + said[1:]
    if problem["type"] == "value_error":
        return f"{place}: {said}" if place else said
    return f"{place or 'settings'}: {said}, got {problem['input']!r:.80}"


def _unicode(error: BaseException) -> str:
    if isinstance(error, UnicodeDecodeError):
        bad = error.object[error.start : error.start + 1].hex()
        return (
            f"not UTF-8: byte {error.start} is 0x{bad}; save it as UTF-8 "
            "(iconv -f LATIN1 -t UTF-8 OLD > NEW, if it is Latin-1)"
        )
    if isinstance(error, UnicodeEncodeError):
        return f"a character that UTF-8 cannot hold at {error.start}: {error.reason}"
    return ""


def _aws(error: BaseException) -> str:
    if not type(error).__module__.startswith("botocore"):
        return ""
    from lmtx_ray.io.s3_errors import explain

    return explain(error)


def _system(error: BaseException) -> str:
    """Of an error of the system: which file, and what."""
    if not isinstance(error, OSError) or not error.strerror:
        return ""
    said = error.strerror[:1].lower() + error.strerror[1:]
    names = [str(name) for name in (error.filename, error.filename2) if name]
    return f"{' -> '.join(names)}: {said}" if names else said
