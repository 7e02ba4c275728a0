"""`lmtx tag` as a user runs it: inputs and outputs of every kind, duplicates, kept tags, appending.
The same on a local disk and on S3 where places matter."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.outputs import published_files, read_rejects, read_tags, sweep
from lmtx_ray.cli.main import main
from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.loop import tagging
from tests.batch.tagging import document, ids, lines, tag
from tests.tiny_bundle import LABELS


def test_a_folder_of_all_formats_is_tagged_with_its_partitions(bundle, place) -> None:
    rows = [document(n) for n in range(6)]
    csv = "id,title,text\n" + "".join(f'{r["id"]},{r["title"]},"{r["text"]}"\n' for r in rows[2:4])
    storage.write_bytes(f"{place}/in/dt=1/a.jsonl", lines(*rows[:2]))
    storage.write_bytes(f"{place}/in/dt=1/b.csv.gz", gzip.compress(csv.encode()))
    storage.write_table(f"{place}/in/dt=2/c.parquet", pa.Table.from_pylist(rows[4:]))
    storage.write_bytes(f"{place}/in/dt=2/note.txt", b"heart disease\nand care")
    storage.write_bytes(f"{place}/in/dt=2/_SUCCESS", b"")
    assert tag(bundle, f"{place}/in", f"{place}/out") == 0
    assert ids(f"{place}/out") == [*(f"d{n}" for n in range(6)), "dt=2/note.txt"]
    folders = [uri.rsplit("/", 2)[1] for uri in published_files(f"{place}/out")]
    assert folders == ["dt=1", "dt=2"]
    table = read_tags(f"{place}/out")
    assert set(table["labels"].combine_chunks().flatten().to_pylist()) <= set(LABELS)
    assert tag(bundle, f"{place}/in", f"{place}/out") == 0  # complete: nothing to do
    assert read_tags(f"{place}/out") == table


def test_what_a_person_set_stays_and_comes_first(bundle, tmp_path) -> None:
    rows = [
        document(0, mine=["L9", "L3"]),
        document(1, mine="L1|own\\|key"),
        document(2),
        {"id": "e", "text": "", "mine": ["L0"]},
        document(4, mine={"L1": 5}),
        document(5, mine=7),
    ]
    (tmp_path / "in.jsonl").write_bytes(lines(*rows))
    out = str(tmp_path / "out")
    options = ["--keep-field", "mine", "--top-k", "1", "--min-probability", "1"]
    assert tag(bundle, str(tmp_path / "in.jsonl"), out, *options) == 0
    first, second, third, empty, number = read_tags(out).to_pylist()
    assert (first["label_keys"], first["labels"]) == (["L9", "L3"], [LABELS[9], LABELS[3]])
    assert (first["probabilities"], first["scores"]) == ([1.0, 1.0], [None, None])
    assert second["label_keys"] == ["L1", "own|key"]
    assert second["reason"] == "kept key 'own|key' is not in the label set"
    assert third["reason"].startswith("no tag has a probability of 1 or more: the best has 0.")
    assert (empty["label_keys"], empty["reason"]) == (["L0"], "empty")
    assert number["label_keys"] == ["7"]
    assert "'mine' needs label keys" in read_rejects(out)["reason"][0].as_py()


@pytest.mark.parametrize("blank", ["|", " ", [""], [None], float("nan"), []])
def test_a_row_without_text_whose_kept_keys_are_blank_is_a_reject(
    bundle, tmp_path, blank: object
) -> None:
    rows = [{"id": "a", "text": "", "mine": blank, "note": "of a"}]
    rows += [{"id": one, "text": "heart", "mine": "", "note": f"of {one}"} for one in "bc"]
    (tmp_path / "in.jsonl").write_bytes(lines(*rows))
    out = str(tmp_path / "out")
    more = ("--keep-field", "mine", "--pass-through", "note", "--output-format", "csv")
    assert tag(bundle, str(tmp_path / "in.jsonl"), out, *more) == 0
    tags = read_tags(out)
    notes = dict(zip(tags["doc_id"].to_pylist(), tags["note"].to_pylist(), strict=True))
    assert notes == {"b": "of b", "c": "of c"}
    assert read_rejects(out).select(["position", "reason"]).to_pylist() == [
        {"position": 1, "reason": "empty text"}
    ]


def test_a_row_whose_text_is_null_or_missing_stays_with_its_kept_keys(bundle, tmp_path) -> None:
    rows = [
        document(0),
        {"id": "null", "text": None, "mine": "L1"},
        {"id": "missing", "mine": ["L2"]},
        {"id": "blank", "name": " ", "title": None, "text": "", "mine": ["L3"]},
        {"id": "number", "text": 5, "mine": ["L4"]},
    ]
    (tmp_path / "in.jsonl").write_bytes(lines(*rows))
    out = str(tmp_path / "out")
    assert tag(bundle, str(tmp_path / "in.jsonl"), out, "--keep-field", "mine") == 0
    kept = {row["doc_id"]: row["label_keys"] for row in read_tags(out).to_pylist()[1:]}
    assert kept == {"null": ["L1"], "missing": ["L2"], "blank": ["L3"]}
    assert read_rejects(out)["reason"].to_pylist() == ["field 'text' is int, not text"]


def test_parquet_columns_pass_through_with_their_types(bundle, tmp_path) -> None:
    rows = pa.Table.from_pylist([document(n) for n in range(3)])
    rows = rows.append_column("year", pa.array([1, None, 3], pa.int16()))
    rows = rows.append_column("day", pa.array([5, 6, 7], pa.date32()))
    pq.write_table(rows, tmp_path / "in.parquet")
    out = str(tmp_path / "out")
    assert tag(bundle, str(tmp_path / "in.parquet"), out, "--pass-through", "day,year") == 0
    table = read_tags(out)
    assert table.select(["year", "day"]) == rows.select(["year", "day"])


def test_ids_with_one_hash_are_told_apart_by_what_they_are(bundle, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("lmtx_ray.batch.unit.key_hash", lambda value: 7)
    for name, numbers in (("1", (0, 1)), ("2", (2, 1)), ("3", (3,))):
        rows = lines(*(document(number) for number in numbers))
        storage.write_bytes(f"{tmp_path}/in/{name}.jsonl", rows)
    assert tag(bundle, f"{tmp_path}/in", f"{tmp_path}/out") == 0
    assert sorted(ids(f"{tmp_path}/out")) == ["d0", "d1", "d2", "d3"]
    assert read_rejects(f"{tmp_path}/out")["source"].to_pylist() == [f"{tmp_path}/in/2.jsonl"]


def test_only_new_files_are_appended(bundle, place, caplog) -> None:
    source, out = f"{place}/in", f"{place}/out"
    storage.write_bytes(f"{source}/1.jsonl", lines(document(0), document(1)))
    assert tag(bundle, source, out) == 0
    before = published_files(out)
    storage.write_bytes(f"{source}/2.jsonl", lines(document(1), document(2)))
    assert tag(bundle, source, out) == 1
    assert "2.jsonl is new" in caplog.text
    assert tag(bundle, source, out, "--append-new") == 0
    assert ids(out) == ["d0", "d1", "d2"]
    assert published_files(out)[: len(before)] == before
    assert "duplicate id 'd1', first in" in read_rejects(out)["reason"][0].as_py()
    assert tag(bundle, source, out, "--append-new") == 0  # nothing new
    assert len(published_files(out)) == len(before) + 1
    storage.write_bytes(f"{source}/1.jsonl", lines(document(0), document(7)))
    assert tag(bundle, source, out, "--append-new") == 1
    assert "1.jsonl changed since" in caplog.text


def test_a_small_rest_and_a_big_addition_run_each_where_they_fit(
    bundle, tmp_path, monkeypatch
) -> None:
    class Started(Exception):
        pass

    def start() -> None:
        raise Started

    monkeypatch.setattr(tagging, "LOCAL_BYTES", 1000)
    source = tmp_path / "in"
    source.mkdir()
    (source / "1.jsonl").write_bytes(lines(document(0)))
    job = TagJob(
        bundle=bundle,
        source=DocumentsConfig(documents=(str(source),)),
        output=str(tmp_path / "out"),
    )
    with pytest.raises(Started):  # killed with a plan and no unit done
        tagging.tag_corpus(job, local=False, start=start)
    (source / "2.jsonl").write_bytes(lines(*(document(n) for n in range(1, 30))))
    with pytest.raises(Started):
        tagging.tag_corpus(job, append_new=True, start=start)
    assert ids(job.output) == ["d0"]  # the rest needed no cluster, the addition asked for one


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--top-k", "2"], "top_k was 5, not 2"),
        (["--text-field", "title"], "source.columns.text was None, not 'title'"),
    ],
)
def test_a_changed_job_is_refused_with_what_changed(
    bundle, tmp_path, caplog, more: list[str], message: str
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 0
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out"), *more) == 1
    assert message in caplog.text


def test_another_bundle_is_refused(bundle, tmp_path, caplog) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 0
    storage.download_folder(bundle, tmp_path / "b")
    manifest = storage.read_json(f"{tmp_path}/b/MANIFEST.json")
    storage.write_bytes(
        f"{tmp_path}/b/MANIFEST.json", storage.to_json({**manifest, "fingerprint": "other"})
    )
    assert tag(f"{tmp_path}/b", str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 1
    assert "the bundle was" in caplog.text


def test_globs_and_manifests_name_inputs(bundle, place) -> None:
    for number in range(3):
        storage.write_bytes(f"{place}/in/{number}.jsonl", lines(document(number)))
    storage.write_bytes(f"{place}/in/3.csv", b"id,text\nd3,heart\n")
    assert tag(bundle, f"{place}/in/*.jsonl", f"{place}/globbed") == 0
    assert ids(f"{place}/globbed") == ["d0", "d1", "d2"]
    assert tag(bundle, f"{place}/**/*.jsonl", f"{place}/deep") == 0
    assert tag(bundle, f"{place}/in/**/*.jsonl", f"{place}/deep") == 0  # ** may be no folder
    names = [f"{place}/in/2.jsonl", f"{place}/in/3.csv"]
    storage.write_bytes(f"{place}/a.manifest.json", json.dumps(names).encode())
    storage.write_bytes(f"{place}/b.manifest", "\n".join(names).encode())
    for number, name in enumerate(("a.manifest.json", "b.manifest")):
        assert tag(bundle, f"{place}/{name}", f"{place}/out-{number}") == 0
        assert ids(f"{place}/out-{number}") == ["d2", "d3"]


def test_a_published_step_is_an_input_and_a_batch_output_is_none(bundle, tmp_path, caplog) -> None:
    step, out = Dataset(str(tmp_path / "step"), "s"), str(tmp_path / "out")
    step.publish_table(pa.Table.from_pylist([document(n) for n in range(4)]), rows=3)
    storage.write_bytes(f"{step.uri}/data/00000-dead.parquet", b"killed")
    assert tag(bundle, step.uri, out) == 0
    assert ids(out) == ["d0", "d1", "d2", "d3"]
    assert tag(bundle, out, str(tmp_path / "again")) == 1
    assert "the output of a batch job" in caplog.text


def test_a_dry_run_counts_and_writes_nothing(bundle, tmp_path, capsys) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(*(document(n) for n in range(40))))
    options = ["--dry-run", "--unit-bytes", "1000"]
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out"), *options) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["files"], plan["bytes"]) == (1, (tmp_path / "in.jsonl").stat().st_size)
    assert plan["units"] == -(-plan["bytes"] // 1000)
    assert 0 < plan["first_rows"]["good"] <= plan["rows_about"]
    assert (plan["first_rows"]["rejected"], plan["first_rows"]["said"]) == (0, "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--pass-through", "--text-field", "--allow-column"])
def test_a_dry_run_tells_a_column_that_is_not_there(bundle, tmp_path, capsys, option) -> None:
    (tmp_path / "in.csv").write_text("id,text,note\na,heart,x\n")
    where = str(tmp_path / "in.csv"), str(tmp_path / "out")
    assert tag(bundle, *where, "--dry-run", option, "nope") == 0
    first = json.loads(capsys.readouterr().out)["first_rows"]
    assert (first["good"], first["rejected"]) == (0, 1)
    assert first["said"].startswith("of the first 1 rows 1 cannot be tagged: ")
    assert first["said"].endswith("in.csv: no column 'nope'; did you mean note?")
    assert not (tmp_path / "out").exists()


def test_a_sweep_deletes_what_no_manifest_names_and_only_then(bundle, place, caplog) -> None:
    storage.write_bytes(f"{place}/in.jsonl", lines(document(0)))
    storage.write_bytes(f"{place}/out/data/000-00000-dead.parquet", b"killed")
    with pytest.raises(PublishError, match="not published yet"):
        sweep(f"{place}/out")
    assert tag(bundle, f"{place}/in.jsonl", f"{place}/out") == 0
    assert main(["sweep", f"{place}/absent"]) == 1  # whose mistake is no unfinished run
    assert "absent: no such folder" in caplog.text
    assert main(["sweep", f"{place}/out"]) == 0
    assert ids(f"{place}/out") == ["d0"]
    left = storage.list_files(f"{place}/out/data")
    assert left == published_files(f"{place}/out")


@pytest.mark.parametrize("given", ["out", "./out", "out/", "file://{here}/out", "{here}//./out"])
def test_a_sweep_keeps_the_tags_however_their_folder_is_written(
    bundle, tmp_path, monkeypatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    storage.write_bytes("in.jsonl", lines(document(0)))
    assert tag(bundle, "in.jsonl", "./out") == 0
    for name in ("000-00000-dead.parquet", ".draft-dead"):
        storage.write_bytes(f"out/data/{name}", b"killed")
    assert len(sweep(given.format(here=tmp_path))) == 2
    assert ids("out") == ["d0"]
    assert len(list((tmp_path / "out/data").iterdir())) == 1


def test_a_sweep_removes_nothing_where_no_published_file_is_there(bundle, tmp_path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 0
    for kind in ("data", "ids"):  # as where they were moved by hand
        (tmp_path / f"out/{kind}").rename(tmp_path / f"out/old-{kind}")
    (tmp_path / "out/data").mkdir()
    (tmp_path / "out/data/other.parquet").write_bytes(b"?")
    with pytest.raises(PublishError, match="nothing was removed"):
        sweep(str(tmp_path / "out"))
    assert (tmp_path / "out/data/other.parquet").exists()


def test_a_sweep_removes_nothing_behind_a_link(bundle, tmp_path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 0
    storage.write_bytes(f"{tmp_path}/own/precious.parquet", b"?")
    (tmp_path / "out/data/more").symlink_to("../../own")
    assert sweep(str(tmp_path / "out")) == []
    assert (tmp_path / "own/precious.parquet").exists()


def test_an_output_that_holds_something_else_is_refused(bundle, tmp_path, caplog) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(tmp_path / "in.jsonl"), bundle) == 1
    assert "holds something else than tags" in caplog.text
