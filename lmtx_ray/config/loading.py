"""Settings: frozen pydantic models from a YAML file plus dotted overrides, and fingerprints."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from lmtx_ray.config.yaml_errors import explain
from lmtx_ray.config.yaml_text import read_yaml

YAML = (".yaml", ".yml")
MOST_SHOWN = 80  # characters of a wrong value
SAID = {  # what pydantic says in words of its own
    "int_parsing": "needs a whole number",
    "int_type": "needs a whole number",
    "int_from_float": "needs a whole number",
    "float_parsing": "needs a number",
    "float_type": "needs a number",
    "finite_number": "needs a finite number",
    "bool_parsing": "needs true or false",
    "bool_type": "needs true or false",
    "string_type": "needs a text",
    "tuple_type": "needs a list",
    "too_short": "needs at least {min_length}",
    "greater_than": "needs more than {gt:g}",
    "greater_than_equal": "needs at least {ge:g}",
    "less_than": "needs less than {lt:g}",
    "less_than_equal": "needs at most {le:g}",
    "literal_error": "is one of {expected}",
}


class ConfigError(ValueError):
    """Settings a user has to mend; the message names the file and the dotted field."""


class Config(BaseModel):
    """Base of every settings model: frozen, an unknown key is an error, and one value where a list
    is wanted is a list of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _lists_of_one(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        lists = {name for name, field in cls.model_fields.items() if _is_list(field.annotation)}
        return {
            name: (value,) if name in lists and isinstance(value, str | int | float) else value
            for name, value in values.items()
        }


def _is_list(annotation: Any) -> bool:
    """Whether it is tuple[…, ...]; a pair of two given types is none."""
    return get_origin(annotation) is tuple and get_args(annotation)[-1] is Ellipsis


def is_yaml_file(place: str) -> bool:
    """Whether it is a YAML file by its name, and not a folder or the name of something."""
    return place.endswith(YAML)


C = TypeVar("C", bound=Config)


def load_config(
    kind: type[C],
    source: Config | Mapping[str, Any] | str | Path | None,
    overrides: Sequence[str] = (),
) -> C:
    """Settings from a YAML file, a mapping or other settings (None: the defaults), with overrides
    of the form a.b=c (c read as YAML), validated.

    Raises:
        ConfigError: Unreadable file, bad YAML, unknown key (with near matches) or wrong value.
    """
    name = str(source) if isinstance(source, str | Path) else "settings"
    values = _values(source)
    for override in overrides:
        _apply(values, override)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_explain(kind, problem) for problem in error.errors())
        raise ConfigError(f"{name}: {problems}") from None


def _values(source: Config | Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """A copy that overrides may change."""
    if isinstance(source, Config):
        return source.model_dump(exclude_unset=True)
    if isinstance(source, Mapping):
        return copy.deepcopy(dict(source))
    return {} if source is None else _read_yaml(str(source))


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = read_yaml(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder, and a YAML file is needed") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {explain(error)}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: needs sections (a mapping), found {type(values).__name__}")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"override {override!r}: needs the form section.field=value")
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: {explain(error)}") from None
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"override {override!r}: {key!r} is not a section")
        values = inner
    values[keys[-1]] = value


def _explain(kind: type[Config], problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    if problem["type"] != "extra_forbidden":
        return f"{dotted}: {_problem(kind, location, problem)}"
    known = _fields_at(kind, location[:-1])
    near = difflib.get_close_matches(location[-1], known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known here: {', '.join(known)}"
    return f"{dotted}: unknown key; {hint}"


def _problem(kind: type[Config], location: Sequence[str], problem: Any) -> str:
    """What is wrong with a value, in words, and what it was."""
    limits = problem.get("ctx", {})
    if problem["type"] == "missing":
        return f"has to be given{_meaning(kind, location)}"
    if problem["type"] in {"model_type", "model_attributes_type"}:
        return f"needs a section with {', '.join(_fields_at(kind, location))}, got {_cut(problem)}"
    said = SAID.get(problem["type"])
    words = said.format(**limits) if said else problem["msg"].removeprefix("Value error, ")
    return f"{words}, got {_cut(problem)}"


def _cut(problem: Any) -> str:
    text = repr(problem["input"])
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _meaning(kind: type[Config], location: Sequence[str]) -> str:
    model = _model_at(kind, location[:-1])
    field = model.model_fields.get(location[-1])
    return f": {field.description}" if field and field.description else ""


def _fields_at(kind: type[Config], path: Sequence[str]) -> list[str]:
    return sorted(_model_at(kind, path).model_fields)


def _model_at(kind: type[Config], path: Sequence[str]) -> type[Config]:
    model = kind
    for name in path:
        if name.isdigit():  # a place in a list of sections
            continue
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        options = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        model = next((option for option in options if issubclass(option, Config)), Config)
    return model
