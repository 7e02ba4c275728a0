"""Batch tagging: documents in any corpus format to a published `tags` data set."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lmtx_ray import storage
from lmtx_ray.config import fingerprint
from lmtx_ray.corpus import CorpusConfig, read_documents
from lmtx_ray.publish import StepOutput
from lmtx_ray.settings import Resources

UNIT_DOCUMENTS = 512


def plan_tags(bundle: str, source: str, output: str) -> dict[str, Any]:
    """What tagging would read, without loading a model."""
    documents, rejects = read_documents(CorpusConfig(documents=[source], labels=source))
    return {
        "bundle": bundle,
        "documents": documents.num_rows,
        "rejects": rejects.num_rows,
        "output": output,
        "complete": StepOutput(storage.join(output, "tags"), "").is_complete(),
    }


def tag_corpus(
    bundle: str, source: str, output: str, top_k: int, min_probability: float
) -> dict[str, Any]:
    """Tag every readable document; bad rows go to `<output>/rejects`, tags to `<output>/tags`."""
    from lmtx_ray.stages.tag import TagDocuments
    from lmtx_ray.stages.units import run_units

    documents, rejects = read_documents(CorpusConfig(documents=[source], labels=source))
    identity = fingerprint(bundle, storage.sha256_of(storage.join(bundle, "MANIFEST.json")), top_k,
                           min_probability, documents["doc_id"].to_pylist())  # fmt: skip
    inputs = StepOutput(storage.join(output, "documents"), identity)
    units = {}
    for number, start in enumerate(range(0, max(documents.num_rows, 1), UNIT_DOCUMENTS)):
        part = documents.slice(start, UNIT_DOCUMENTS)
        inputs.commit_unit(f"{number:05d}", part, rows_in=part.num_rows)
        units[f"{number:05d}"] = part
    inputs.publish(list(units), key="doc_id")
    tags = StepOutput(storage.join(output, "tags"), identity)
    kwargs = {"bundle": bundle, "top_k": top_k, "min_probability": min_probability}
    files = {unit: [file] for unit, file in inputs.unit_files().items()}
    run_units(tags, files, TagDocuments, kwargs, Resources(), "doc_id", "tag")
    _publish_rejects(rejects, StepOutput(storage.join(output, "rejects"), identity))
    return {"documents": documents.num_rows, "rejects": rejects.num_rows, "tags": tags.uri}


def _publish_rejects(rejects: pa.Table, step: StepOutput) -> None:
    if not step.is_complete():
        step.commit_unit("00000", rejects, rows_in=rejects.num_rows)
        step.publish(["00000"])
