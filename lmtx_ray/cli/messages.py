"""An error as one line: what a user reads last, whichever process it was raised in."""

from __future__ import annotations

import re

RAISED = re.compile(r"^(?!ray\.)[A-Za-z_][\w.]*: (.+)$", re.MULTILINE)
# What a worker raises for a user to mend: its trace tells nothing.
MENDABLE = re.compile(r"^lmtx_ray\.teacher\.\w+\.(?:Judge\w+|BudgetReached): ", re.MULTILINE)


def is_users_to_mend(error: BaseException) -> bool:
    """Whether an error of Ray's was raised in a worker because of the judge, its key or budget."""
    return type(error).__module__.startswith("ray.") and MENDABLE.search(str(error)) is not None


def one_line(error: BaseException) -> str:
    """The error's message; of an error of Ray's, whose message is a trace, that of what was
    raised in the worker.

    Ray Data keeps of an error in a map function only the text of its trace.
    """
    trace = ""
    while type(error).__module__.startswith("ray."):
        cause = getattr(error, "cause", None) or error.__cause__
        if cause is None:
            break
        trace, error = str(error), cause
    if type(error).__name__ == "UserCodeException" and (raised := RAISED.findall(trace)):
        return str(raised[-1]).strip()
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0 if len(lines) < 3 else -1].strip() if lines else type(error).__name__
