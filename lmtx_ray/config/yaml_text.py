"""Settings as YAML, read so that nothing in them is passed over in silence."""

from __future__ import annotations

from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"  # `<<`, which may stand in a mapping several times


def read_yaml(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError: It is none, a name stands twice in one mapping, or a value looks like a date
            or a number and is none; the error says where.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply, or a part of itself") from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML takes the last one of a name that stands twice: the first section would be lost."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written, before others are merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Node] = {}
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode) or name.tag == MERGE:
                continue
            if (before := first.setdefault(name.value, name)) is not name:
                line = before.start_mark.line + 1
                problem = f"{name.value!r} stands here twice, first in line {line}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=name.start_mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; what its type cannot hold is told with its place."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            problem = f"{node.value!r}: {error}; a text needs quotation marks"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None
