"""`lmtx evaluate` on the extreme classification repository's files. The values are pyxclib's own,
with `remove_invalid`: documents whose gold is taken away count nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.cli.main import main
from lmtx_ray.corpus.gold import GoldSource
from lmtx_ray.loop.evaluating import count_labels, evaluate

FILES = {
    "scores.xmc.txt": """6 8
0:0.9 2:0.8 3:0.25 5:0.125 7:0.1
1:0.5 2:0.75 4:0.6
0:0.2 3:0.9 5:0.8 6:0.7 7:0.3

2:0.95 4:0.9 5:0.4 6:0.3 7:0.2
1:0.9 3:0.8 6:0.7
""",
    "tst_X_Y.txt": """6 8
0:1 3:1 5:1
2:1
0:1 1:1 6:1 7:1
4:1 5:1
2:1 4:1
0:1 1:1 2:1 3:1 4:1 5:1 6:1
""",
    "trn_X_Y.txt": """10 8
0:1 1:1
0:1 2:1
0:1 3:1
0:1 1:1 4:1
0:1 2:1
1:1 5:1
0:1 6:1
2:1 3:1
0:1

""",
    "filter_labels_test.txt": "0 0\n1 2\n2 3\n4 4\n",
}
PLAIN = {
    "P": {1: 0.666667, 3: 0.5, 5: 0.4},
    "nDCG": {1: 0.666667, 3: 0.656426, 5: 0.690515},
    "R": {1: 0.329365, 3: 0.55754, 5: 0.696429},
}
FILTERED = {
    "P": {1: 0.4, 3: 0.533333, 5: 0.36},
    "nDCG": {1: 0.4, 3: 0.64483, 5: 0.605155},
    "R": {1: 0.228571, 3: 0.585714, 5: 0.635714},
}
PROPENSITY = {  # (A, B) -> PSP, as it is and without self-matches
    (0.55, 1.5): [{1: 0.539896, 3: 0.604327, 5: 0.693688}, {1: 0.335665, 3: 0.712719, 5: 0.634337}],
    (0.6, 2.6): [{1: 0.559768, 3: 0.611924, 5: 0.694531}, {1: 0.347985, 3: 0.71456, 5: 0.634525}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def lmtx(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    arguments = ["--tags", str(folder / "scores.xmc.txt"), "--gold", str(folder / "tst_X_Y.txt")]
    assert main(["evaluate", *arguments, *more]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("propensity", PROPENSITY)
def test_metrics_are_those_of_pyxclib(
    folder: Path, filtered: bool, propensity: tuple[float, float]
) -> None:
    tags, gold = str(folder / "scores.xmc.txt"), GoldSource((str(folder / "tst_X_Y.txt"),))
    counts = count_labels(GoldSource((str(folder / "trn_X_Y.txt"),)), read_tag_file(tags))
    never = str(folder / "filter_labels_test.txt") if filtered else None
    ks = {name: [1, 3, 5] for name in PLAIN}
    found = evaluate(tags, gold, ks=ks, propensity=propensity, self_matches=never, **counts)
    expected = (FILTERED if filtered else PLAIN) | {"PSP": PROPENSITY[propensity][filtered]}
    for name, values in expected.items():
        for k, value in values.items():
            assert found[f"{name}@{k}"] == pytest.approx(value, abs=2e-6), (name, k)
    assert found["documents"] == (5 if filtered else 6)


def test_the_command_reads_them_and_says_what_it_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--counts-from", str(folder / "trn_X_Y.txt"), "--propensity", "0.6,2.6"]
    plain = lmtx(folder, capsys, *options)
    assert (plain["P@1"], plain["PSP@3"]) == (0.666667, 0.611924)
    never = str(folder / "filter_labels_test.txt")
    found = lmtx(folder, capsys, *options, "--self-matches", never)
    assert (found["P@3"], found["PSP@3"]) == (0.533333, 0.71456)
    assert found["filtered"] == {"pairs": 4, "answers": 4, "gold": 3}


def test_rows_are_matched_to_documents_by_their_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gold beside the texts, as tst.json has it; tags as a matrix; or the other way round."""
    gold = [[0, 3, 5], [2], [0, 1, 6, 7], [4, 5], [2, 4], [0, 1, 2, 3, 4, 5, 6]]
    rows = [{"uid": f"u{n}", "target_ind": labels} for n, labels in enumerate(gold)]
    (folder / "tst.json").write_text("\n".join(map(json.dumps, rows)) + "\n")
    never = ["--self-matches", str(folder / "filter_labels_test.txt")]
    arguments = ["evaluate", "--tags", str(folder / "scores.xmc.txt"), *never]
    assert main([*arguments, "--gold", str(folder / "tst.json")]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (first["P@1"], first["filtered"]["answers"]) == (0.4, 4)
    tags = [
        {"doc_id": "u1", "label_ids": [2, 4, 1]},
        {"doc_id": "u0", "label_ids": [0, 2, 3, 5, 7]},
    ]
    (folder / "tags.jsonl").write_text("\n".join(map(json.dumps, tags)) + "\n")
    arguments = ["evaluate", "--tags", str(folder / "tags.jsonl"), *never, "--matched-only"]
    arguments += ["--gold", str(folder / "tst_X_Y.txt"), "--rows-of", str(folder / "tst.json")]
    assert main(arguments) == 0
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert second["filtered"] == {"pairs": 4, "answers": 2, "gold": 3}
    assert second["documents"] == 1
    assert second["P@3"] == pytest.approx(2 / 3, abs=1e-6)


def test_rows_that_are_no_document_count_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second row is broken and the third repeats an id: such rows are rejected everywhere."""
    (tmp_path / "docs.jsonl").write_text('{"uid": "a"}\n{"uid"\n{"uid": "a"}\n{"uid": "b"}\n')
    (tmp_path / "scores.xmc.txt").write_text("4 5\n1:0.9\n\n\n2:0.5\n")
    (tmp_path / "gold.txt").write_text("4 5\n1:1\n3:1\n4:1\n2:1\n")
    places = [str(tmp_path / name) for name in ("scores.xmc.txt", "gold.txt", "docs.jsonl")]
    options = zip(("--tags", "--gold", "--rows-of"), places, strict=True)
    assert main(["evaluate", *(part for pair in options for part in pair)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["documents"], found["P@1"], found["R@10"]) == (2, 1, 1)
    assert (found["gold"]["rejected"], found["only_gold"]["documents"]) == (2, 0)


def test_pairs_need_the_label_set_where_tags_have_keys(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "tags.jsonl").write_text('{"doc_id": "0", "label_keys": ["a"]}\n')
    (folder / "gold.csv").write_text("doc_id,labels\n0,a\n")
    options = ["--self-matches", str(folder / "filter_labels_test.txt")]
    arguments = ["--tags", str(folder / "tags.jsonl"), "--gold", str(folder / "gold.csv")]
    assert main(["evaluate", *arguments, *options]) != 0
    assert "counts rows of the label set: give the labels" in caplog.text


def compared(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[dict, str]:
    places = [str(folder / name) for name in ("scores.xmc.txt", "others.xmc.txt")]
    assert main(["compare", *places, *more]) == 0
    shown = capsys.readouterr()
    return json.loads(shown.out.splitlines()[-1]), shown.err


def test_two_matrices_are_compared_without_the_pairs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others have the right label first, but where that is the document itself."""
    firsts = ["0:1 3:0.5", "2:1 4:0.1", "0:1", "4:1 5:0.5", "4:1 2:0.4", "0:1"]
    (folder / "others.xmc.txt").write_text("\n".join(["6 8", *firsts]) + "\n")
    gold = ["--gold", str(folder / "tst_X_Y.txt")]
    never = ["--self-matches", str(folder / "filter_labels_test.txt")]
    plain, _ = compared(folder, capsys, *gold)
    assert plain["metrics"]["P@1"]["b"] == 1.0
    assert "filtered" not in plain
    found, said = compared(folder, capsys, *gold, *never)
    assert (found["documents"], found["metrics"]["P@1"]["a"]) == (5, FILTERED["P"][1])
    assert found["metrics"]["P@1"]["b"] == 1.0
    assert found["filtered"] == {"pairs": 4, "a": 4, "b": 3, "gold": 3}
    assert "4 self-matches left out" in said


def test_a_judge_has_no_rows_to_leave_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    place, never = str(folder / "scores.xmc.txt"), str(folder / "filter_labels_test.txt")
    assert main(["compare", place, place, "--self-matches", never]) == 1
    assert "self-matches count rows of gold" in caplog.text
