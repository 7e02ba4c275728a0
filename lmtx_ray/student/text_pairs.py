"""Training pairs from documents alone: a title with its text (MACLR), segments of a text (RTS).

Every function is one of its arguments: of rows, labels' texts, settings, seed and step, nothing
else. So a batch can be made again, by a resumed training or by a benchmark.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from lmtx_ray.config.components import FitConfig
from lmtx_ray.corpus.lengths import WORD
from lmtx_ray.corpus.text_keys import document_text, is_blank
from lmtx_ray.student.batching import Batch, Names, Row

SENTENCE = re.compile(r"(?<=[.!?])\s+")
SCALE_SHARE = 0.1  # of all steps, for each number of clusters but the last
CLUSTERED = 0.5  # of all steps; after them a text is alike to its own title only
Pair = tuple[str, str]


class AllNames(Names, Protocol):
    """Label texts by label id, from 0 and without holes."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class PairBatch(Batch):
    """Texts that are alike: targets_BM is 1 where labels[j] is of the kind of documents[i].

    The first `pairs` of documents and of labels are pairs. Documents beyond them are the same once
    more (with another dropout), labels beyond them are wrong for all. judged_BM is all true:
    nothing is masked by its score.
    """

    pairs: int


def is_pair_row(row: Row) -> bool:
    """Whether an example is of text pairs, and not of a document and its labels."""
    return "clusters" in row or "slot" in row


def pair_batch(
    rows: Sequence[Row], names: AllNames, config: FitConfig, step: int, total: int
) -> PairBatch:
    """The batch of a step of `total`, of rows of TITLE_EXAMPLES or SEGMENT_EXAMPLES with `title`
    and `text` of their documents."""
    if "clusters" in rows[0]:
        return title_batch(rows, names, config, step, total)
    return segment_batch(rows, names, config, step)


def title_batch(
    rows: Sequence[Row], names: AllNames, config: FitConfig, step: int, total: int
) -> PairBatch:
    """Texts without their titles against titles: MACLR's first stage.

    Alike are a text and its title, equal titles, and documents of one cluster at the step's scale.
    All texts stand in the batch twice, and `label_draws` random labels after the titles, for the
    label regularisation.

    Args:
        rows: title, text, and `clusters`, the document's cluster at each scale (empty: none).
    """
    generator = np.random.default_rng([config.seed, step, 2])
    texts = [without_title(row["title"], row["text"], config.keep_title, generator) for row in rows]
    titles = [document_text(row["title"], "") for row in rows]
    groups = [_cluster(row["clusters"], step, total) for row in rows]
    alike = _same(titles) | (_same(groups) & torch.tensor([group >= 0 for group in groups]))
    return _batch(texts * 2, titles + drawn(names, config.label_draws, generator), alike)


def segment_batch(rows: Sequence[Row], names: AllNames, config: FitConfig, step: int) -> PairBatch:
    """One pair of each row's document, cut anew at every step, and `label_draws` labels, each with
    itself: RTS. Texts of one document are alike, and so are equal texts.

    Args:
        rows: doc_id, title, text, and `slot`, which of the document's pairs.
    """
    pairs = [_pair_of(row, config, step) for row in rows]
    generator = np.random.default_rng([config.seed, step, 3])
    labels = drawn(names, config.label_draws, generator)
    own = [row["doc_id"] for row in rows] + [f"\0{label}" for label in labels]
    second = [other for _, other in pairs] + labels
    return _batch([one for one, _ in pairs] + labels, second, _same(own) | _same(second))


def without_title(title: str | None, text: str, keep: float, generator: np.random.Generator) -> str:
    """The text with its title's words taken out of each sentence but a random share `keep` of
    them; the text as it is where nothing else would be left."""
    name = document_text(title, "")
    sentences = SENTENCE.split(document_text(None, text))
    kept = generator.random(len(sentences)) < keep
    cut = [
        one if stays or not name else one.replace(name, " ")
        for one, stays in zip(sentences, kept, strict=True)
    ]
    left = " ".join(" ".join(cut).split())
    return document_text(None, text) if is_blank(left.strip(" .!?")) else left


def segments(text: str, least: int, most: int, generator: np.random.Generator) -> list[str]:
    """A text in pieces of `least` to `most` words (`corpus.lengths`), at random; a last piece of
    less than half of `least` belongs to the one before. Blank text has none."""
    words = [word.span() for word in WORD.finditer(text)]
    pieces: list[tuple[int, int]] = []
    while words:
        size = int(generator.integers(least, most + 1))
        piece, words = words[:size], words[size:]
        begin = pieces.pop()[0] if pieces and len(piece) < least // 2 else piece[0][0]
        pieces.append((begin, piece[-1][1]))
    return [" ".join(text[begin:end].split()) for begin, end in pieces]


def pairs_of(
    title: str | None, text: str, least: int, most: int, generator: np.random.Generator
) -> list[Pair]:
    """All pairs of a document for one pass: its title with itself and with each segment, and
    segments with each other, two by two in random order (one that is left over with the first)."""
    pieces = segments(text, least, most, generator)
    name = document_text(title, "")
    pairs = [(name, name), *((name, piece) for piece in pieces)] if name else []
    order = [pieces[place] for place in generator.permutation(len(pieces))]
    for place in range(0, len(order), 2):
        pairs.append((order[place], order[place + 1] if place + 1 < len(order) else pieces[0]))
    return pairs


def drawn(names: AllNames, count: int, generator: np.random.Generator) -> list[str]:
    """So many different random labels' texts, of as many as there are."""
    count = min(count, len(names))
    if not count:
        return []
    places = dict.fromkeys(generator.integers(len(names), size=4 * count).tolist())
    return list(dict.fromkeys(names[label] for label in list(places)[:count]))


def _pair_of(row: Row, config: FitConfig, step: int) -> Pair:
    own = int.from_bytes(hashlib.blake2b(row["doc_id"].encode(), digest_size=8).digest(), "big")
    generator = np.random.default_rng([config.seed, step, own, row["slot"]])
    text = document_text(None, row["text"])
    pairs = pairs_of(row["title"], text, *config.segment_words, generator)
    return pairs[row["slot"] % len(pairs)]


def _cluster(clusters: Sequence[int], step: int, total: int) -> int:
    """A document's cluster at the step's scale; -1 where there are none, or none any more."""
    done = step / max(total, 1)
    if not clusters or done >= CLUSTERED:
        return -1
    return clusters[min(int(done / SCALE_SHARE), len(clusters) - 1)]


def _same(values: Sequence[object]) -> torch.Tensor:
    """Boolean [N, N]: which of the values are equal."""
    numbers: dict[object, int] = {}
    ids_N = torch.tensor([numbers.setdefault(value, len(numbers)) for value in values])
    return ids_N[:, None] == ids_N[None, :]


def _batch(documents: list[str], labels: list[str], alike_PP: torch.Tensor) -> PairBatch:
    """`alike_PP` of the pairs; of documents that stand there once more it is the same."""
    pairs = len(alike_PP)
    targets_BM = torch.zeros(len(documents), len(labels))
    targets_BM[:, :pairs] = alike_PP.float().repeat(len(documents) // pairs, 1)
    return PairBatch(documents, labels, targets_BM, torch.ones_like(targets_BM).bool(), pairs)
