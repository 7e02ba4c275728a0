"""What changes under a job's hands: files that it reads, and its plan."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.batch.unit import UnitWork
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.io import storage
from lmtx_ray.io.units import Unit
from lmtx_ray.loop import tagging
from tests.batch.tagging import document, ids, lines, tag


@pytest.mark.parametrize("is_old", [False, True])
def test_a_file_edited_while_it_is_tagged_is_not_published(
    bundle, tmp_path, caplog, monkeypatch, is_old: bool
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0)))
    plain = Tagger.tagged

    def edit(*args: object, **kwargs: object) -> object:
        (tmp_path / "in.jsonl").write_bytes(lines(document(1)))  # of the same size
        if is_old:  # as where a file of last week is put in its place
            os.utime(tmp_path / "in.jsonl", (1e9, 1e9))
        return plain(*args, **kwargs)

    monkeypatch.setattr(Tagger, "tagged", edit)
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 1
    assert "in.jsonl: it was changed since the job began" in caplog.text
    assert not (tmp_path / "out/MANIFEST.json").exists()


def test_what_was_read_of_a_changed_file_is_read_anew(bundle, tmp_path, monkeypatch) -> None:
    source, out = tmp_path / "in.jsonl", str(tmp_path / "out")
    source.write_bytes(lines(document(0)))
    plain = Tagger.load

    def edit(*args: object) -> object:
        source.write_bytes(lines(document(1)))
        return plain(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "load", edit)
        assert tag(bundle, str(source), out) == 1
    source.write_bytes(lines(document(0)))  # as it was planned
    assert tag(bundle, str(source), out) == 0
    assert ids(out) == ["d0"]


def test_what_was_tagged_of_a_file_that_is_gone_stays(bundle, tmp_path, monkeypatch) -> None:
    source, out = tmp_path / "in", str(tmp_path / "out")
    source.mkdir()
    for number in range(2):
        (source / f"{number}.jsonl").write_bytes(lines(document(number)))
    plain = Tagger.tagged

    def remove(*args: object, **kwargs: object) -> object:
        (source / "0.jsonl").unlink(missing_ok=True)
        return plain(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "tagged", remove)
        assert tag(bundle, str(source), out) == 1
    assert tag(bundle, str(source), out, "--append-new") == 0
    assert ids(out) == ["d0", "d1"]


def test_a_job_whose_plan_another_has_replaced_publishes_nothing(
    bundle, tmp_path, monkeypatch
) -> None:
    """Between its plan and its claim to the output, as nothing was tagged by then."""
    source, out = tmp_path / "in.jsonl", str(tmp_path / "out")
    source.write_bytes(lines(document(0)))
    plain = tagging.claimed

    class Killed(Exception):
        pass

    def start() -> None:
        raise Killed

    def late(output: str, conditional: bool) -> object:
        monkeypatch.setattr(tagging, "claimed", plain)
        documents = DocumentsConfig(documents=(str(source),))
        other = TagJob(bundle=bundle, source=documents, output=out, top_k=2)
        with pytest.raises(Killed):
            tagging.tag_corpus(other, local=False, start=start)
        return plain(output, conditional)

    monkeypatch.setattr(tagging, "claimed", late)
    assert tag(bundle, str(source), out) == 3
    assert tag(bundle, str(source), out, "--top-k", "2") == 0
    assert [len(keys) for keys in read_tags(out)["label_keys"].to_pylist()] == [2]


@pytest.mark.parametrize("is_tagged", [False, True])
@pytest.mark.parametrize("is_gone", [False, True])
def test_an_unfinished_addition_whose_file_is_another_is_no_end_of_additions(
    bundle, tmp_path, monkeypatch, caplog, is_gone: bool, is_tagged: bool
) -> None:
    source, out = f"{tmp_path}/in", f"{tmp_path}/out"
    more = ("--append-new", "--unit-bytes", "1")
    storage.write_bytes(f"{source}/1.jsonl", lines(document(0)))
    assert tag(bundle, source, out, *more) == 0
    for number in (1, 2):
        storage.write_bytes(f"{source}/{number + 1}.jsonl", lines(document(number)))
    plain = tagging.tag_here

    def killed(units: Sequence[Unit], work: UnitWork) -> int:
        plain(units[:1] if is_tagged else [], work)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(tagging, "tag_here", killed)
        assert tag(bundle, source, out, *more) == 1
    if is_gone:
        storage.remove_file(f"{source}/3.jsonl")
    else:
        storage.write_bytes(f"{source}/3.jsonl", lines(document(3)))
    if is_tagged:
        assert tag(bundle, source, out, *more) == 1
        assert f"input {source}/3.jsonl {'is gone' if is_gone else 'changed'}" in caplog.text
        assert "1 rows are tagged" in caplog.text
    assert tag(bundle, source, out, *more, *(["--overwrite"] if is_tagged else [])) == 0
    assert ids(out) == ["d0", "d1", *([] if is_gone else ["d3"])]
    assert tag(bundle, source, out, *more) == 0


def test_nothing_published_is_dropped_for_an_unfinished_addition(
    bundle, tmp_path, monkeypatch, caplog
) -> None:
    source, out = tmp_path / "in", str(tmp_path / "out")
    source.mkdir()
    (source / "1.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(source), out) == 0
    (source / "2.jsonl").write_bytes(lines(document(1)))

    def killed(units: Sequence[Unit], work: UnitWork) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(tagging, "tag_here", killed)
        assert tag(bundle, str(source), out, "--append-new") == 1
    assert tag(bundle, str(source), out, "--append-new", "--overwrite", "--top-k", "2") == 1
    assert "top_k was 5, not 2; use another folder" in caplog.text
    (source / "1.jsonl").write_bytes(lines(document(7)))
    assert tag(bundle, str(source), out, "--append-new", "--overwrite") == 1
    assert "1.jsonl changed since" in caplog.text
    (source / "1.jsonl").write_bytes(lines(document(0)))
    assert tag(bundle, str(source), out, "--append-new") == 0
    assert ids(out) == ["d0", "d1"]


def test_inputs_in_another_order_are_another_job(bundle, tmp_path, caplog) -> None:
    """As of two rows of one id the first stays."""
    first, second = (str(tmp_path / f"{name}.jsonl") for name in "ab")
    storage.write_bytes(first, lines(document(0)))
    storage.write_bytes(second, lines({**document(1), "id": "d0"}))
    out = str(tmp_path / "out")
    assert tag(bundle, first, out, "--input", second) == 0
    assert tag(bundle, second, out, "--input", first) == 1
    assert "a.jsonl comes in another order" in caplog.text
    third = str(tmp_path / "c.jsonl")
    storage.write_bytes(third, lines(document(2)))
    assert tag(bundle, third, out, "--input", first, "--input", second, "--append-new") == 0
    assert ids(out) == ["d0", "d2"]


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        *(("in", "in/tagged"), ("linked", "in/tagged"), ("in/*.csv", "in/tags.csv"), ("in", "in")),
        *(("**/*.[cp]*", "in/tagged"), ("in*/**", "in/tagged"), ("**/*.csv", "tags.csv")),
    ],
)
def test_an_output_that_the_next_command_would_read_is_refused(
    bundle, tmp_path, caplog, inputs: str, output: str
) -> None:
    storage.write_bytes(f"{tmp_path}/in/a.csv", b"id,text\nd0,heart pain\n")
    (tmp_path / "linked").symlink_to("in")
    for more in ([], ["--append-new"] if output == "in/tagged" else [], ["--dry-run"]):
        assert tag(bundle, f"{tmp_path}/{inputs}", f"{tmp_path}/{output}", *more) == 1
        assert f"it lies in the input {tmp_path}/{inputs}" in caplog.text
        caplog.clear()
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.csv"]
    assert tag(bundle, f"{tmp_path}/in", f"{tmp_path}/in/_tagged") == 0  # is no data
    assert tag(bundle, f"{tmp_path}/in", f"{tmp_path}/in/_tagged") == 0
    assert tag(bundle, f"{tmp_path}/in/*", f"{tmp_path}/in/beside") == 0  # it lists no folder
    assert tag(bundle, f"{tmp_path}/in/**/*.csv", f"{tmp_path}/in/_beside") == 0
