"""Tags for people to look at, and what comes of their answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.verdicts.reading import read_all, stats
from lmtx_ray.verdicts.store import VerdictStore


def lmtx(capsys, *arguments: object) -> tuple[int, dict, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out or "{}"), err


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def fill(path: Path, answers: list[str], delimiter: str = ",") -> None:
    """Write the answers into the column `correct`, as a spreadsheet saves it."""
    rows = rows_of(path)
    for row, answer in zip(rows, answers, strict=False):
        row["correct"] = answer
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


@pytest.fixture
def tags(tmp_path: Path) -> Path:
    """400 tags of 200 documents: most of them likely, few unlikely; and the documents."""
    lines, texts = ["id,label_key,label,probability"], ["id,title,text"]
    for n in range(200):
        for rank, probability in enumerate((0.95, 0.15 if n % 20 else 0.55)):
            lines.append(f"d{n},L{rank},Label {rank},{probability}")
        texts.append(f'd{n},=Title {n},"{"word " * 100}. End of document {n}"')
    (tmp_path / "tags.csv").write_text("\n".join(lines))
    (tmp_path / "documents.csv").write_text("\n".join(texts))
    return tmp_path / "tags.csv"


@pytest.fixture
def sample(tmp_path: Path, tags: Path, capsys) -> Path:
    out = tmp_path / "review.csv"
    more = ("--documents", tmp_path / "documents.csv", "--output", out, "--size", 60)
    code, found, _ = lmtx(capsys, "sample-for-review", tags, *more)
    assert (code, found["tags"], found["of"]) == (0, 60, 400)
    assert found["bands"] == {"0.1-0.2": 25, "0.5-0.6": 10, "0.9-1.0": 25}
    return out


def test_a_sample_has_the_same_of_each_probability_and_is_safe_to_open(
    tmp_path, capsys, tags, sample
) -> None:
    rows = rows_of(sample)
    assert all(row["correct"] == "" for row in rows)
    assert {row["band_tags"] for row in rows if row["band"] == "0.9-1.0"} == {"200"}
    assert all(len(row["text"]) <= 702 for row in rows)
    assert all(row["title"].startswith("'=Title ") for row in rows)
    more = ("--documents", tmp_path / "documents.csv", "--size", 60)
    again = tmp_path / "again.csv"
    lmtx(capsys, "sample-for-review", tags, *more, "--output", again)
    assert again.read_bytes() == sample.read_bytes()
    lmtx(capsys, "sample-for-review", tags, *more, "--output", again, "--seed", 2)
    assert again.read_bytes() != sample.read_bytes()


def test_a_filled_file_is_never_overwritten(tmp_path, capsys, caplog, tags, sample) -> None:
    more = ("--documents", tmp_path / "documents.csv", "--output", sample)
    assert lmtx(capsys, "sample-for-review", tags, *more, "--size", 60)[0] == 0
    fill(sample, ["yes"])
    before = sample.read_bytes()
    assert lmtx(capsys, "sample-for-review", tags, *more)[0] == 1
    assert sample.read_bytes() == before
    assert "review.csv has 1 answers: it is not overwritten" in caplog.text
    other = tmp_path / "documents.csv"
    more = ("--documents", other, "--output", other)
    assert lmtx(capsys, "sample-for-review", tags, *more)[0] == 1
    assert "no column 'correct'" in caplog.text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_answers_are_weighed_back_to_all_tags(tmp_path, capsys, sample, delimiter: str) -> None:
    right = {"0.9-1.0": "Ja", "0.5-0.6": "1", "0.1-0.2": "n"}
    answers = [right[row["band"]] for row in rows_of(sample)]
    fill(sample, answers, delimiter)
    store = tmp_path / "store"
    code, found, text = lmtx(capsys, "review-score", sample, "--store", store)
    assert (code, found["reviewed"], found["right"]) == (0, 60, 35)
    assert found["precision"] == pytest.approx((200 + 10) / 400)  # 35 of 60 without weights
    low, high = found["precision_ci"]
    assert low < found["precision"] < high
    bands = {band["band"]: band for band in found["bands"]}
    assert bands["0.1-0.2"]["tags"] == 190
    assert bands["0.9-1.0"]["precision_ci"][0] == pytest.approx(25 / (25 + 1.96**2), abs=1e-3)
    suggested = found["suggestion"]
    assert (suggested["threshold"], suggested["sure_threshold"]) == (0.5, None)
    assert "keep tags of a probability of 0.5 and more" in text
    assert found["stored"]["imported"] == {"human": 60}
    (entry,) = stats(VerdictStore(str(store)))
    assert (entry["judge"], entry["yes"], entry["no"]) == ("human", 35, 25)
    lmtx(capsys, "review-score", sample, "--store", store)  # once more: nothing is new
    assert sum(table.num_rows for table in read_all(VerdictStore(str(store)).human())) == 60


def test_blank_is_not_reviewed_and_a_bad_answer_names_its_row(capsys, caplog, sample) -> None:
    assert lmtx(capsys, "review-score", sample)[0] == 1
    assert "nobody has filled in the column `correct` yet" in caplog.text
    fill(sample, ["yes", "", "No", "?", "richtig"])
    code, found, text = lmtx(capsys, "review-score", sample)
    assert (code, found["reviewed"], found["judge"]["pairs"]) == (0, 3, 0)
    assert "stored" not in found
    assert "the judge said nothing of these tags" in text
    fill(sample, ["yes", "perhaps"])
    assert lmtx(capsys, "review-score", sample)[0] == 1
    assert "review.csv: row 3: correct is 'perhaps'; write yes or no" in caplog.text


def test_texts_that_are_nowhere_are_asked_for(capsys, caplog, tags) -> None:
    assert lmtx(capsys, "sample-for-review", tags, "--output", tags.parent / "r.csv")[0] == 1
    assert "does not tell which documents were tagged: give --documents" in caplog.text
    assert not (tags.parent / "r.csv").exists()


def test_a_reviewed_file_is_taken_for_no_gold_and_no_verdicts(
    tmp_path, capsys, caplog, tags, sample
) -> None:
    """Its rows are pairs of a document and a label, of which many are wrong."""
    fill(sample, ["no"] * 60)
    asked = (
        ("evaluate", "--gold", sample, "--tags", tags),
        ("verdicts", "import", tmp_path / "store", sample),
    )
    for command in asked:
        assert lmtx(capsys, *command)[0] == 1
        assert "review.csv: a file of lmtx sample-for-review" in caplog.text
        caplog.clear()


def test_documents_of_an_office_are_read_by_their_encoding(tmp_path, tags, capsys, caplog) -> None:
    documents = tmp_path / "documents.csv"
    text = documents.read_text().replace("title,text", "Überschrift,text")
    documents.write_bytes(text.encode("cp1252"))
    asked = ("sample-for-review", tags, "--documents", documents, "--output", tmp_path / "r.csv")
    assert lmtx(capsys, *asked)[0] == 1
    assert "documents.csv: its header: invalid UTF-8" in caplog.text
    code, found, _ = lmtx(capsys, *asked, "--encoding", "cp1252")
    assert (code, found["without_text"]) == (0, 0)
