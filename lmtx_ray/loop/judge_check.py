"""`lmtx judge-check`: asks about a few pairs, and says what the judge is worth and costs.

What is asked counts as judged: the run finds it in the store. Candidates are the run's shortlists
where they are published, else those of the lexical index, which needs no model.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.counting import first_documents
from lmtx_ray.corpus.label_texts import label_texts
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.corpus.text_keys import document_texts
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.judge_numbers import conclude, cost_of
from lmtx_ray.loop.judging import asking_of
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.preflight import check_judge
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout
from lmtx_ray.search import candidates
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.stages.budget import RemoteLedger, shared_budget
from lmtx_ray.stages.judge import Asking
from lmtx_ray.stages.sample import ask_sample
from lmtx_ray.teacher.ensemble import agreement, names_of
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import PROMPTS, get_prompt
from lmtx_ray.verdicts.exchange import read_file
from lmtx_ray.verdicts.store import Snapshot

logger = logging.getLogger(__name__)
EACH = 8  # candidates of a document
RANDOM = 2  # labels of a document drawn by chance: what a judge must tell from candidates
MOST_READ = 2000  # documents, where the corpus is not prepared yet
SOURCE = "judge check"


def check(
    config: RunConfig,
    pairs: int,
    expected: str | None,
    second_prompt: str | None,
    start_ray: Callable[[str], None],
) -> dict[str, Any]:
    """Asks, and returns numbers, costs, and a verdict: usable, weak or useless, with the reason."""
    if not config.has_judge:
        raise ConfigError(
            "judge.teacher.kind is none: there is no judge to check; set vllm or http"
        )
    check_judge(config)
    layout = lay_out(config)
    named, count = _named_documents(expected) if expected else set(), max(pairs // EACH, 1)
    documents, labels = _corpus(config, layout, named, count)
    given = _expected(expected, documents, labels) if expected else {}
    sample = _sample(documents, count, set(given))
    ranked = _ranked(config, layout, sample, labels)
    chosen = _chosen(ranked, labels.num_rows, given)
    start_ray(config.run)
    limits, spent = config.judge.budget, RunLayout(config.run).spent
    with storage.scratch_folder() as scratch, shared_budget(limits, spent) as budget:
        sampled = sample, _as_rankings(chosen), _label_files(layout, labels, scratch)
        first = _ask(config, layout, budget, None, *sampled)
        other = _other_prompt(config, second_prompt)
        second = _ask(config, layout, budget, other, *sampled) if other else None
    by_order = config.pseudo_labels.accept_deviations is not None
    result = conclude(first[0], ranked, given, second[0] if second else None, by_order)
    if config.judge.teacher.kind == "ensemble":
        said = [raw for raw in first[0]["raw"].to_pylist() if raw]
        result["agreement"] = agreement(said, names_of(config.judge.teacher))
    cost = cost_of(config.judge.price, *first[1:])
    return {**result, "second_prompt": other, "cost": cost}


def _named_documents(path: str) -> set[str]:
    """Ids in a file of expected answers."""
    rows = (row for _, row in read_file(path) if not isinstance(row, BadRow))
    return {_doc_id(row) for row in rows}


def _doc_id(row: dict[str, Any]) -> str:
    return str(row.get("doc_id") or row.get("document") or "")


def _of_documents(table: pa.Table, doc_ids: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["doc_id"], value_set=doc_ids))


def _corpus(
    config: RunConfig, layout: Layout, wanted: set[str], count: int
) -> tuple[pa.Table, pa.Table]:
    """(documents, labels): the documents that are wanted, or else `count` or more of them."""
    if layout.documents.is_complete() and layout.labels.is_complete():
        if not wanted:
            return _some(layout.documents, count), layout.labels.read()
        ids, files = pa.array(sorted(wanted), pa.string()), layout.documents.files()
        tables = [_of_documents(storage.read_table(file), ids) for file in files]
        return pa.concat_tables(tables), layout.labels.read()
    most = max(MOST_READ, count)
    limit = config.corpus.limit if wanted else min(config.corpus.limit or most, most)
    documents = first_documents(config.corpus, limit)
    return documents, pa.concat_tables(label_tables(config.corpus, config.unit_labels))


def _some(documents: Dataset, count: int) -> pa.Table:
    """So many documents or more, of whole units that are evenly spread; all where there are
    fewer."""
    files = documents.files()
    units = min(-(-len(files) * count // max(documents.rows(), 1)), len(files))
    spread = np.linspace(0, len(files) - 1, units).astype(int).tolist()
    order = dict.fromkeys([*spread, *range(len(files))])  # units may differ in size
    return pa.concat_tables(_until((storage.read_table(files[n]) for n in order), count))


def _expected(path: str, documents: pa.Table, labels: pa.Table) -> dict[str, dict[int, bool]]:
    """doc_id -> label_id -> whether it is right. Raises ConfigError if nothing of it is known."""
    ids = set(documents["doc_id"].to_pylist())
    places: dict[str, int] = {}
    for row in labels.select(["label_id", "label_key", "text"]).to_pylist():
        places.setdefault(row["text"], row["label_id"])
        places[row["label_key"]] = row["label_id"]
    found: dict[str, dict[int, bool]] = {}
    problems = []
    for position, row in read_file(path):
        if isinstance(row, BadRow):
            problems.append(f"row {position}: {row.reason}")
            continue
        doc_id = _doc_id(row)
        name = str(row.get("label_key") or row.get("label_text") or row.get("label") or "")
        answer = str(row.get("answer") or "").strip().lower()
        if doc_id not in ids or name not in places or answer not in {"yes", "no"}:
            what = f"document {doc_id!r}, label {name!r}, answer {answer!r}"
            problems.append(f"row {position}: {what}: not in this run, or not yes or no")
            continue
        found.setdefault(doc_id, {})[places[name]] = answer == "yes"
    for problem in problems[:3]:
        logger.warning("%s: %s", path, problem)
    if not found:
        why = "; ".join(problems[:2]) or "it is empty"
        raise ConfigError(f"{path}: no row fits this run; {why}")
    return found


def _sample(documents: pa.Table, count: int, wanted: set[str]) -> pa.Table:
    """The documents that are wanted, or `count` chosen by a hash of their ids."""
    ids = documents["doc_id"].to_pylist()
    order = sorted(range(len(ids)), key=lambda n: hashlib.sha256(ids[n].encode()).digest())
    rows = [n for n in order if ids[n] in wanted] if wanted else order[:count]
    sample = documents.take(pa.array(sorted(rows)))
    split = pa.array(["train"] * sample.num_rows, pa.string())
    place = sample.schema.get_field_index("split")
    return sample.set_column(place, sample.schema.field("split"), split)


def _ranked(
    config: RunConfig, layout: Layout, sample: pa.Table, labels: pa.Table
) -> dict[str, list[int]]:
    """doc_id -> its shortlist, best first."""
    hybrid, k = layout.states[0].corpus.hybrid, config.judge.top_k
    if hybrid.is_complete():
        ids = sample["doc_id"].combine_chunks()
        tables = (_of_documents(storage.read_table(file), ids) for file in hybrid.files())
        table = pa.concat_tables(_until(tables, sample.num_rows))
    else:
        index = LexicalIndex.build(label_texts([labels]), config.shortlist.languages)
        found = index.search(document_texts(sample), k)
        table = candidates.to_rankings(sample["doc_id"].to_pylist(), *found)
    return {row["doc_id"]: row["label_ids"][:k] for row in table.to_pylist()}


def _until(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The first tables that have so many rows together."""
    for table in tables:
        yield table
        rows -= table.num_rows
        if rows <= 0:
            return


