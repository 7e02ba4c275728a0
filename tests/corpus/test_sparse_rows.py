"""The extreme classification repository's files: matrices as text, texts line by line, pairs."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.config.corpus import CorpusConfig, DocumentsConfig
from lmtx_ray.corpus.counting import count_corpus
from lmtx_ray.corpus.gold import GoldSource, LabelRows, gold_row_ids, read_gold
from lmtx_ray.corpus.label_names import LabelNames
from lmtx_ray.corpus.lines import BadRow, CorpusError
from lmtx_ray.corpus.readers import format_of, read_rows
from lmtx_ray.corpus.self_matches import read_pairs, row_ids
from lmtx_ray.corpus.sparse_rows import is_sparse, read_sparse, sparse_line
from tests.prepared import prepare_corpus


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(file)


@pytest.mark.parametrize("name", ["tst_X_Y.txt", "scores.xmc.txt", "tst_X_Y.txt.gz"])
def test_a_matrix_is_told_by_its_first_lines_and_its_labels_are_best_first(
    tmp_path: Path, name: str
) -> None:
    uri = written(tmp_path, name, "4 9\n1:0.5 3:0.75 8:0.75\n\n7:1e-3\n2 4\n")
    assert is_sparse(uri)
    rows = dict(read_sparse(uri))
    assert [rows[place]["label_ids"] for place in (1, 2, 3, 4)] == [[3, 8, 1], [], [7], [2, 4]]
    assert rows[1]["scores"] == [0.75, 0.75, 0.5]
    assert rows[4]["scores"] == [1.0, 1.0]


def test_gold_before_features_is_read_and_features_are_not(tmp_path: Path) -> None:
    uri = written(tmp_path, "train.txt", "3 100 9\n3,1 0:0.5 17:2\n 5:1\n8\n")
    assert is_sparse(uri)
    assert [row["label_ids"] for _, row in read_sparse(uri)] == [[3, 1], [], [8]]


def test_other_texts_are_no_matrix(tmp_path: Path) -> None:
    for text in ("", "a text\nof two lines", "12 13\nsheep were counted", "3 4 5 6\n1:1"):
        assert not is_sparse(written(tmp_path, "some.txt", text))
    assert not is_sparse(written(tmp_path, "some.csv", "2 3\n1:1\n"))
    assert not is_sparse(str(tmp_path / "absent.txt"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3 9\n1:1\n", "1 rows, and its first line says 3"),
        ("1 9\n1:1\n2:1\n", "more rows than the 1 of its first line"),
        ("rows 9\n1:1\n", "first line is not the number of rows and of labels"),
    ],
)
def test_a_matrix_of_another_size_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    uri = written(tmp_path, "tst_X_Y.txt", text)
    with pytest.raises(CorpusError, match=f"tst_X_Y.txt: .*{said}"):
        list(read_sparse(uri))


def test_a_cell_that_is_none_costs_its_row_alone(tmp_path: Path) -> None:
    uri = written(tmp_path, "tst_X_Y.txt", "5 9\n1:x\n9:1\n-1:1\n2:nan\n1:1\n")
    rows = [row for _, row in read_sparse(uri)]
    assert [isinstance(row, BadRow) for row in rows] == [True] * 4 + [False]
    assert "'9:1' is no label:score with a label below 9" in rows[1].reason
    gold = read_gold(GoldSource((uri,)), LabelNames([], []), strict=False)
    assert (gold.labels, len(gold.rejects)) == ({"4": [1]}, 4)


def test_what_is_written_comes_back_with_the_same_bits(tmp_path: Path) -> None:
    scores = np.random.default_rng(1).normal(size=50).astype(np.float32)
    order = np.argsort(-scores)
    line = sparse_line(order.tolist(), scores[order].tolist())
    assert [int(cell.split(":")[0]) for cell in line.split()] == list(range(50))
    ((_, row),) = read_sparse(written(tmp_path, "s.xmc.txt", f"1 50\n{line}\n"))
    assert row["label_ids"] == order.tolist()
    assert np.array_equal(np.array(row["scores"], np.float32), scores[order])


def test_rows_of_gold_have_the_ids_of_the_documents(tmp_path: Path) -> None:
    uri = written(tmp_path, "tst_X_Y.txt", "3 9\n1:1\n\n2:1\n")
    names = LabelNames([f"k{n}" for n in range(9)], [f"text {n}" for n in range(9)])
    source = GoldSource((uri,), row_ids=("a", "", "c"))
    found = read_gold(source, names)
    assert found.labels == {"a": [1], "c": [2]}
    assert [(bad["position"], bad["reason"]) for bad in found.rejects] == [
        (2, "its row is no document")
    ]
    assert gold_row_ids(GoldSource((uri,))) == ["0", "1", "2"]
    with pytest.raises(CorpusError, match="row 2 of 2 documents"):
        read_gold(GoldSource((uri,), row_ids=("a", "b")), names)


@pytest.mark.parametrize("name", ["tst.raw.txt", "tst.raw.txt.gz"])
def test_raw_text_is_a_row_a_line_an_empty_one_too(tmp_path: Path, name: str) -> None:
    uri = written(tmp_path, name, "first text\n\nthird, with\ta tab\n")
    assert format_of(uri) == "lines"
    rows = [row for _, row in read_rows(uri, "lines")]
    assert rows == [
        {"id": "0", "text": "first text"},
        {"id": "1", "text": ""},
        {"id": "2", "text": "third, with\ta tab"},
    ]
    ids = [f"{name}#{n}" for n in range(3)]
    assert row_ids([uri], DocumentsConfig(documents=(uri,))) == ids


def test_pairs_are_read_by_rows_also_where_labels_were_left_out(tmp_path: Path) -> None:
    text = '{"uid": "a", "title": "x"}\nno json\n{"uid": 7, "title": "y"}\n'
    documents = written(tmp_path, "tst.json", text)
    ids = row_ids([documents], DocumentsConfig(documents=(documents,)))
    assert ids == ["a", "", "7"]
    uri = written(tmp_path, "filter_labels_test.txt", "0 0\n2 3.0\n\n2 1e0\n1 2\n")
    assert read_pairs(uri, ids, LabelRows(4)) == {"a": {0}, "7": {1, 3}}
    assert read_pairs(uri, ids, LabelRows(3, left_out=(1,))) == {"a": {0}, "7": {2}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 1\n3 1\n", "line 2: row 3 of 3 documents"),
        ("0 4\n", "line 1: row 4 of 4 labels"),
        ("0\n", "line 1: no rows of a document and a label: '0'"),
        ("0 1 2\n", "line 1: no rows"),
        ("0 -1\n", "line 1: no rows"),
        ("0 inf\n", "line 1: no rows"),
        ("0 1.5\n", "line 1: no rows"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_its_number(
    tmp_path: Path, text: str, said: str
) -> None:
    uri = written(tmp_path, "filter_labels_test.txt", text)
    with pytest.raises(CorpusError, match=f"filter_labels_test.txt {said}"):
        read_pairs(uri, ["a", "b", "c"], LabelRows(4))
    with pytest.raises(CorpusError, match="no such file"):
        read_pairs(f"{uri}.absent", ["a"], LabelRows(4))


def test_a_raw_set_of_the_repository_is_prepared_with_its_gold(tmp_path: Path) -> None:
    """Texts line by line, gold as a matrix; an empty line keeps the others in their rows."""
    documents = written(tmp_path, "trn.raw.txt", "a heart\n\na lung\n")
    test = written(tmp_path, "tst.raw.txt.gz", "some kidney\n\na liver\n")
    labels = written(tmp_path, "lbl.raw.txt", "heart\nlung\nkidney\nliver\n")
    gold = written(tmp_path, "tst_X_Y.txt", "3 4\n2:1\n0:1\n1:1 3:1\n")
    corpus = CorpusConfig(documents=(documents,), labels=labels, test=test, gold=gold, held_aside=0)
    assert count_corpus(corpus).test == 2
    wrong = corpus.model_copy(update={"self_matches": written(tmp_path, "wrong.txt", "2 3\n3 0\n")})
    with pytest.raises(CorpusError, match="line 2: row 3 of 3 documents"):
        count_corpus(wrong)
    prepared = prepare_corpus(tmp_path, corpus)
    assert prepared.documents["doc_id"].to_pylist() == ["trn.raw.txt#0", "trn.raw.txt#2"]
    assert prepared.labels["label_key"].to_pylist() == ["0", "1", "2", "3"]
    assert prepared.test is not None
    assert prepared.test.gold is not None
    assert prepared.test.gold.to_pylist() == [
        {"doc_id": "tst.raw.txt.gz#0", "label_ids": [2]},
        {"doc_id": "tst.raw.txt.gz#2", "label_ids": [1, 3]},
    ]
    assert "empty text" in prepared.test.rejects["reason"].to_pylist()[0]
