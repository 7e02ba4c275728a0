"""The Arrow schema of every contract, and `conform`, called once at every write.

Nothing here knows where tables live or who makes them. Schema metadata carries the contract's
name and version.
"""

from __future__ import annotations

import pyarrow as pa

CONTRACT_KEY = b"lmtx.contract"
BUNDLE_VERSION = 6  # of the folder that is tagged with


class ContractError(ValueError):
    """A table does not fit its contract; the message lists every deviation."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _contract(name: str, fields: list[pa.Field], version: int = 1) -> pa.Schema:
    return pa.schema(fields, metadata={CONTRACT_KEY: f"{name}/{version}".encode()})


ANSWERS = ("yes", "no", "unclear")

DOCUMENTS = _contract(
    "documents",
    [
        _required("doc_id", pa.string()),
        pa.field("title", pa.string()),
        _required("text", pa.large_string()),
        _required("split", pa.string()),
    ],
)
LABELS = _contract(
    "labels",
    [
        _required("label_id", pa.int32()),
        _required("label_key", pa.string()),
        _required("text", pa.string()),
        pa.field("description", pa.string()),
        pa.field("aliases", pa.list_(pa.string())),
        pa.field("parent_keys", pa.list_(pa.string())),
    ],
)
GOLD = _contract(
    "gold", [_required("doc_id", pa.string()), _required("label_ids", pa.list_(pa.int32()))]
)
RANKINGS = _contract(
    "rankings",
    [
        _required("doc_id", pa.string()),
        _required("label_ids", pa.list_(pa.int32())),
        _required("scores", pa.list_(pa.float32())),
    ],
)
ANSWER_FIELDS = [
    _required("answer", pa.string()),
    pa.field("p_yes", pa.float32()),
    pa.field("mass", pa.float32()),
    pa.field("raw", pa.string()),
    _required("prompt", pa.string()),
    _required("teacher", pa.string()),
]
STORED_VERDICTS = _contract(  # what a judge said, whoever asked: the verdict store
    "stored_verdicts",
    [
        _required("document", pa.binary(16)),
        _required("label", pa.binary(16)),
        *ANSWER_FIELDS,
        _required("source", pa.string()),
    ],
)
VERDICTS = _contract(  # a run's view of the store: its own pairs, by its own ids
    "verdicts",
    [
        _required("doc_id", pa.string()),
        _required("label_id", pa.int32()),
        *ANSWER_FIELDS,
        _required("cycle", pa.int32()),
        _required("rank", pa.int32()),
        _required("asked", pa.bool_()),
    ],
    version=2,
)
JUDGED = ("doc_id", "label_id", "answer", "p_yes")  # what a verdict says, not who said it
EXAMPLES = _contract(
    "examples",
    [
        _required("doc_id", pa.string()),
        _required("positives", pa.list_(pa.int32())),
        _required("targets", pa.list_(pa.float32())),
        _required("hard_negatives", pa.list_(pa.int32())),
    ],
)
TITLE_EXAMPLES = _contract(  # a document whose title and text are a pair
    "title_examples",
    [_required("doc_id", pa.string()), _required("clusters", pa.list_(pa.int32()))],
)
SEGMENT_EXAMPLES = _contract(  # a document once for each of its pairs
    "segment_examples", [_required("doc_id", pa.string()), _required("slot", pa.int32())]
)
PHRASES = _contract(  # what a judge wrote of a test document
    "phrases",
    [
        _required("doc_id", pa.string()),
        _required("phrases", pa.list_(pa.string())),
        _required("calls", pa.int32()),
    ],
)
EMPTY = "empty"  # the reason why a document without text has no tags
TAGS = _contract(
    "tags",
    [
        _required("doc_id", pa.string()),
        _required("label_keys", pa.list_(pa.string())),
        _required("labels", pa.list_(pa.string())),
        _required("scores", pa.list_(pa.float32())),
        pa.field("probabilities", pa.list_(pa.float32())),
        _required("reason", pa.string()),
    ],
)
JUDGED_TAGS = _contract(  # what a bundle knows of held-aside documents: hashes, no id and no text
    "judged_tags",
    [
        _required("document", pa.binary(16)),
        _required("label", pa.binary(16)),
        _required("place", pa.int32()),
        _required("features", pa.list_(pa.float64())),
        pa.field("p_yes", pa.float64()),
        pa.field("accepted", pa.bool_()),
        pa.field("reviewed", pa.bool_()),
        _required("by_words", pa.bool_()),  # among the first that the document's words find
        pa.field("right", pa.float32()),
        _required("probability", pa.float32()),
    ],
    version=2,
)
REJECTS = _contract(
    "rejects",
    [
        _required("source", pa.string()),
        _required("position", pa.int64()),
        _required("reason", pa.string()),
        pa.field("raw", pa.string()),
    ],
)


def vectors(dimensions: int, kind: pa.DataType | None = None) -> pa.Schema:
    """The vectors contract for one encoder: id! string, vector! fixed_size_list<float, D>."""
    values = pa.list_(kind or pa.float32(), dimensions)
    return _contract("vectors", [_required("id", pa.string()), _required("vector", values)])


def contract_of(schema: pa.Schema) -> str | None:
    """`name/version` recorded in a schema, or None for a table that carries no contract."""
    value = (schema.metadata or {}).get(CONTRACT_KEY)
    return value.decode() if value else None


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Select and cast the columns of `schema`, in its order, with its metadata.

    Nullable columns that the table lacks are added as nulls. Raises ContractError naming every
    missing, extra, mistyped or null-holding column at once.
    """
    problems = [f"extra column {name!r}" for name in table.column_names if name not in schema.names]
    columns = []
    for field in schema:
        column, problem = _conform_column(table, field)
        columns.append(column)
        problems += [problem] if problem else []
    if problems:
        raise ContractError(f"{contract_of(schema) or 'table'}: " + "; ".join(problems))
    return pa.table(columns, schema=schema)


def _conform_column(
    table: pa.Table, field: pa.Field
) -> tuple[pa.ChunkedArray | pa.Array | None, str | None]:
    if field.name not in table.column_names:
        if field.nullable:
            return pa.nulls(table.num_rows, field.type), None
        return None, f"missing column {field.name!r}"
    column = table.column(field.name)
    if column.type != field.type:
        try:
            column = column.cast(field.type)
        except pa.ArrowException as error:
            return None, f"column {field.name!r} is {column.type}, not {field.type} ({error})"
    if not field.nullable and column.null_count:
        return None, f"column {field.name!r} has {column.null_count} nulls"
    return column, None


HUMAN = "human"  # the teacher whose answers outrank any model's
