"""Batch tagging: documents in any corpus format to a published `tags` data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray import storage
from lmtx_ray.config import fingerprint
from lmtx_ray.corpus import CorpusError, DocumentsConfig, read_documents
from lmtx_ray.publish import MANIFEST, StepOutput
from lmtx_ray.settings import Resources

UNIT_DOCUMENTS = 512


@dataclass(frozen=True)
class TagJob:
    """What to tag with which bundle; `output` is a folder of its own for one such job."""

    bundle: str
    source: DocumentsConfig
    output: str
    top_k: int = 5
    min_probability: float = 0.0

    def step(self, name: str) -> StepOutput:
        """An output of the job: "documents", "rejects" or "tags"."""
        manifest = storage.join(self.bundle, MANIFEST)
        if not storage.exists(manifest):
            raise storage.StorageError(f"{self.bundle}: not a bundle, it has no {MANIFEST}")
        identity = fingerprint(
            storage.sha256_of(manifest), self.source, self.top_k, self.min_probability,
            [storage.content_hash(uri) for uri in self.source.documents],
        )  # fmt: skip
        return StepOutput(storage.join(self.output, name), identity)


def plan_tags(job: TagJob) -> dict[str, Any]:
    """What tagging would read, without loading a model."""
    complete = job.step("tags").is_complete()
    documents, rejects = read_documents(job.source)
    return {
        "bundle": job.bundle, "documents": documents.num_rows, "rejects": rejects.num_rows,
        "output": job.output, "complete": complete,
    }  # fmt: skip


def tag_corpus(job: TagJob) -> dict[str, Any]:
    """Tag every readable document; bad rows go to `<output>/rejects`, tags to `<output>/tags`.

    Raises:
        PublishError: The output folder holds another job's tags.
        CorpusError: There is no readable document.
    """
    from lmtx_ray.stages.tag import TagDocuments
    from lmtx_ray.stages.units import run_units

    documents, rejects, tags = (job.step(name) for name in ("documents", "rejects", "tags"))
    if not (documents.is_complete() and rejects.is_complete()):
        read, bad = read_documents(job.source)
        if not read.num_rows:
            reason = f": {bad['reason'][0]}" if bad.num_rows else ""
            raise CorpusError(f"{', '.join(job.source.documents)}: no readable document{reason}")
        documents.publish_table(read, UNIT_DOCUMENTS, key="doc_id")
        rejects.publish_table(bad, UNIT_DOCUMENTS)
    units = {unit: [file] for unit, file in documents.unit_files().items()}
    kwargs = {
        "bundle": storage.absolute(job.bundle), "top_k": job.top_k,
        "min_probability": job.min_probability,
    }  # fmt: skip
    run_units(tags, units, TagDocuments, kwargs, Resources(), "doc_id", "tag")
    return {"documents": documents.rows(), "rejects": rejects.rows(), "tags": tags.uri}
