"""People's answers on held-aside documents, and the judge's own beside them, from a real store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.text_keys import document_text, text_key
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.reviewed import judges_own, reviews_of
from lmtx_ray.teacher.priors import document_key
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.verdicts.store import VerdictStore, add_human, as_stored

LABELS = ["heart disease", "lung pain", "bone trial"]
JUDGE = ("prompt", "teacher")


def key(number: int) -> bytes:
    return text_key(document_text(f"Title {number}", f"text of {number}"))


@pytest.fixture
def there(tmp_path: Path) -> tuple[Any, Any]:
    """(config, layout) of three documents and three labels, as far as they are looked at."""
    documents = Dataset(str(tmp_path / "documents"), "d")
    columns = {
        "doc_id": [f"d{n}" for n in range(3)],
        "title": [f"Title {n}" for n in range(3)],
        "text": [f"text of {n}" for n in range(3)],
        "split": ["held_aside", "held_aside", "train"],
    }
    documents.publish_table(schemas.conform(pa.table(columns), schemas.DOCUMENTS), rows=2)
    labels = Dataset(str(tmp_path / "labels"), "l")
    table = {"label_id": range(3), "label_key": ["L0", "L1", "L2"], "text": LABELS}
    labels.publish_table(schemas.conform(pa.table(table), schemas.LABELS), rows=2)
    teacher = SimpleNamespace(least_mass=0.1)
    store = VerdictStore(str(tmp_path / "store"))
    judge = SimpleNamespace(teacher=teacher, calibration="none", temperature=1.0)
    config = SimpleNamespace(verdict_store=store, judge=judge)
    prompt = get_prompt("tag")
    return config, SimpleNamespace(documents=documents, labels=labels, prompt=prompt, judge=JUDGE)


def review(store: VerdictStore, *answers: tuple[int, int, str]) -> None:
    rows = {
        "document": pa.array([key(document) for document, _, _ in answers], pa.binary(16)),
        "label": pa.array([text_key(LABELS[label]) for _, label, _ in answers], pa.binary(16)),
        "answer": [answer for _, _, answer in answers],
    }
    add_human(store, pa.table(rows))


def judged(store: VerdictStore, prompt: Any, document: int, label: int, p_yes: float) -> None:
    answers = {"answer": ["yes"], "p_yes": [p_yes], "mass": [0.9], "raw": [None]}
    seen = text_key(
        prompt.label_text({"text": LABELS[label], "description": None, "aliases": None})
    )
    table = as_stored([(key(document), seen)], pa.table(answers), JUDGE, "x")
    store.partition(JUDGE[1], JUDGE[0]).append(table, f"{document}-{label}")


def test_only_answers_on_the_documents_asked_for_count(there) -> None:
    config, layout = there
    held = pa.array(["d0", "d1"])
    assert reviews_of(config.verdict_store, layout, held) == {}
    review(config.verdict_store, (0, 0, "yes"), (1, 2, "no"), (2, 0, "yes"))
    assert reviews_of(config.verdict_store, layout, held) == {("d0", 0): True, ("d1", 2): False}
    review(config.verdict_store, (0, 0, "no"))  # they think again
    assert reviews_of(config.verdict_store, layout, held)["d0", 0] is False


def verdicts(*rows: tuple[str, int, str, float | None, str]) -> pa.Table:
    names = ("doc_id", "label_id", "answer", "p_yes", "teacher")
    kinds = (pa.string(), pa.int32(), pa.string(), pa.float32(), pa.string())
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(dict(zip(names, arrays, strict=True)))


def test_the_judges_own_answer_is_found_where_a_persons_took_its_place(there) -> None:
    config, layout = there
    judged(config.verdict_store, layout.prompt, 0, 0, 0.75)
    seen = verdicts(
        ("d0", 0, "no", None, "human"),
        ("d0", 1, "yes", 0.9, "teacher"),
        ("d1", 2, "yes", None, "human"),  # the judge was never asked
    )
    own = judges_own(config, layout, seen)
    assert {(row["doc_id"], row["label_id"]): row["p_yes"] for row in own.to_pylist()} == {
        ("d0", 0): 0.75,
        ("d0", 1): pytest.approx(0.9),
    }
    (first,) = [row for row in own.to_pylist() if row["label_id"] == 0]
    assert first["answer"] == "yes"
    model_only = seen.slice(1, 1)
    assert judges_own(config, layout, model_only) is model_only


def test_the_judges_own_answer_is_read_as_the_run_reads_it(there) -> None:
    config, layout = there
    judged(config.verdict_store, layout.prompt, 0, 0, 0.75)
    likes = as_stored(
        [(document_key(), text_key(LABELS[0]))],
        pa.table({"answer": ["yes"], "p_yes": [0.9], "mass": [0.9], "raw": [None]}),
        JUDGE,
        "prior",
    )
    config.verdict_store.partition(JUDGE[1], JUDGE[0]).append(likes, "prior")
    config.judge.calibration = "prior"
    (own,) = judges_own(config, layout, verdicts(("d0", 0, "yes", None, "human"))).to_pylist()
    assert own["p_yes"] == pytest.approx(1 / (1 + 9 / 3))  # odds of 3 over odds of 9
    assert own["answer"] == "no"
