"""`lmtx tag --output tags.csv`: one file, whole or not at all, and whose it is."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas
import pyarrow.parquet as pq
import pytest

from lmtx_ray.batch.outputs import published_files, read_tags, sweep
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.loop import one_file
from tests.batch.tagging import document, lines, tag


def rows_of(uri: str) -> list[dict]:
    data = storage.read_bytes(uri)
    if uri.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    if uri.endswith(".jsonl"):
        return [json.loads(line) for line in data.decode().splitlines()]
    return pq.read_table(io.BytesIO(data)).to_pylist()


def named(number: int, **more: object) -> dict:
    row = document(number, **more)
    return {"uid": row.pop("id"), **row}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_file_has_a_row_a_document_under_its_own_id(bundle, place, ending: str) -> None:
    storage.write_bytes(f"{place}/in/1.jsonl", lines(*(named(n, year=n) for n in range(4))))
    storage.write_bytes(f"{place}/in/2.jsonl", lines(named(4, year=4), {"uid": "bad"}))
    out = f"{place}/tags.{ending}"
    options = ["--pass-through", "year", "--unit-bytes", "100"]
    assert tag(bundle, f"{place}/in", out, *options) == 0
    rows = rows_of(out)
    assert [row["uid"] for row in rows] == [f"d{n}" for n in range(5)]
    assert [str(row["year"]) for row in rows] == [str(n) for n in range(5)]
    assert list(rows[0]) == [
        "uid", "label_keys", "labels", "scores", "probabilities", "reason", "year"
    ]  # fmt: skip
    assert "missing field" in rows_of(f"{place}/tags.rejects.{ending}")[0]["reason"]
    assert tag(bundle, f"{place}/in", f"{place}/folder", *options) == 0
    keys = read_tags(f"{place}/folder")["label_keys"].to_pylist()
    found = [row["label_keys"] for row in rows]
    assert found == (["|".join(one) for one in keys] if ending == "csv" else keys)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_long_is_a_row_a_tag(bundle, tmp_path, ending: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(*(document(n, mine=["L9"]) for n in range(3))))
    out = str(tmp_path / f"tags.{ending}")
    options = ["--long", "--top-k", "2", "--keep-field", "mine", "--pass-through", "title"]
    assert tag(bundle, str(tmp_path / "in.jsonl"), out, *options) == 0
    rows = rows_of(out)
    assert list(rows[0]) == ["id", "key", "label", "score", "probability", "title"]
    assert [row["id"] for row in rows] == ["d0", "d0", "d1", "d1", "d2", "d2"]
    assert (rows[0]["key"], rows[0]["score"] or None, float(rows[0]["probability"])) == (
        "L9",
        None,
        1.0,
    )
    assert (rows[1]["score"], rows[1]["title"]) != ("", "")


def test_one_tag_without_a_score_is_a_tag_in_csv_too(bundle, tmp_path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0, mine=["L9"]), document(1)))
    options = ["--top-k", "1", "--keep-field", "mine"]
    more = (str(tmp_path / "in.jsonl"), f"{tmp_path}/tags.csv", *options)
    assert tag(bundle, *more, "--long") == 0
    rows = rows_of(f"{tmp_path}/tags.csv")
    assert [(row["id"], row["score"] == "") for row in rows] == [("d0", True), ("d1", False)]
    assert tag(bundle, more[0], f"{tmp_path}/out", *options, "--output-format", "csv") == 0
    first = read_tags(f"{tmp_path}/out").to_pylist()[0]
    assert (first["label_keys"], first["scores"]) == (["L9"], [None])
    assert first["probabilities"] == [1.0]


def test_a_file_is_left_alone_by_its_own_job_and_by_others(bundle, tmp_path, caplog) -> None:
    source, out = str(tmp_path / "in.jsonl"), tmp_path / "tags.csv"
    Path(source).write_bytes(lines(document(0), document(1)))
    assert tag(bundle, source, str(out)) == 0
    whole = out.read_bytes()
    written = out.stat().st_mtime_ns
    assert tag(bundle, source, str(out)) == 0
    assert out.stat().st_mtime_ns == written
    assert tag(bundle, source, str(out), "--top-k", "2") == 1
    assert f"{out}: holds the tags of another job: top_k was 5, not 2; give --over" in caplog.text
    assert tag(bundle, source, str(out), "--long") == 1
    assert out.read_bytes() == whole
    assert tag(bundle, source, str(out), "--top-k", "2", "--overwrite") == 0
    assert rows_of(str(out))[0]["label_keys"].count("|") == 1
    out.write_text("mine\n")
    assert tag(bundle, source, str(out), "--top-k", "2") == 1
    assert f"{out}: it is there already" in caplog.text
    assert out.read_text() == "mine\n"
    assert tag(bundle, source, str(out), "--overwrite") == 0
    assert out.read_bytes() == whole
    out.unlink()
    assert tag(bundle, source, str(out)) == 0
    assert out.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [
        "in.jsonl",
        "tags.csv",
    ] or {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "tags.csv", ".tags.csv.lmtx"}


def test_a_file_that_was_moved_with_its_folder_is_named_where_it_is(
    bundle, tmp_path, capsys
) -> None:
    source = str(tmp_path / "in.jsonl")
    Path(source).write_bytes(lines(document(0), {"id": "bad"}))
    assert tag(bundle, source, f"{tmp_path}/then/tags.csv") == 0
    (tmp_path / "then").rename(tmp_path / "now")
    assert tag(bundle, source, f"{tmp_path}/now/tags.csv") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["tags"] == f"{tmp_path}/now/tags.csv"
    assert told["rejected"] == f"{tmp_path}/now/tags.rejects.csv"


@pytest.mark.parametrize("before", [None, "mine\n"])
@pytest.mark.parametrize("when", ["put_file", "write_bytes"])
def test_a_killed_command_leaves_what_was_there_and_goes_on(
    bundle, tmp_path, monkeypatch, when: str, before: str | None
) -> None:
    class Killed(BaseException):
        pass

    source, out = str(tmp_path / "in.jsonl"), tmp_path / "tags.jsonl"
    Path(source).write_bytes(lines(document(0), document(1)))
    plain = getattr(storage, when)
    options = [] if before is None else ["--overwrite"]
    if before is not None:
        out.write_text(before)

    def killed(what: object, uri: object) -> None:
        names = (what, uri)
        if str(out) in names or any(str(name).endswith(one_file.RECORD) for name in names):
            raise Killed
        plain(what, uri)

    with monkeypatch.context() as patch:
        patch.setattr(storage, when, killed)
        with pytest.raises(Killed):
            tag(bundle, source, str(out), *options)
    assert (out.read_text() if out.exists() else None) == before
    assert tag(bundle, source, str(out), *options) == 0
    assert [row["id"] for row in rows_of(str(out))] == ["d0", "d1"]


@pytest.mark.parametrize(
    ("output", "more", "message"),
    [
        ("tags.csv", ["--append-new"], "needs a folder"),
        ("tags.csv", ["--output-format", "jsonl"], "says csv"),
        ("tags", ["--long"], "needs one file"),
        ("tags.xlsx", [], ".parquet or .xmc.txt"),
        ("in/tags.csv", [], "lies in the input"),
        ("tags.csv", ["--pass-through", "id"], "two columns would be called 'id'"),
    ],
)
def test_what_does_not_fit_one_file_is_refused(
    bundle, tmp_path, caplog, output: str, more: list[str], message: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(tmp_path / "in"), str(tmp_path / output), *more) == 1
    assert message in caplog.text
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "a.jsonl"}


def test_a_folder_of_tags_opens_with_pandas(bundle, tmp_path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(*(document(n) for n in range(4)), document(1)))
    out = str(tmp_path / "out")
    assert tag(bundle, str(tmp_path / "in.jsonl"), out, "--unit-bytes", "150") == 0
    frame = pandas.read_parquet(published_files(out))
    assert frame["doc_id"].tolist() == ["d0", "d1", "d2", "d3"]
    sweep(out)
    assert len(pandas.read_parquet(f"{out}/data")) == 4


@pytest.mark.parametrize("output", ["out", "tags.csv"])
def test_a_job_that_tagged_nothing_may_be_corrected(bundle, place, caplog, output: str) -> None:
    storage.write_bytes(f"{place}/in.jsonl", lines(document(0), document(1)))
    mistake = ["--text-field", "txt", "--title-field", "ttl"]
    assert tag(bundle, f"{place}/in.jsonl", f"{place}/{output}", *mistake) == 1
    assert "no readable document" in caplog.text
    assert tag(bundle, f"{place}/in.jsonl", f"{place}/{output}") == 0
    if output == "out":
        assert len(read_tags(f"{place}/{output}")) == 2


def test_what_was_tagged_is_dropped_only_when_asked_to(
    bundle, tmp_path, caplog, monkeypatch
) -> None:
    class Killed(BaseException):
        pass

    source, out = str(tmp_path / "in.jsonl"), str(tmp_path / "out")
    Path(source).write_bytes(lines(*(document(n) for n in range(3))))
    plain, calls = Tagger.tagged, []

    def killed(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise Killed
        return plain(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "tagged", killed)
        with pytest.raises(Killed):
            tag(bundle, source, out, "--unit-bytes", "100")
    assert tag(bundle, source, out, "--unit-bytes", "100", "--top-k", "2") == 1
    assert "top_k was 5, not 2; that job is not published yet, but 2 rows" in caplog.text
    with pytest.raises(PublishError):
        read_tags(out)
    assert tag(bundle, source, out, "--unit-bytes", "100", "--top-k", "2", "--overwrite") == 0
    assert {len(keys) for keys in read_tags(out)["label_keys"].to_pylist()} == {2}


def test_a_file_whose_plan_is_gone_is_refused_and_can_be_replaced(bundle, tmp_path, caplog) -> None:
    """As a command that was to replace it leaves them, if it is killed as it begins."""
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    out = str(tmp_path / "tags.csv")
    assert tag(bundle, str(tmp_path / "in.jsonl"), out) == 0
    (tmp_path / ".tags.csv.lmtx/PLAN.json").unlink()
    assert tag(bundle, str(tmp_path / "in.jsonl"), out) == 1
    assert "tags.csv: what it was made of is not known any more; give --overwrite" in caplog.text
    assert tag(bundle, str(tmp_path / "in.jsonl"), out, "--overwrite") == 0
