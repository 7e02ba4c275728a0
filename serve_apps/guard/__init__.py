"""What makes the service safe to reach: keys, limits, clean errors, logs without texts."""

from serve_apps.guard.binding import BindingError, check_binding
from serve_apps.guard.errors import (
    ERROR_RESPONSES,
    ErrorReply,
    Problem,
    Refusal,
    error_response,
    install_error_handlers,
)
from serve_apps.guard.keys import (
    LABELS_RIGHT,
    RIGHTS,
    ApiKey,
    KeysError,
    load_keys,
    new_key,
    parse_keys,
)
from serve_apps.guard.limits import GuardError, GuardSettings
from serve_apps.guard.middleware import Guard
from serve_apps.guard.plain_text import PlainText

__all__ = [
    "ERROR_RESPONSES",
    "LABELS_RIGHT",
    "RIGHTS",
    "ApiKey",
    "BindingError",
    "ErrorReply",
    "Guard",
    "GuardError",
    "GuardSettings",
    "KeysError",
    "PlainText",
    "Problem",
    "Refusal",
    "check_binding",
    "error_response",
    "install_error_handlers",
    "load_keys",
    "new_key",
    "parse_keys",
]
