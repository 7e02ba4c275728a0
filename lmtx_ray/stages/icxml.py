"""ICXML on test documents: the judge writes phrases, and search finds labels by them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.schemas import PHRASES
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.io import storage
from lmtx_ray.io.accounts import Account
from lmtx_ray.search import candidates
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.stages.budget import RemoteLedger, worker_budget
from lmtx_ray.stages.kept_verdicts import at_once
from lmtx_ray.stages.starting import engine_starting
from lmtx_ray.teacher.generating import Generator
from lmtx_ray.teacher.protocol import paid_for
from lmtx_ray.teacher.registry import build_generator

NEAREST = 10  # labels that each phrase brings from either side


@dataclass(frozen=True)
class Writing:
    """How phrases are written. `kept` is a folder for those of units that were interrupted, `costs`
    one where what the judge used is written down, under `step`."""

    teacher: TeacherConfig
    kept: str
    costs: str
    step: str
    budget: RemoteLedger | None = None


class WritePhrases:
    """Worker: a fragment of documents in, their PHRASES out.

    What was written is kept from time to time, and when a judge goes away, and not asked for again.
    """

    expands: ClassVar[bool] = False
    costly: ClassVar[bool] = True

    def __init__(self, writing: Writing) -> None:
        self._writing, self._account = writing, Account(writing.costs)
        self._budget = worker_budget(writing.budget)
        self._generator: Generator | None = None

    def __call__(self, documents: pa.Table) -> pa.Table:
        """PHRASES, one row for each document, in order. Raises what the judge raised."""
        uri = self._uri(documents)
        there = storage.read_table(uri) if storage.exists(uri) else PHRASES.empty_table()
        known = pc.is_in(documents["doc_id"], value_set=there["doc_id"].combine_chunks())
        left = documents.filter(pc.invert(known))
        size = at_once(self._writing.teacher) or max(left.num_rows, 1)
        try:
            for first in range(0, left.num_rows, size):
                there = self._more(left.slice(first, size), there, uri)
        finally:
            self._close()
        return there.take(pc.index_in(documents["doc_id"], value_set=there["doc_id"]))

    def _more(self, documents: pa.Table, there: pa.Table, uri: str) -> pa.Table:
        """With those of more documents, kept at `uri`."""
        stopped: Exception | None = None
        try:
            new = self._started().generate(documents)
        except Exception as stop:
            stopped, said = stop, paid_for(stop)
            new = PHRASES.empty_table() if said is None else said
        both = pa.concat_tables([there, new]).combine_chunks()
        if new.num_rows:
            storage.write_table(uri, both)
        if stopped is not None:
            raise stopped
        return both

    def _uri(self, documents: pa.Table) -> str:
        ids = "\n".join(documents["doc_id"].to_pylist())
        return storage.join(self._writing.kept, f"{text_key(ids).hex()}.parquet")

    def _started(self) -> Generator:
        if self._generator is None:
            with engine_starting():
                self._generator = build_generator(self._writing.teacher, self._budget)
        return self._generator

    def _close(self) -> None:
        if self._generator is not None:
            self._account.keep(self._writing.step, asdict(self._generator.usage))
        if self._budget is not None:
            self._budget.close()


class MapPhrases:
    """Worker: PHRASES in, the labels that are nearest to them or share their words out."""

    expands: ClassVar[bool] = False

    def __init__(
        self, config: EncoderConfig, model: str, index: str, lexical: str, depth: int, constant: int
    ) -> None:
        """`constant`: of reciprocal ranks."""
        from lmtx_ray.student.encoder import Encoder  # takes seconds to import

        self._encoder = Encoder(config, model=model)
        self._depth, self._constant = depth, constant
        self._files = [open_bundle(uri) for uri in (index, lexical)]  # held: they are mapped
        self._index = LabelIndex.load(self._files[0].folder)
        self._lexical = LexicalIndex.load(self._files[1].folder)

    def __call__(self, phrases: pa.Table) -> pa.Table:
        """RANKINGS by reciprocal ranks over all phrases of a document and both sides. A document
        without phrases has none."""
        own = phrases["phrases"].to_pylist()
        flat = list(dict.fromkeys(phrase for said in own for phrase in said))
        found = dict(zip(flat, self._search(flat), strict=True)) if flat else {}
        fused = [self._fused([ids for phrase in said for ids in found[phrase]]) for said in own]
        ids_BK = np.full((len(own), self._depth), candidates.PADDING, np.int32)
        scores_BK = np.full((len(own), self._depth), -np.inf, np.float32)
        for row, (ids, scores) in enumerate(fused):
            ids_BK[row, : len(ids)], scores_BK[row, : len(ids)] = ids, scores
        return candidates.to_rankings(phrases["doc_id"].to_pylist(), ids_BK, scores_BK)

    def _search(self, phrases: list[str]) -> list[list[np.ndarray]]:
        """For each phrase the labels of either side, best first."""
        dense_BK, _ = self._index.search(self._encoder.encode(phrases, "label"), NEAREST)
        lexical_BK, _ = self._lexical.search(phrases, NEAREST)
        return [list(pair) for pair in zip(dense_BK, lexical_BK, strict=True)]

    def _fused(self, sides: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if not sides:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        lists = [side[None, :] for side in sides]
        ids_BK, scores_BK = candidates.reciprocal_rank_fusion(
            lists, self._depth, constant=self._constant
        )
        there = ids_BK[0] != candidates.PADDING
        return ids_BK[0][there], scores_BK[0][there]
