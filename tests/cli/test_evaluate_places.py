"""From tags and gold on a disk and on S3 to a reviewed sample there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.io import storage
from lmtx_ray.io.latest import write_about
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle


def put(place: str, name: str, text: str) -> str:
    uri = storage.join(place, name)
    data = text.encode()
    storage.write_bytes(uri, gzip.compress(data) if name.endswith(".gz") else data)
    return uri


def test_tags_gold_and_reviews_lie_anywhere(place: str, capsys) -> None:
    rows = "".join(f"d{n},L{n % 3},Label {n % 3},0.{n}\n" for n in range(1, 10))
    tags = put(place, "tags.csv.gz", f"id,label_key,label,probability\n{rows}")
    gold = put(place, "gold.tsv", "id\tlabel\n" + "".join(f"d{n}\tL1\n" for n in range(1, 10)))
    assert main(["evaluate", "--tags", tags, "--gold", gold]) == 0
    assert json.loads(capsys.readouterr().out)["P@1"] == 0.333333
    texts = put(place, "docs.csv", "id,text\n" + "".join(f"d{n},text {n}\n" for n in range(1, 10)))
    review = storage.join(place, "review.csv")
    more = ["--documents", texts, "--output", review]
    assert main(["sample-for-review", tags, *more]) == 0
    filled = storage.read_bytes(review).decode("utf-8-sig").replace("\n,Label 1,", "\nyes,Label 1,")
    filled = filled.replace("\n,", "\nno,")
    storage.write_bytes(review, filled.encode())
    assert main(["sample-for-review", tags, *more]) == 1
    capsys.readouterr()
    assert main(["review-score", review, "--store", storage.join(place, "store")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reviewed"], found["right"]) == (9, 3)
    assert found["stored"]["imported"] == {"human": 9}


def test_a_run_gives_the_label_set_of_its_newest_bundle(tmp_path: Path, capsys) -> None:
    bundle = publish_bundle(tmp_path / "run" / "bundle-one", save_encoder(tmp_path / "model"))
    run = str(tmp_path / "run")
    write_about(bundle, run, {})
    tags = put(str(tmp_path), "tags.csv", "id,label_key\na,L1\nb,L2\n")
    gold = put(str(tmp_path), "gold.csv", "id,label\na,L1\nb,no such label\n")
    told = []
    for place in (bundle, run, f"{run}/latest"):
        assert main(["evaluate", "--tags", tags, "--gold", gold, "--bundle", place]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["matched"] == 1  # a gold name that no label has is rejected
    assert told[1:] == told[:1] * 2


@pytest.mark.parametrize("given", ["nan,1.5", "0.5,0", "-1,1", "0.5"])
def test_weights_that_no_label_can_have_are_bad_usage(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--tags", "t", "--gold", "g", f"--propensity={given}"])
    assert ended.value.code == 2
    assert f"--propensity: '{given}'" in capsys.readouterr().err
