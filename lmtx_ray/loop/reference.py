"""Every setting of a run as its models tell it: a page, a JSON schema, the defaults."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import Config
from lmtx_ray.loop.run_config import RunConfig

HEAD = """# Every setting of a run

Made by `lmtx config --docs` from the settings' own models; a test compares them. `lmtx init` writes
a config with those that matter, `lmtx config --defaults` prints all, and `lmtx config --schema` a
JSON schema by which editors complete and check: `lmtx config --schema > lmtx.schema.json`, and as
the first line of a config

    # yaml-language-server: $schema=lmtx.schema.json

On the command line a setting is `--set section.field=value`. A single value where a list is wanted
is a list of one. A mistyped name is an error that says which was likely meant. Settings without a
default have to be given.
"""

MISSING: Any = object()  # no default at all


@dataclass(frozen=True)
class Setting:
    """One field: dotted name, type and default as people read them, and what it means."""

    name: str
    kind: str
    default: str
    meaning: str


def schema() -> dict[str, Any]:
    """The JSON schema of a config file; a list of strings may be one string there too."""
    made = RunConfig.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "lmtx run"
    return {**_lists_of_one(made), "title": "lmtx run"}


def _lists_of_one(value: Any) -> Any:
    """Lists of any length as `one or a list`, as the models take them."""
    if isinstance(value, list):
        return [_lists_of_one(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _lists_of_one(item) for name, item in value.items()}
    if inner.get("type") == "array" and isinstance(inner.get("items"), dict):
        about = {
            name: inner.pop(name) for name in ("default", "description", "title") if name in inner
        }
        return {**about, "anyOf": [inner, inner["items"]]}
    return inner


def defaults() -> str:
    """All defaults as YAML; a field that has none is a comment."""
    return "\n".join(_default_lines(RunConfig, "", None)) + "\n"


def _default_lines(kind: type[Config], indent: str, within: Config | None) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        section, value = section_of(field), _default(field, name, within)
        if section:
            yield f"{indent}{name}:"
            yield from _default_lines(section, indent + "  ", _within(value))
        elif value is MISSING:
            yield f"{indent}# {name}: has to be given"
        else:
            yield f"{indent}{name}: {_yaml(value)}"


def _default(field: FieldInfo, name: str, within: Config | None) -> Any:
    """A field's default: of a section that has itself a default, what stands in that. MISSING where
    it has to be given."""
    if within is not None:
        return getattr(within, name)
    return MISSING if field.is_required() else field.get_default(call_default_factory=True)


def _within(value: Any) -> Config | None:
    return value if isinstance(value, Config) else None


def _yaml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return json.dumps(plain) if not isinstance(plain, str) else _quoted(plain)


def _quoted(text: str) -> str:
    safe = yaml.safe_load(text) if text else None
    return text if safe == text else json.dumps(text)


def section_of(field: FieldInfo) -> type[Config] | None:
    """The model of a section; None for a plain setting, or for a list of sections."""
    if get_origin(field.annotation) is tuple:
        return None
    options = [field.annotation, *get_args(field.annotation)]
    sections = (one for one in options if isinstance(one, type) and issubclass(one, Config))
    return next(sections, None)


def settings(
    kind: type[Config] = RunConfig, prefix: str = "", within: Config | None = None
) -> Iterator[Setting]:
    """All plain settings below a model, in its order, then those of its sections."""
    sections = {name: section_of(field) for name, field in kind.model_fields.items()}
    for name, field in kind.model_fields.items():
        if sections[name] is None:
            value = _default(field, name, within)
            default = "" if value is MISSING else _shown(value)
            yield Setting(f"{prefix}{name}", kind_of(field), default, field.description or "")
    for name, section in sections.items():
        if section is not None:
            inner = _default(kind.model_fields[name], name, within)
            yield from settings(section, f"{prefix}{name}.", _within(inner))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return '""' if value == "" else _yaml(value)


def kind_of(field: FieldInfo) -> str:
    """Type and limits of a field in words."""
    limits = [limit for one in field.metadata if (limit := _limit(one))]
    return ", ".join([_type(field.annotation), *limits])


NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _type(annotation: Any) -> str:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " / ".join(str(one) for one in arguments)
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    if get_origin(annotation) is tuple:
        many = arguments[-1] is Ellipsis
        return f"list of {_type(arguments[0])}" if many else f"[{', '.join(map(_type, arguments))}]"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return "sections like judge.teacher" if annotation is TeacherConfig else "sections"
    return NAMES.get(annotation, str(annotation))


def _limit(bound: Any) -> str:
    signs = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
    for kind, name, sign in signs:
        if isinstance(bound, kind):
            return f"{sign} {getattr(bound, name):g}"
    return f"at least {bound.min_length}" if isinstance(bound, MinLen) else ""


def markdown() -> str:
    """The page `docs/config.md`."""
    parts, section = [HEAD], ""
    for setting in settings():
        own = setting.name.rpartition(".")[0]
        if own != section or len(parts) == 1:
            section = own
            parts.append(f"## {section or 'The run'}\n{_about(section)}")
            parts.append("| setting | type | default | meaning |\n|---|---|---|---|")
        cells = (f"`{setting.name}`", setting.kind, setting.default, setting.meaning)
        parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _spaced(parts)


def _about(section: str) -> str:
    kind: type[Config] = RunConfig
    for name in section.split(".") if section else ():
        kind = section_of(kind.model_fields[name]) or kind
    return " ".join((kind.__doc__ or "").split()) + "\n"


def _spaced(parts: list[str]) -> str:
    """Rows of a table directly below each other, an empty line before each heading."""
    text = parts[0]
    for part in parts[1:]:
        text += ("\n" if part.startswith("#") else "") + part + "\n"
    return text
