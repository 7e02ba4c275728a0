"""Tagging into one file: a job in a folder beside it, whose tags become the file at its end.

`tags.csv` is made in `.tags.csv.lmtx/`, so that a killed command goes on where it was. Of the
folder stays what tells whose file it is: the plan, and `FILE.json` with the file's hash and shape.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lmtx_ray.batch.assemble import FileKind, Shape, assemble, write_rejects
from lmtx_ray.batch.job import OutputFormat, TagJob
from lmtx_ray.batch.outputs import published_files, read_manifests, read_rejects
from lmtx_ray.batch.plan import new_inputs, read_plans, refuse_among_inputs
from lmtx_ray.batch.xmc_file import write_matrix
from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.config.search import SearchWay
from lmtx_ray.corpus import sparse_rows
from lmtx_ray.corpus.columns import IDS
from lmtx_ray.corpus.documents import first_field
from lmtx_ray.corpus.inputs import InputFile, list_inputs
from lmtx_ray.corpus.label_set import FILE as LABELS
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.lines import CorpusError, Tally
from lmtx_ray.corpus.rows import Reading, part_rows
from lmtx_ray.corpus.self_matches import row_ids
from lmtx_ray.io import receipts, storage
from lmtx_ray.io.published import MANIFEST, PLAN
from lmtx_ray.io.receipts import REJECTS, PublishError
from lmtx_ray.io.units import Part
from lmtx_ray.loop.tagging import bundle_identity, plan_tags, settled

logger = logging.getLogger(__name__)
KINDS: dict[str, FileKind] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    sparse_rows.NAME: "xmc",
}
ENDINGS = ".csv, .jsonl, .parquet or .xmc.txt"
RECORD = "FILE.json"
Tag = Callable[[TagJob], dict[str, Any]]


def kind_of_file(output: str) -> FileKind | None:
    """The kind of file that a name asks for; None where it is the name of a folder."""
    name = output.rstrip("/").rsplit("/", 1)[-1].lower()
    kind = next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)
    if kind is None or output.endswith("/"):
        return None
    return None if storage.stat(storage.join(output, PLAN)) else kind


def work_folder(output: str) -> str:
    """Where the job of a file lies."""
    folder, slash, name = output.rpartition("/")
    return f"{folder}{slash}.{name}.lmtx"


def rejects_name(output: str) -> str:
    """Where the rows go that were not tagged: `tags.rejects.csv` beside `tags.csv` or
    `tags.xmc.txt`."""
    if output.endswith(sparse_rows.NAME):
        return f"{output.removesuffix(sparse_rows.NAME)}.rejects.csv"
    stem, dot, ending = output.rpartition(".")
    return f"{stem}.rejects{dot}{ending}"


def tag_to_file(job: TagJob, long: bool, overwrite: bool, tag: Tag) -> dict[str, Any]:
    """See `running.tag_to_file`; `tag` does the job that it is given into a folder."""
    output = storage.absolute(job.output)
    kind = kind_of_file(output)
    if kind is None:
        raise PublishError(f"{output}: one file is {ENDINGS}")
    work = work_folder(output)
    inner = settled(job, folder=False)
    inner = inner.model_copy(update={"output": work, "output_format": inner_format(kind)})
    if kind == "xmc" and job.keep_field:
        raise PublishError(f"{output}: a tag that a person set has no score, as .xmc.txt needs")
    inputs = list_inputs(job.source.documents)
    shape = Shape(kind, _id_name(job, inputs), long, job.pass_through)
    shape.columns()
    record = _record(work)
    if _is_written(output, record) and not overwrite:
        _refuse_other(output, inner, inputs, shape, record)
        result = record["result"]  # of where the file was made, and it may have been moved
        moved = {"rejected": rejects_name(output)} if "rejected" in result else {}
        return {**result, "tagged_now": 0, "tags": output, **moved}
    if storage.stat(output) and not overwrite:
        raise PublishError(
            f"{output}: it is there already, and not as this command would have written it; give "
            "--overwrite to replace it, or another name"
        )
    _begin_anew(inner, inputs)
    result = tag(inner)
    return _write(output, inner, shape, result)


def inner_format(kind: FileKind) -> OutputFormat:
    """What the tags are that one file of a kind is made of."""
    return "parquet" if kind == "xmc" else kind


def plan_file(job: TagJob, search: SearchWay = "auto") -> dict[str, Any]:
    """What tagging into a file would read, see `tagging.plan_tags`."""
    output = storage.absolute(job.output)
    refuse_among_inputs(output, job.source.documents)
    plan = plan_tags(job.model_copy(update={"output": work_folder(output)}), search)
    return {**plan, "output": output, "complete": _is_written(output, _record(work_folder(output)))}


def _record(work: str) -> dict[str, Any]:
    uri = storage.join(work, RECORD)
    record: dict[str, Any] = storage.read_json(uri) if storage.stat(uri) else {}
    return record


def _is_written(output: str, record: dict[str, Any]) -> bool:
    return bool(
        record and storage.stat(output) and storage.sha256_of(output) == record.get("sha256")
    )


def _refuse_other(
    output: str, job: TagJob, inputs: Sequence[InputFile], shape: Shape, record: dict[str, Any]
) -> None:
    """PublishError where a file is that of another job."""
    replace = "give --overwrite to replace it, or another name"
    if not (plans := read_plans(job.output)):
        raise PublishError(f"{output}: what it was made of is not known any more; {replace}")
    try:
        new_inputs(plans, job, bundle_identity(job), inputs, False)
    except PublishError as error:
        what = str(error).removesuffix("; use another folder").replace(job.output, output)
        raise PublishError(f"{what}; {replace}") from None
    if record["shape"] != shape.to_dict():
        raise PublishError(f"{output}: the file has other columns (--long?); {replace}")


def _begin_anew(job: TagJob, inputs: Sequence[InputFile]) -> None:
    """Nobody sees a job whose file is not there: one that is another's, or whose tags are gone, is
    in nobody's way. What another has tagged and not published is `tag`'s to refuse."""
    plans = read_plans(job.output)
    if not plans:
        return
    published = bool(read_manifests(job.output))
    if not published and not _record(job.output):
        return
    try:
        if not published:
            raise PublishError("its tags are gone")
        new_inputs(plans, job, bundle_identity(job), inputs, False)
    except PublishError:
        storage.remove_folder(job.output)


def _id_name(job: TagJob, inputs: Sequence[InputFile]) -> str:
    """What the column of ids is called in the first input that has a readable row."""
    columns = job.source.columns
    if columns.doc_id:
        return columns.doc_id
    for file in inputs:
        try:
            for _, row, _ in part_rows(Part(file.uri, file.etag), Reading(job.source), Tally()):
                if isinstance(row, dict):
                    return first_field(row, None, IDS)[0]
        except CorpusError:
            continue
    return "doc_id"


def _write(output: str, job: TagJob, shape: Shape, result: dict[str, Any]) -> dict[str, Any]:
    work = job.output
    with storage.scratch_folder() as folder:
        path = Path(folder) / "tags"
        with path.open("wb") as file:
            rows = _assembled(job, shape, file)
        result = {**result, "tags": output, "rows": rows} | _write_rejects(output, work, shape)
        digest = storage.sha256_of(str(path))
        record = {"sha256": digest, "shape": shape.to_dict(), "result": result}
        storage.write_bytes(storage.join(work, RECORD), storage.to_json(record))
        storage.put_file(path, output)
    _tidy(work)
    return result


def _assembled(job: TagJob, shape: Shape, file: BinaryIO) -> int:
    files = published_files(job.output)
    if shape.kind != "xmc":
        return assemble(files, shape, file)
    folder = open_bundle(job.bundle, lambda name: name == LABELS).folder
    places = read_rejects(job.output).select(["source", "position"]).to_pylist()
    rejected = {(row["source"], row["position"]) for row in places}
    rows = row_ids(job.source.documents, job.source, rejected)
    return write_matrix(files, rows, LabelSet.load(folder), file)


def _write_rejects(output: str, work: str, shape: Shape) -> dict[str, Any]:
    files, uri = published_files(work, REJECTS), rejects_name(output)
    if not files and not storage.stat(uri):  # one from before is emptied
        return {}
    write_rejects(files, "csv" if shape.kind == "xmc" else shape.kind, uri)
    return {"rejected": uri}


def _tidy(work: str) -> None:
    """The tags are in the file now; the manifest says that they are here, so it goes first."""
    try:
        storage.remove_file(storage.join(work, MANIFEST))
        for name in (*receipts.KINDS, "done", "epochs"):
            storage.remove_folder(storage.join(work, name))
    except storage.StorageError as error:  # such as no right to delete: the file is there
        logger.warning("%s: not tidied up: %s", work, error)
