"""`lmtx compare`: paired differences of tags against gold, and of runs by their judge's opinion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.cli.main import main
from tests.finished import by_topic, finished_run

COUNT = 40


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run that ships "pain" first, which its judge accepts of 30 documents, where the untrained
    hybrid has the next topic."""
    shipped, untrained = by_topic(COUNT, 1, 0, 2), by_topic(COUNT, 2, 1, 0)
    yes = {(doc_id, labels[0]) for doc_id, labels in list(shipped.items())[:30]}
    return finished_run(tmp_path / "one", shipped, untrained, yes)


def compare(capsys, *arguments: str) -> tuple[int, dict, str]:
    code = main(["compare", *arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out or "{}"), err


def test_two_runs_without_gold_go_by_their_judges_own_opinion(tmp_path, capsys, run) -> None:
    shipped = by_topic(COUNT, 1, 0, 2)
    yes = {(doc_id, labels[0]) for doc_id, labels in list(shipped.items())[:30]}
    other = finished_run(tmp_path / "two", shipped, by_topic(COUNT, 2, 1, 0), yes, final="hybrid")
    code, found, text = compare(capsys, other, run)
    assert code == 0
    assert found["by"] == "the opinion of the judge lexical itself, no gold"
    assert (found["documents"], found["a"]) == (COUNT, f"{other} (hybrid)")
    told = found["metrics"]["judged P@1"]
    assert (told["a"], told["b"], told["difference"], told["sure"]) == (0.0, 0.75, 0.75, True)
    assert found["metrics"]["judged P@3"]["difference"] == 0
    example = found["examples"][0]
    assert example["title"].startswith("About the ")
    assert [tag["right"] for tag in example["first"]] == [False, True]
    assert "may be chance" in text
    assert "where they differ most" in text


def test_other_judges_are_no_common_measure(tmp_path, capsys, caplog, run) -> None:
    rankings = by_topic(COUNT, 1, 0, 2)
    other = finished_run(tmp_path / "two", rankings, rankings, set(), teacher="another")
    assert compare(capsys, other, run)[0] == 1
    assert "the runs asked different judges" in caplog.text
    assert "give --gold" in caplog.text


@pytest.mark.parametrize(
    "reading",
    [
        {"pseudo_labels": {"accept_deviations": 1.0}},
        {"judge": {"teacher": {"kind": "lexical", "prompt": "tag", "least_mass": 0.5}}},
    ],
)
def test_one_judge_that_is_read_in_two_ways_is_no_common_measure(
    tmp_path, capsys, caplog, run, reading: dict
) -> None:
    rankings = by_topic(COUNT, 1, 0, 2)
    other = finished_run(tmp_path / "two", rankings, rankings, set())
    record = tmp_path / "two" / "ended" / "one.json"
    ended = json.loads(record.read_text())
    record.write_text(json.dumps({**ended, "config": {**ended["config"], **reading}}))
    assert compare(capsys, other, run)[0] == 1
    assert "the runs read their judge's answers in different ways" in caplog.text
    assert "give --gold" in caplog.text


def test_tags_are_compared_against_gold_with_examples(tmp_path, capsys, caplog, run) -> None:
    rows = [f"d{n},L{2 * (n % 8)},{0.9 - n / 100}" for n in range(COUNT + 2)]
    tags = tmp_path / "tags.csv"
    tags.write_text("\n".join(["id,label_key,probability", *rows]))
    gold = tmp_path / "gold.csv"
    topics = (f"d{n},L{2 * (n % 8) + 1}" for n in range(COUNT))
    gold.write_text("\n".join(["id,label", *topics, "elsewhere,L1"]))
    assert compare(capsys, str(tags), run)[0] == 1
    assert "tags have no judge's opinion: give --gold" in caplog.text
    code, found, text = compare(capsys, str(tags), run, "--gold", str(gold))
    assert (code, found["by"], found["documents"]) == (0, "gold", COUNT)
    told = found["metrics"]["P@1"]
    assert (told["a"], told["b"], told["sure"]) == (0.0, 1.0, True)
    example = found["examples"][0]
    gained = {tag["label"]: tag["right"] for tag in example["gained"]}
    assert sorted(gained.values()) == [False, True]
    assert example["lost"] == []  # "disease" is among the run's labels too
    assert " (right)" in text
    same = compare(capsys, str(tags), str(tags), "--gold", str(gold))[1]
    assert same["metrics"]["F1 from 0.5"]["difference"] == 0
    assert same["examples"] == []


def test_titles_are_read_by_the_documents_encoding(tmp_path, capsys) -> None:
    files = {name: tmp_path / f"{name}.csv" for name in ("a", "b", "gold", "documents")}
    files["a"].write_text("id,label_key\n1,L0\n")
    files["b"].write_text("id,label_key\n1,L1\n")
    files["gold"].write_text("id,label\n1,L1\n")
    files["documents"].write_bytes("id,title,text\n1,Herzschwäche,x\n".encode("cp1252"))
    asked = [str(files["a"]), str(files["b"]), "--gold", str(files["gold"])]
    read = ["--documents", str(files["documents"]), "--encoding", "cp1252"]
    _, found, _ = compare(capsys, *asked, *read)
    assert found["examples"][0]["title"] == "Herzschwäche"


def test_nothing_in_common_fails(tmp_path, capsys, caplog, run) -> None:
    (tmp_path / "tags.csv").write_text("id,label_key\nx,L0\n")
    (tmp_path / "gold.csv").write_text("id,label\nx,L0\n")
    code, *_ = compare(
        capsys, str(tmp_path / "tags.csv"), run, "--gold", str(tmp_path / "gold.csv")
    )
    assert code == 1
    assert "no document is on both sides and in the gold" in caplog.text


def test_without_gold_a_run_has_its_judges_opinion_and_tags_have_none(
    tmp_path, capsys, caplog, run
) -> None:
    assert main(["evaluate", "--tags", run]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["P@1"], found["documents"], found["judge"]) == (0.75, COUNT, "lexical")
    assert "by its judge's own opinion (no gold; lexical, 40 held-aside documents)" in err
    (tmp_path / "tags.csv").write_text("id,label_key\nx,L0\n")
    assert main(["evaluate", "--tags", str(tmp_path / "tags.csv")]) == 1
    assert "tags need --gold, or people: see lmtx sample-for-review" in caplog.text
    assert main(["evaluate", "--tags", "runs/absent"]) == 1
    assert "runs/absent: no such file or folder" in caplog.text


def test_what_a_run_ships_is_evaluated_as_tags_are(tmp_path, capsys, run) -> None:
    lines = ["id,label", *(f"d{n},{2 * (n % 8) + 1}" for n in range(COUNT))]
    (tmp_path / "gold.csv").write_text(
        "\n".join(lines).replace(",", ",L").replace("Llabel", "label")
    )
    code = main(["evaluate", "--tags", run, "--gold", str(tmp_path / "gold.csv")])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["P@1"], found["matched"]) == (0, 1.0, COUNT)


