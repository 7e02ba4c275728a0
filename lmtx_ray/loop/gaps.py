"""`lmtx gaps`: documents that no label fits well, in clusters, as candidates for missing labels.

Shapes: N documents, D dimensions, K clusters.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmtx_ray.batch.plan import read_plans
from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.config.corpus import ColumnMap
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.lines import UTF8
from lmtx_ray.corpus.schemas import EMPTY
from lmtx_ray.corpus.words import words
from lmtx_ray.io import storage
from lmtx_ray.io.stage import Stage
from lmtx_ray.loop.review_sample import shorten
from lmtx_ray.loop.texts import Shown, texts_of_tags

if TYPE_CHECKING:
    from lmtx_ray.bundle.tagger import Tagger

MOST_DOCUMENTS = 20_000  # looked at; of more as many are drawn
WORDS, EXAMPLES, NEAREST = 8, 3, 3
EACH = 20  # documents of a cluster, where nobody says how many clusters there are
MOST_CLUSTERS = 100
TITLE = 100  # characters of an example
SEED = 13


@dataclass(frozen=True)
class Near:
    """An existing label, and how near it is to a cluster's middle."""

    key: str
    text: str
    cosine: float


@dataclass(frozen=True)
class Example:
    """One of the documents nearest to a cluster's middle."""

    doc_id: str
    title: str


@dataclass(frozen=True)
class Cluster:
    """`words` tell it from the others, best first; `cosine` is the mean of its documents' to their
    middle: the higher, the more alike they are."""

    size: int
    cosine: float
    words: list[str]
    labels: list[Near]
    examples: list[Example]


def find_gaps(
    tags: str,
    bundle: str,
    documents: Sequence[str] = (),
    threshold: float | None = None,
    clusters: int | None = None,
    columns: ColumnMap | None = None,
    encoding: str = UTF8,
) -> dict[str, Any]:
    """Clusters of the documents whose best tag has a probability below `threshold`, largest first,
    and how many of how many documents these are.

    Args:
        tags: An output of `lmtx tag`, or a file of tags.
        bundle: Whose encoder and labels are used: the one that made the tags, or one made of it
            since.
        documents: Files with the texts, where tags do not tell what was tagged; with `columns`, and
            the `encoding` of lines that are not UTF-8.
        threshold: The bundle's default least probability if None, or 0.5 where it has none.
        clusters: How many; one for each EACH documents if None.

    Raises:
        ConfigError: Tags without probabilities, or that were cut at a higher one.
        CorpusError: Texts or tags that are not there.
    """
    from lmtx_ray.bundle.tagger import Tagger  # takes seconds to import

    table = read_tag_file(tags)
    plans = read_plans(tags) if storage.stat(tags) is None else []
    with Stage("loading the bundle"):
        tagger = Tagger.load(bundle)
    least = (tagger.defaults.min_probability or 0.5) if threshold is None else threshold
    cut = max((plan["settings"]["min_probability"] or 0.0 for plan in plans), default=0.0)
    if least < cut:
        raise ConfigError(f"{tags}: tags under {cut:g} are left out: give a --threshold of {cut:g}")
    ids = unlabelled(tags, table, least)
    looked = _drawn(ids)
    texts = texts_of_tags(tags, looked, documents, columns, encoding)
    found = _clusters(tagger, texts, clusters) if texts else []
    return {
        "tags": tags,
        "bundle": bundle,
        "threshold": least,
        "documents": table.num_rows,
        "without_label": len(ids) - (len(looked) - len(texts)),  # of the rest there is no text
        "looked_at": len(texts),
        "clusters": [asdict(cluster) for cluster in found],
    }


