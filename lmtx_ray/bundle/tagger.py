"""Encoder, index and labels in one object: the only code behind batch and online tagging."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle import canary
from lmtx_ray.bundle.asked import Asked, check_texts
from lmtx_ray.bundle.cache import LocalBundle, check_version, open_bundle
from lmtx_ray.bundle.evidence import evidence
from lmtx_ray.bundle.filters import Filters, why_none
from lmtx_ray.bundle.loading import calibration_of, examples_of, ranker_of
from lmtx_ray.bundle.ranking import Ranked
from lmtx_ray.bundle.searching import Search, Selections, among_all, gathered, searches
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.defaults import UNLIKELY, Defaults
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.filters import Filter
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.text_keys import document_text, is_blank
from lmtx_ray.corpus.to_tag import ToTag
from lmtx_ray.corpus.words import document_words, words
from lmtx_ray.io import storage
from lmtx_ray.io.latest import read_about
from lmtx_ray.search.candidates import PADDING, Candidates
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.selection import Selection
from lmtx_ray.student.encoder import Encoder

NO_PROBABILITIES = "nobody judged this bundle: no probabilities, so none reaches min_probability"


class Tagger:
    """Tags documents with labels of one bundle. Every tag is in the label set.

    A document's answer does not depend on the other documents of a call.
    """

    def __init__(
        self,
        folder: str,
        threads: int | None = None,
        with_index: bool = True,
        held: LocalBundle | None = None,
    ) -> None:
        """`folder` holds a bundle's files, kept there by `held`; without the index, `tag` and
        `search` are not to be called: the shards are elsewhere."""
        description = storage.read_json(f"{folder}/bundle.json")
        check_version(folder, description)
        self.folder, self.held = folder, held
        self.about = read_about(held.published.uri) if held else {}  # name, date, labels, quality
        self.bundle_id: str = description["bundle_id"]
        settings = {**description["encoder"], "threads": threads}
        self.labels = LabelSet.load(folder)
        self.encoder = Encoder(
            EncoderConfig(**settings),
            model=f"{folder}/encoder",
            examples=examples_of(folder, self.labels),
        )
        self._index = LabelIndex.load(f"{folder}/index") if with_index else None
        self._depth = description["depth"]
        self._calibration = calibration_of(folder, description)
        self._ranker = ranker_of(folder, description)
        self._filters = Filters(self.labels)
        self.defaults = Defaults.of(description)

    @classmethod
    def load(cls, bundle: str, threads: int | None = None) -> Tagger:
        """Load a bundle from a local or s3 URI.

        Raises:
            PublishError: The folder is not a published bundle, or a file was changed.
        """
        held = open_bundle(bundle)
        return cls(held.folder, threads, held=held)

    def tag(
        self,
        texts: Sequence[str],
        top_k: int | None = None,
        *,
        ids: Sequence[str] | None = None,
        titles: Sequence[str | None] | None = None,
        min_probability: float | None = None,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        under: str | Collection[str] | None = None,
        filters: Sequence[Filter | None] | None = None,
    ) -> pa.Table:
        """A row of the `tags` contract for each document, in order: doc_id, label_keys, labels,
        scores, probabilities (best first, at most `top_k`), reason.

        A document without text has no tags and the reason "empty". An untrained bundle's
        probabilities are None, and a `min_probability` leaves none of its tags. Which labels are
        allowed changes the probability of none.

        Args:
            top_k: Most tags of a document; the bundle's default, 5 if it has none, if None.
            ids: doc_id of each text; "0", "1", … if None.
            titles: Title of each text, which is read before it; none if None.
            min_probability: Tags of less are left out; the bundle's default, 0 if it has none, if
                None.
            allow: Label keys that alone may be tags; all if None.
            deny: Label keys that may not.
            under: A label key, or several: only labels below one of them may be tags.
            filters: The same of each document by itself, beside what holds for all.

        Raises:
            TypeError: One text instead of a list of them, or something that is no text.
            ValueError: Lists of different lengths, a `top_k` below 1, or a `min_probability`
                outside 0 to 1. Its subclass UnknownKeys: keys that are not in the label set.
        """
        nothing = [None] * len(texts)
        return self.tagged(
            ToTag(
                texts,
                [str(doc_id) for doc_id in (range(len(texts)) if ids is None else ids)],
                nothing if titles is None else titles,
                nothing if filters is None else filters,
                Filter.of(allow, deny, under),
                top_k,
                min_probability,
            )
        )

    def tagged(self, given: ToTag) -> pa.Table:
        """What `tag` returns, and raises."""
        asked = self.ask(given)
        vectors_BD = self.encode(asked.documents)
        depths = [self.depth(asked.wanted.top_k)] * len(asked.documents)
        searched = self.searches(asked.selections, depths)
        found = [self.search(vectors_BD[one.places], one.k, one.selection) for one in searched]
        return self.table(asked, vectors_BD, searched, found)

    def ask(self, given: ToTag) -> Asked:
        """What `tag` is asked, made ready; raises what that says."""
        wanted = self.defaults.or_else(given.top_k, given.min_probability)
        beside = {"ids": given.ids, "titles": given.titles, "filters": given.filters}
        check_texts(given.texts, beside)
        pairs = zip(given.titles, given.texts, strict=True)
        documents = [document_text(title, text) for title, text in pairs]
        asked = [(given.general, *([one] if one else [])) for one in given.filters]
        return Asked(given.ids, documents, asked, self.select(asked), wanted)

    def table(
        self,
        asked: Asked,
        vectors_BD: np.ndarray,
        searched: Sequence[Search],
        found: Sequence[Candidates],
    ) -> pa.Table:
        """The `tags` of documents, of what the `searches` of their vectors `found`."""
        depth = self.depth(asked.wanted.top_k)
        ranked = self.rank(asked.documents, vectors_BD, searched, found, asked.selections, depth)
        rows = self.answers(asked.ids, asked.documents, ranked, asked.wanted, asked.filters)
        return schemas.conform(pa.Table.from_pylist(rows, schema=schemas.TAGS), schemas.TAGS)

    def check(self) -> str:
        """Ask the bundle's canaries; what is wrong with the answers, empty if nothing is."""
        canaries = canary.Canaries.load(self.folder)
        rows = self.tag(canaries.texts, canary.TOP_K, min_probability=0.0).to_pylist()
        return canary.deviation(canaries, rows)

    def depth(self, top_k: int) -> int:
        """How many candidates a search has to find for `top_k` tags; there are no more than labels,
        and lists are as wide as is asked."""
        return max(self._depth, min(top_k, len(self.labels)))

    def encode(self, documents: Sequence[str]) -> np.ndarray:
        """float32 unit vectors [B, D] of prepared texts (`document_text`)."""
        return self.encoder.encode(documents, "document")

    def select(self, asked: Sequence[Sequence[Filter]]) -> Selections:
        """The labels that fulfil all filters of each document, None for all labels.

        Raises:
            UnknownKeys: Keys that are not in the label set.
        """
        return [self._filters.select(filters) for filters in asked]

    def unknown_keys(self, one: Filter) -> dict[str, list[str]]:
        """A filter's keys that are not in the label set, by its field."""
        return self._filters.unknown(one)

    def searches(self, selections: Selections, depth_B: Sequence[int]) -> list[Search]:
        """What has to be searched for documents with these selections and depths, see `rank`."""
        return searches(selections, depth_B, self._depth if self._calibration else 0)

    def search(
        self, vectors_BD: np.ndarray, depth: int, selection: Selection | None = None
    ) -> Candidates:
        """The nearest labels in the bundle's own index."""
        assert self._index is not None
        return self._index.search(vectors_BD, depth, selection)

    def rank(
        self,
        documents: Sequence[str],
        vectors_BD: np.ndarray,
        searched: Sequence[Search],
        found: Sequence[Candidates],
        selections: Selections,
        depth: int,
    ) -> Ranked:
        """The ranking that counts, made of what the `searches` of these documents `found`."""
        dense = gathered(searched, found, selections, depth)
        everything = None
        if self._calibration and any(one is not None for one in selections):
            everything = among_all(searched, found, selections, self._depth)
        return self._ranker.rank(documents, vectors_BD, dense, selections, everything)

    def answers(
        self,
        ids: Sequence[str],
        documents: Sequence[str],
        ranked: Ranked,
        wanted: Defaults,
        filters: Sequence[Sequence[Filter]] = (),
    ) -> list[dict[str, Any]]:
        """The rows of the `tags` table of ranked documents, see `tag`; `filters` of each document
        say why it has none where they leave no label."""
        rows = []
        for place, (doc_id, document) in enumerate(zip(ids, documents, strict=True)):
            row: dict[str, Any] = {
                "doc_id": doc_id,
                "label_keys": [],
                "labels": [],
                "scores": [],
                "probabilities": [],
                "reason": "",
            }
            if is_blank(document):
                row["reason"] = schemas.EMPTY
            elif ranked.is_empty(place):
                row["reason"] = why_none(filters[place] if filters else ())
            elif wanted.min_probability > 0 and self._calibration is None:
                row["reason"] = NO_PROBABILITIES
            else:
                self._fill(row, ranked, place, wanted)
            rows.append(row)
        return rows

    def _fill(self, row: dict[str, Any], ranked: Ranked, place: int, wanted: Defaults) -> None:
        ids_K, scores_K = ranked.ids_BK[place], ranked.scores_BK[place]
        fitted = self._calibration
        probabilities_K = (
            ranked.probabilities(fitted, place, self._depth).tolist()
            if fitted
            else [None] * len(ids_K)
        )
        for label, score, probability in zip(
            ids_K.tolist(), scores_K.tolist(), probabilities_K, strict=True
        ):
            unlikely = probability is not None and probability < wanted.min_probability
            if label == PADDING or unlikely:
                continue
            row["label_keys"].append(self.labels.keys_by_place[label])
            row["labels"].append(self.labels.texts[label])
            row["scores"].append(score)
            row["probabilities"].append(probability)
            if len(row["scores"]) == wanted.top_k:
                return
        if not row["label_keys"]:
            found = [p for label, p in zip(ids_K, probabilities_K, strict=True) if label != PADDING]
            row["reason"] = _why_unlikely(found, wanted)

    def explain(self, document: str, ranked: Ranked, place: int, key: str) -> dict[str, Any]:
        """Why the document at `place` has the tag `key`, see `evidence`."""
        label = self.labels.place(key)
        known = ranked.known(place, self._depth)
        lexical_K = None if known.lexical is None else known.lexical[0]
        return evidence(label, known.dense, lexical_K, self._named(document, label))

    def _named(self, document: str, label: int) -> list[str]:
        if (lexical := self._ranker.lexical) is not None:
            return lexical.named(document, label)
        return sorted(set(document_words(document)) & set(words(self.labels.texts[label])))


def _why_unlikely(probabilities: Sequence[float], wanted: Defaults) -> str:
    """Why a document has no tags whose labels have these probabilities, in words."""
    if not probabilities:
        return "no label was found"
    least, best = wanted.min_probability, max(probabilities)
    return f"{UNLIKELY} {least:g} or more: the best has {best:.2f}"