def test_self_matches_count_rows_of_a_runs_label_set(tmp_path, capsys, run) -> None:
    """Tags know no rows of labels, the run does: L1 is its row 1."""
    (tmp_path / "tags.csv").write_text("id,label_key\n" + "".join(f"d{n},L0\n" for n in (0, 1)))
    (tmp_path / "gold.csv").write_text("id,label\nd0,L0\nd0,L1\nd1,L3\n")
    (tmp_path / "rows.jsonl").write_text('{"uid": "d0"}\n{"uid": "d1"}\n')
    (tmp_path / "never.txt").write_text("0 1\n")
    rows = ["--rows-of", str(tmp_path / "rows.jsonl")]
    options = ["--gold", str(tmp_path / "gold.csv"), *rows]
    place = str(tmp_path / "tags.csv")
    plain = compare(capsys, place, run, *options)[1]
    never = ["--self-matches", str(tmp_path / "never.txt")]
    found = compare(capsys, place, run, *options, *never)[1]
    assert (plain["metrics"]["P@1"]["a"], plain["metrics"]["P@1"]["b"]) == (0.5, 1.0)
    assert found["filtered"] == {"pairs": 1, "a": 0, "b": 1, "gold": 1}
    assert (found["metrics"]["R@10"]["a"], found["metrics"]["R@10"]["b"]) == (0.5, 1.0)
    assert found["metrics"]["P@1"]["b"] == 1.0


def test_indices_count_the_rows_that_a_run_left_out(tmp_path, capsys) -> None:
    """Row 1 of the labels' file is no label, so row 3 of it is label 2."""
    shipped, other = {"d0": [2, 0, 4]}, {"d0": [0, 2, 4]}
    run = finished_run(tmp_path / "one", shipped, other, set(), left_out=[1])
    (tmp_path / "gold.jsonl").write_text('{"doc_id": "d0", "label_ids": [3]}\n')
    (tmp_path / "never.txt").write_text("0 3\n")
    (tmp_path / "tags.csv").write_text("id,label_key\nd0,L0\n")
    gold = ["--gold", str(tmp_path / "gold.jsonl")]

    def found(*arguments: str) -> dict:
        assert main([*arguments, *gold]) == 0
        return json.loads(capsys.readouterr().out)

    assert found("evaluate", "--tags", run)["P@1"] == 1
    tags = str(tmp_path / "tags.csv")
    assert found("evaluate", "--tags", tags, "--run", run)["P@1"] == 0
    both = found("compare", run, tags)["metrics"]["P@1"]
    assert (both["a"], both["b"]) == (1, 0)
    (tmp_path / "keys.csv").write_text("id,label\nd0,L0\n")
    gold = ["--gold", str(tmp_path / "keys.csv"), "--self-matches", str(tmp_path / "never.txt")]
    without = found("evaluate", "--tags", run)
    assert (without["P@1"], without["filtered"]) == (1, {"pairs": 1, "answers": 1, "gold": 0})


@pytest.mark.parametrize(
    ("second", "gold", "message"),
    [
        ('"label_keys": ["L0"]', '"label_ids": [0]', "have label_keys, gold have label_ids"),
        ('"label_ids": [0]', '"label": "L0"', "has label_ids, other answers have label_keys"),
    ],
)
def test_keys_and_ids_are_compared_through_the_labels_alone(
    tmp_path, capsys, caplog, second: str, gold: str, message: str
) -> None:
    """Without them the first label that a side names would be label 0."""
    sides = {"a": '"label_keys": ["L1"]', "b": second, "gold": gold}
    for name, said in sides.items():
        (tmp_path / f"{name}.jsonl").write_text(f'{{"doc_id": "d", {said}}}\n')
    a, b, truth = (str(tmp_path / f"{name}.jsonl") for name in sides)
    assert compare(capsys, a, b, "--gold", truth)[0] == 1
    assert f"{message}: give the labels" in caplog.text
    (tmp_path / "labels.csv").write_text("key,text\nL0,a\nL1,b\n")
    labels = ["--labels", str(tmp_path / "labels.csv")]
    found = compare(capsys, a, b, "--gold", truth, *labels)[1]["metrics"]["P@1"]
    assert (found["a"], found["b"]) == (0, 1)