def unlabelled(tags: str, table: pa.Table, threshold: float) -> list[str]:
    """Ids of documents with a text and no tag of such a probability.

    Raises:
        ConfigError: Tags without probabilities: nobody knows which of them are right.
    """
    names = [name for name in ("doc_id", "probabilities", "reason") if name in table.column_names]
    rows = table.select(names).to_pylist()
    given = [row.get("probabilities") or () for row in rows]
    if any(one is None for own in given for one in own) or "probabilities" not in names:
        raise ConfigError(
            f"{tags}: tags without probabilities, so none is known to fit; tag with a bundle that "
            "a judge has looked at"
        )
    return [
        str(row["doc_id"])
        for row, own in zip(rows, given, strict=True)
        if max(own, default=-1.0) < threshold and row.get("reason") != EMPTY  # which is no gap
    ]


def _drawn(ids: Sequence[str]) -> list[str]:
    """All, or MOST_DOCUMENTS by chance, whatever order they come in."""
    if len(ids) <= MOST_DOCUMENTS:
        return list(ids)
    return sorted(ids, key=lambda one: hashlib.sha256(one.encode()).digest())[:MOST_DOCUMENTS]


def _clusters(tagger: Tagger, texts: Mapping[str, Shown], number: int | None) -> list[Cluster]:
    ids, shown = list(texts), list(texts.values())
    with Stage("encoding documents"):
        vectors_ND = tagger.encode([one.whole for one in shown])
    members = _members(vectors_ND, number)
    told = telling_words([[shown[place].whole for place in own] for own in members])
    return [
        _cluster(tagger, vectors_ND[own], [ids[n] for n in own], [shown[n] for n in own], words_)
        for own, words_ in zip(members, told, strict=True)
    ]


def _members(vectors_ND: np.ndarray, number: int | None) -> list[np.ndarray]:
    """Places of each cluster's documents, the largest cluster first."""
    from lmtx_ray.search.clustering import centres, nearest

    wanted = number or min(math.ceil(len(vectors_ND) / EACH), MOST_CLUSTERS)
    scales = centres(vectors_ND, [wanted], SEED)
    if not scales:  # too few for more than one
        return [np.arange(len(vectors_ND))]
    own_N = nearest(vectors_ND, scales[0])
    parts = [np.flatnonzero(own_N == place) for place in range(len(scales[0]))]
    return sorted((part for part in parts if len(part)), key=lambda part: (-len(part), part[0]))


def _cluster(
    tagger: Tagger,
    vectors_ND: np.ndarray,
    ids: Sequence[str],
    shown: Sequence[Shown],
    telling: list[str],
) -> Cluster:
    middle_D = vectors_ND.mean(axis=0)
    middle_D /= max(float(np.linalg.norm(middle_D)), 1e-9)
    cosines_N = vectors_ND @ middle_D
    labels, scores = (one[0].tolist() for one in tagger.search(middle_D[None], NEAREST))
    near = [
        Near(tagger.labels.keys_by_place[label], tagger.labels.texts[label], round(score, 3))
        for label, score in zip(labels, scores, strict=True)
        if label >= 0
    ]
    first = np.argsort(-cosines_N, kind="stable")[:EXAMPLES].tolist()
    examples = [
        Example(ids[place], shorten(shown[place].title or shown[place].text, TITLE))
        for place in first
    ]
    return Cluster(len(ids), round(float(cosines_N.mean()), 3), telling, near, examples)


def telling_words(clusters: Sequence[Sequence[str]]) -> list[list[str]]:
    """For the texts of each cluster the words that many of them have and few others do: the share
    of the cluster's texts times the logarithm of the rarity among all (tf-idf of a cluster)."""
    counts = [Counter(word for text in own for word in set(words(text))) for own in clusters]
    sizes = [len(own) for own in clusters]
    everywhere: Counter[str] = sum(counts, Counter())
    total = sum(sizes)

    def weight(count: int, word: str, size: int) -> float:
        return count / size * math.log((1 + total) / (everywhere[word] + 0.5))

    told = []
    for own, size in zip(counts, sizes, strict=True):
        least = 2 if size > EXAMPLES else 1  # a word of one document tells that document
        ranked = sorted(
            (word for word, count in own.items() if count >= least and not word.isdigit()),
            key=lambda word: (-weight(own[word], word, size), word),
        )
        told.append(ranked[:WORDS])
    return told
