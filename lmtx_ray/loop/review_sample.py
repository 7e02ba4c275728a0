"""`lmtx sample-for-review`: some tags with their documents, to be looked at by people."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.config.corpus import ColumnMap
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.lines import UTF8, CorpusError
from lmtx_ray.corpus.text_keys import squeezed, text_key
from lmtx_ray.evaluation.review import allot, band_of
from lmtx_ray.loop.finished_run import FinishedRun, open_finished
from lmtx_ray.loop.held_aside import held_aside_in
from lmtx_ray.loop.judged import JudgedRun, judge_said
from lmtx_ray.loop.review_file import refuse_filled, write_sample
from lmtx_ray.loop.texts import Shown, is_run, texts_of_run, texts_of_tags

MOST_DOCUMENTS = 1000  # of a run, tagged to draw from


@dataclass(frozen=True)
class Tag:
    """A tag of a document; the text is what the label is called."""

    doc_id: str
    key: str
    text: str
    probability: float | None

    def place(self, seed: int) -> bytes:
        """Orders tags by chance, whatever order they come in."""
        return _digest(f"{seed}/{self.doc_id}/{self.key}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def sample_for_review(
    place: str,
    output: str,
    size: int = 200,
    seed: int = 13,
    top_k: int = 5,
    characters: int = 700,
    documents: Sequence[str] = (),
    columns: ColumnMap | None = None,
    encoding: str = UTF8,
    run: str | None = None,
) -> dict[str, Any]:
    """Write a CSV of `size` tags, the same number of each tenth of probability as far as there are
    so many, with an empty column `correct`; returns how many of how many tags are in it, and the
    folder of the run whose judge is shown.

    Args:
        place: A finished run, whose held-aside documents its bundle then tags (all documents where
            none are held aside), or an output of `lmtx tag`, or a file of tags.
        top_k: Tags of a document, where a run is tagged.
        characters: Most of a text that are shown.
        documents: Files with the texts, where tags do not tell what was tagged.
        columns: Their columns.
        encoding: Of their lines that are not UTF-8.
        run: The finished run that made the tags: its judge's answers are shown.

    Raises:
        CorpusError: The output has answers already; no tags; texts that are not there.
        ConfigError: A run that is not finished.
    """
    refuse_filled(output)
    judged = open_finished(run or place) if run or is_run(place) else None
    if judged and not run:
        tags, texts = _tags_of_run(judged, seed, top_k)
    else:
        tags, texts = _flat(read_tag_file(place)), {}
    if not tags:
        raise CorpusError(f"{place}: there are no tags to review")
    chosen = choose(tags, size, seed)
    ids = {tag.doc_id for tag in chosen}
    texts = texts or texts_of_tags(place, ids, documents, columns, encoding)
    shown = [tag for tag in chosen if tag.doc_id in texts]
    if not shown:
        some = [tag.doc_id for tag in chosen[:3]]
        raise CorpusError(f"{place}: no text of {some} was found where the documents are read from")
    rows = _rows(shown, tags, texts, judged, characters)
    write_sample(output, rows)
    counts = Counter(row["band"] for row in rows)
    return {
        "output": output,
        "run": judged.uri if judged else None,
        "tags": len(rows),
        "of": len(tags),
        "documents": len({tag.doc_id for tag in shown}),
        "without_text": len(chosen) - len(shown),
        "judged": sum(row["judge_answer"] is not None for row in rows),
        "bands": dict(sorted(counts.items())),
    }


def choose(tags: Sequence[Tag], size: int, seed: int) -> list[Tag]:
    """Some of each band of probability, by chance; tags of one document beside each other."""
    bands: dict[str, list[Tag]] = {}
    for tag in tags:
        bands.setdefault(band_of(tag.probability), []).append(tag)
    drawn = allot({band: len(inside) for band, inside in bands.items()}, size)
    chosen = [
        tag
        for band, inside in bands.items()
        for tag in sorted(inside, key=lambda tag: tag.place(seed))[: drawn[band]]
    ]
    return sorted(chosen, key=lambda tag: (_digest(f"{seed}/{tag.doc_id}"), tag.place(seed)))


def _flat(table: pa.Table) -> list[Tag]:
    """The tags of a table of tags. Raises CorpusError for rankings, which name no labels."""
    if "label_keys" not in table.column_names:
        raise CorpusError("rankings name no labels: give a run, or an output of lmtx tag")
    tags = []
    for row in table.to_pylist():
        keys = row["label_keys"] or []
        texts = row.get("labels") or keys
        values = row.get("probabilities") or [None] * len(keys)
        for key, text, probability in zip(keys, texts, values, strict=True):
            tags.append(Tag(row["doc_id"], key, text, probability))
    return tags


def _tags_of_run(run: FinishedRun, seed: int, top_k: int) -> tuple[list[Tag], dict[str, Shown]]:
    """What a run's bundle gives documents it was not trained on, and those."""
    from lmtx_ray.bundle.tagger import Tagger  # takes seconds to import

    if not run.has("bundle"):
        raise ConfigError(f"{run.uri}: its bundle is not there")
    ids = held_aside_in(run.steps["documents"]).to_pylist()
    if not ids:
        ids = run.steps["documents"].read(["doc_id"])["doc_id"].to_pylist()
    ids = sorted(ids, key=lambda doc_id: _digest(f"{seed}/{doc_id}"))[:MOST_DOCUMENTS]
    texts = texts_of_run(run, ids)
    tagger = Tagger.load(run.steps["bundle"].uri)
    shown = [texts[doc_id] for doc_id in ids]
    table = tagger.tag(
        [one.text for one in shown], top_k, ids=ids, titles=[one.title for one in shown]
    )
    return _flat(table), texts


def _rows(
    chosen: Sequence[Tag],
    tags: Sequence[Tag],
    texts: dict[str, Shown],
    judged: FinishedRun | None,
    characters: int,
) -> list[dict[str, Any]]:
    population = Counter(band_of(tag.probability) for tag in tags)
    hashes = {doc_id: text_key(texts[doc_id].whole) for doc_id in {tag.doc_id for tag in chosen}}
    pairs = [(hashes[tag.doc_id], tag.key) for tag in chosen]
    said = judge_said(JudgedRun.of_finished(judged), pairs) if judged else {}
    rows = []
    for tag, pair in zip(chosen, pairs, strict=True):
        shown, band = texts[tag.doc_id], band_of(tag.probability)
        p_yes, answer = said.get(pair, (None, None))
        rows.append(
            {
                "correct": "",
                "label": tag.text,
                "title": shorten(shown.title or "", 200),
                "text": shorten(shown.text, characters),
                "probability": tag.probability,
                "judge_p_yes": p_yes,
                "judge_answer": answer,
                "doc_id": tag.doc_id,
                "label_key": tag.key,
                "band": band,
                "band_tags": population[band],
                "document_hash": pair[0].hex(),
                "label_hash": text_key(tag.text).hex(),
            }
        )
    return rows


def shorten(text: str, characters: int) -> str:
    """A text in one line, cut behind a sentence or a word."""
    line = squeezed(text)
    if len(line) <= characters:
        return line
    cut = line[:characters]
    end = max(cut.rfind(mark) for mark in (". ", "? ", "! ", "。"))
    if end > characters // 2:
        return f"{cut[: end + 1]} …"
    return f"{cut.rsplit(' ', 1)[0]} …"
