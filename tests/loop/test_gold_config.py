"""Gold of a run: beside its test documents or in a file of its own, by key, text or index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus.counting import count_corpus
from lmtx_ray.corpus.lines import CorpusError
from tests.prepared import prepare_corpus

LABELS = "key,text\nL0,Heart\nL1,Lung\nL2,Skin\n"
TRAIN = "id,title,text\na,Heart,on hearts\nb,Lung,on lungs\nc,Skin,on skins\n,no id,x\n"
FORMS = {
    "text.csv": 'id,text,tags\nx,one,Heart; L1\ny,two,"Skin"\nz,three,Hart\n',
    "list.jsonl": "".join(
        json.dumps({"id": doc_id, "text": text, "labels": labels}) + "\n"
        for doc_id, text, labels in (
            ("x", "one", ["Heart", "L1"]),
            ("y", "two", ["Skin"]),
            ("z", "three", ["Hart"]),
        )
    ),
    "xmc.jsonl": "".join(
        json.dumps({"uid": doc_id, "content": text, "target_ind": labels}) + "\n"
        for doc_id, text, labels in (("x", "one", [0, 1]), ("y", "two", [2]), ("z", "three", [9]))
    ),
}
RIGHT = [{"doc_id": "x", "label_ids": [0, 1]}, {"doc_id": "y", "label_ids": [2]}]


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusConfig:
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "train.csv").write_text(TRAIN)
    return CorpusConfig(
        documents=(str(tmp_path / "train.csv"),),
        labels=str(tmp_path / "labels.csv"),
        held_aside=1,
    )


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", FORMS)
def test_gold_beside_the_test_documents_is_read_as_it_is(
    tmp_path: Path, corpus: CorpusConfig, name: str
) -> None:
    test = write(tmp_path / name, FORMS[name])
    config = corpus.model_copy(update={"test": test})
    found = prepare_corpus(tmp_path / "run", config)
    assert found.test.gold.to_pylist() == RIGHT
    (reject,) = found.test.rejects.to_pylist()
    assert (reject["source"], found.rejects.num_rows) == (test, 1)
    assert ("did you mean 'Heart' (L0)?" in reject["reason"]) == ("xmc" not in name)
    counts = count_corpus(config)
    assert (counts.test, counts.rejects) == (2, 2)


def test_a_document_keeps_its_good_labels_and_the_bad_ones_are_told(
    tmp_path: Path, corpus: CorpusConfig
) -> None:
    text = "id,text,subject\nx,one,Heart/nobody/L1\ny,two,Skin\n"
    update = {
        "test": write(tmp_path / "test.csv", text),
        "columns": ColumnMap(gold="subject"),
        "gold_separator": "/",
    }
    found = prepare_corpus(tmp_path / "run", corpus.model_copy(update=update))
    assert found.test.gold.to_pylist() == RIGHT
    (reject,) = found.test.rejects.to_pylist()
    assert reject["position"] == 2
    assert "field 'subject' needs a list of labels: 'nobody' is no key" in reject["reason"]


def test_gold_in_a_file_of_its_own_finds_its_test_documents(
    tmp_path: Path, corpus: CorpusConfig
) -> None:
    gold = "document,label\nx,Heart\ny,L2\nx,Lung\nx,Hart\nelsewhere,L1\n"
    test = "id,text\nx,one\ny,two\nw,no gold\n"
    update = {
        "test": write(tmp_path / "test.csv", test),
        "gold": write(tmp_path / "gold.csv", gold),
    }
    config = corpus.model_copy(update=update)
    found = prepare_corpus(tmp_path / "run", config)
    assert found.test.gold.to_pylist() == RIGHT
    rejects = {
        (Path(row["source"]).name, row["position"]) for row in found.test.rejects.to_pylist()
    }
    assert rejects == {("gold.csv", 5), ("test.csv", 4)}
    counts = count_corpus(config)
    assert (counts.test, counts.rejects) == (2, 3)


def test_gold_of_the_documents_themselves_leaves_the_corpus_as_it_is(
    tmp_path: Path, corpus: CorpusConfig
) -> None:
    without = prepare_corpus(tmp_path / "without", corpus)
    gold = write(tmp_path / "gold.tsv", "id\tlabels\nc\tSkin\na\tHeart|L1\nq\tL1\n")
    config = corpus.model_copy(update={"gold": gold})
    found = prepare_corpus(tmp_path / "run", config)
    assert found.documents == without.documents
    assert found.test.gold.to_pylist() == [
        {"doc_id": "a", "label_ids": [0, 1]},
        {"doc_id": "c", "label_ids": [2]},
    ]
    assert found.test.documents["doc_id"].to_pylist() == ["a", "c"]
    assert (found.rejects.num_rows, found.test.rejects.num_rows) == (1, 0)
    assert count_corpus(config).rejects == 1


def test_gold_that_fits_nothing_is_told(tmp_path: Path, corpus: CorpusConfig) -> None:
    gold = write(tmp_path / "gold.csv", "id,label\nq,L1\n")
    with pytest.raises(CorpusError, match=r"train\.csv: no readable .*none has an id that .*gold"):
        prepare_corpus(tmp_path / "one", corpus.model_copy(update={"gold": gold}))
    test = write(tmp_path / "test.csv", "id,text,concept\nx,one,L1\n")
    with pytest.raises(CorpusError, match=r"set corpus\.columns\.gold.*it has: 'id', 'text', 'con"):
        prepare_corpus(tmp_path / "two", corpus.model_copy(update={"test": test}))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "a", "tagz": ["Heart"]}], "no row has a field 'tags'; did you mean tagz"),
        ([{"id": "a", "tags": []}, {"id": "c"}], "no gold label in 2 rows"),
        ([{"id": "a", "tags": ["Hart"]}], "no gold label in 1 rows; row 1: 'Hart' is no key"),
    ],
)
def test_a_gold_file_without_a_label_is_refused_before_anything_is_paid_for(
    tmp_path: Path, corpus: CorpusConfig, rows: list[dict], said: str
) -> None:
    gold = write(tmp_path / "gold.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    config = corpus.model_copy(update={"gold": gold, "columns": ColumnMap(gold="tags")})
    with pytest.raises(CorpusError, match=rf"gold\.jsonl: {said}"):
        count_corpus(config)
    with pytest.raises(CorpusError, match=rf"gold\.jsonl: {said}"):
        prepare_corpus(tmp_path / "run", config)


def test_the_first_test_documents_tell_the_column_together(
    tmp_path: Path, corpus: CorpusConfig
) -> None:
    rows = [{"id": "w", "text": "no gold"}, {"id": "y", "text": "two", "tags": ["Skin"]}]
    test = write(tmp_path / "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = prepare_corpus(tmp_path / "run", corpus.model_copy(update={"test": test}))
    assert found.test.gold.to_pylist() == RIGHT[1:]