def _chosen(
    ranked: dict[str, list[int]], labels: int, given: dict[str, dict[int, bool]]
) -> dict[str, list[int]]:
    """doc_id -> label ids to ask about: candidates spread over the shortlist and a few drawn by
    chance; or those with a known answer."""
    if given:
        return {doc_id: list(given.get(doc_id, ())) for doc_id in ranked}
    chosen = {}
    for doc_id, shortlist in ranked.items():
        places = np.unique(np.linspace(0, max(len(shortlist) - 1, 0), EACH).astype(int))
        near = [shortlist[place] for place in places if place < len(shortlist)]
        seed = int.from_bytes(hashlib.sha256(doc_id.encode()).digest()[:8], "big")
        drawn = np.random.default_rng(seed).integers(0, labels, RANDOM).tolist()
        chosen[doc_id] = list(dict.fromkeys([*near, *drawn]))
    return chosen


def _as_rankings(chosen: dict[str, list[int]]) -> pa.Table:
    scores = [[-float(place) for place in range(len(ids))] for ids in chosen.values()]
    table = {"doc_id": list(chosen), "label_ids": list(chosen.values()), "scores": scores}
    return schemas.conform(pa.table(table), schemas.RANKINGS)


def _label_files(layout: Layout, labels: pa.Table, scratch: str) -> list[str]:
    if layout.labels.is_complete():
        return layout.labels.files()
    path = str(Path(scratch) / "labels.parquet")
    storage.write_table(path, labels)
    return [path]


def _other_prompt(config: RunConfig, wanted: str | None) -> str | None:
    """Another prompt to ask the same with; a judge trained for one prompt has none, nor has one
    that asks by no prompt of this run's."""
    own, kind = config.judge.teacher.prompt, config.judge.teacher.kind
    fixed = get_prompt(own).control or kind in ("reranker", "ensemble")
    if wanted == "none" or (wanted is None and fixed):
        return None
    return wanted or next(name for name in ("tag", "subject") if name != own and name in PROMPTS)


def _ask(
    config: RunConfig,
    layout: Layout,
    budget: RemoteLedger | None,
    prompt: str | None,
    sample: pa.Table,
    rankings: pa.Table,
    files: list[str],
) -> tuple[pa.Table, dict[str, Any], float]:
    plan = {"train": [("sample", 10**6)]}
    if prompt:
        other = get_prompt(prompt)
        identity = teacher_identity(config.judge.teacher, other)
        layout = replace(layout, prompt=other, judge=identity)
    asking: Asking = asking_of(config, layout, plan, {"train": SOURCE}, 0, budget)
    nobody = Snapshot(asking.human.uri)  # what people answered says nothing about the judge
    asking = replace(asking, rankings=("sample",), check=False, human=nobody)
    started = time.monotonic()
    pool, price = config.resources.judge, config.judge.price.model_dump()
    verdicts, usage = ask_sample(asking, files, sample, rankings, pool, price)
    return verdicts, usage, time.monotonic() - started
