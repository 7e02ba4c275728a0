"""What is in somebody's files: columns, languages, lengths, repeats, and how gold fits in."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.corpus.counting import Counts, count_corpus, first_documents
from lmtx_ray.corpus.guessing import NoColumn, guess_documents, guess_labels, plain
from lmtx_ray.corpus.language_guess import languages_of
from lmtx_ray.corpus.lengths import count_words
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.looking import Look, look
from lmtx_ray.corpus.text_keys import document_texts

GOLD = "target_ind gold gold_labels labels tags keywords subjects label_keys".split()
MOST_BYTES = 1 << 30  # of documents that are read whole; of more only the first
MOST_COUNTED = 50_000
MOST_READ = 2000  # documents whose texts are looked at


@dataclass(frozen=True)
class Found:
    """What `lmtx init` knows of the inputs.

    `corpus` is the section of the config that reads them, `notes` what somebody should look at;
    `words` are those of the documents read, `languages` their shares. `limit` is how many documents
    were counted where there are too many to count all, None where all were.
    """

    documents: Look
    labels: Look
    corpus: dict[str, Any]
    counts: Counts
    words: tuple[int, ...]
    label_words: float
    languages: dict[str, float]
    notes: tuple[str, ...] = field(default=())
    limit: int | None = None

    @property
    def middle(self) -> int:
        """Words of the middle document."""
        return round(statistics.median(self.words))

    @property
    def most(self) -> int:
        """Words that nine of ten documents do not exceed."""
        return sorted(self.words)[len(self.words) * 9 // 10]


def find(documents: Sequence[str], labels: str, gold: str | None) -> Found:
    """Look at everything, and read it once as a run would, or the first part of very much.

    Raises:
        CorpusError: Files that are missing or cannot be read; it names the file.
        ConfigError: No column can be what is needed.
    """
    seen, named = _seen("DOCS", documents), _seen("LABELS", [labels])
    try:
        columns = guess_documents(seen) | guess_labels(named)
    except NoColumn as error:
        raise ConfigError(str(error)) from None
    corpus: dict[str, Any] = {"documents": list(documents), "labels": labels, "columns": columns}
    corpus |= _written(seen, named)
    notes = [*_odd_files(seen), *_odd_files(named)]
    if gold:
        section, more = _gold(gold, seen, columns)
        corpus, notes = corpus | section, notes + more
    limit = MOST_COUNTED if seen.size > MOST_BYTES else None
    config = load_config(CorpusConfig, {**corpus, "limit": limit})
    counts = count_corpus(config)
    if limit:
        size = f"{seen.size / (1 << 30):.1f} GiB"
        notes.append(f"only the first {limit:,} documents were counted, of {size}")
    texts, repeated = _texts(config)
    notes += _notes(counts, repeated, named, columns["label_text"])
    words = tuple(map(count_words, texts))
    label_texts = [str(value or "") for value in named.values(columns["label_text"])]
    label_words = statistics.fmean(map(count_words, label_texts))
    shares = languages_of(texts)
    return Found(seen, named, corpus, counts, words, label_words, shares, tuple(notes), limit)


def _seen(what: str, uris: Sequence[str]) -> Look:
    try:
        return look(uris)
    except CorpusError as error:
        raise CorpusError(f"{what}: {error}") from None


def _written(*looks: Look) -> dict[str, str]:
    """The encoding that lines which are not UTF-8 have, if there is any."""
    for one in looks:
        if one.encoding.startswith("utf-16"):
            raise ConfigError(f"{one.uris[0]}: is UTF-16; save it as UTF-8")
    others = {one.encoding for one in looks} - {"utf-8", "utf-8-sig", ""}
    return {"encoding": sorted(others)[0]} if others else {}


def _odd_files(one: Look) -> list[str]:
    notes = []
    if one.encoding not in {"utf-8", "utf-8-sig", ""}:
        notes.append(
            f"{one.uris[0]} is not UTF-8; it is read as {one.encoding}: look at its umlauts"
        )
    if one.kind == "tsv" and len(one.columns) == 1:
        notes.append(f"{one.uris[0]} has one column; where it has no tabs, call it .csv")
    return notes


def _gold(gold: str, seen: Look, columns: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """(what the config says of gold, notes)."""
    given = _seen("--gold", [gold])
    written, odd = _written(seen, given), _odd_files(given)
    ids, labels = columns["doc_id"], next((n for n in given.columns if plain(n) in GOLD), None)
    if labels is None or columns["text"] not in given.columns:
        named = {"columns": {**columns, "gold_id": ids}} if ids in given.columns else {}
        return {"gold": gold, **named, **written}, [
            *odd,
            f"{gold} holds no texts of its own, so it is gold of the documents: they are trained "
            "on without it, and measured with it",
        ]
    own = {str(value) for value in seen.values(ids)}
    shared = sum(str(value) in own for value in given.values(ids))
    note = (
        f"{shared} of the first {len(given.rows)} rows of {gold} are among the documents: only "
        "others are tested on"
    )
    section = {"test": gold, "columns": {**columns, "gold": labels}, **written}
    return section, [*odd, note] if shared else odd


def _texts(config: CorpusConfig) -> tuple[list[str], int]:
    """(texts of the first documents, how many of them stand there more than once)."""
    texts = document_texts(first_documents(config, MOST_READ))
    return texts, len(texts) - len(set(texts))


def _notes(counts: Counts, repeated: int, labels: Look, column: str) -> Iterable[str]:
    if counts.rejects:
        yield (
            f"{counts.rejects:,} rows cannot be read or repeat an id: each goes to the rejects "
            "table with its reason"
        )
    if repeated:
        yield f"{repeated:,} of the first {MOST_READ:,} documents have a text that was there before"
    named = [" ".join(str(value or "").split()).casefold() for value in labels.values(column)]
    if len(set(named)) < len(named):
        yield f"{len(named) - len(set(named)):,} labels are called like another one"
    if counts.labels < 2:
        yield "there is only one label"
