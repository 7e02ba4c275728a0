"""A bundle with defaults of its own: another bundle, that everybody who tags heeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.bundle.cache import open_bundle, published_bundle
from lmtx_ray.bundle.defaults import publish_with, read_defaults
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

TEXTS = ["heart pain in patients", "a study of the lung", "bone and skin"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("made")
    return publish_bundle(folder / "bundle-one", save_encoder(folder))


def threshold_of(bundle: str) -> float:
    """One that some of the first three tags reach."""
    rows = Tagger.load(bundle).tag(TEXTS, 3)["probabilities"].to_pylist()
    return sorted(probability for row in rows for probability in row)[4]


@pytest.fixture(scope="module")
def stored(bundle: str) -> str:
    return publish_with(bundle, Defaults(3, threshold_of(bundle)), {"by": "a test"})


def test_it_lies_beside_the_first_which_stays_as_it_was(bundle: str, stored: str) -> None:
    assert read_defaults(bundle) == Defaults(5, 0.0)
    assert Path(stored).parent == Path(bundle).parent
    assert read_defaults(stored) == Defaults(3, threshold_of(bundle))
    old, new = published_bundle(bundle), published_bundle(stored)
    assert old.key != new.key
    changed = {name for name in old.files if old.files[name].sha256 != new.files[name].sha256}
    assert changed == {"bundle.json"}
    shared = [Path(one.location("index/shard-00000.safetensors")) for one in (old, new)]
    assert shared[0].samefile(shared[1])  # no copy of what may be big
    described = storage.read_json(new.location("bundle.json"))
    assert (described["base"], described["chosen"]) == ("test-bundle", {"by": "a test"})


def test_who_says_nothing_gets_its_defaults_and_who_does_his_own(bundle, stored) -> None:
    plain, tagger = Tagger.load(bundle), Tagger.load(stored)
    wanted = read_defaults(stored)
    assert tagger.bundle_id != plain.bundle_id
    assert tagger.check() == ""  # its canaries are asked without a threshold
    expected = plain.tag(TEXTS, 3, min_probability=wanted.min_probability)
    assert tagger.tag(TEXTS) == expected
    assert tagger.tag(TEXTS, 4, min_probability=0.0) == plain.tag(TEXTS, 4)
    assert tagger.tag(TEXTS, min_probability=0.0) == plain.tag(TEXTS, 3)
    assert tagger.tag(TEXTS, 1) == plain.tag(TEXTS, 1, min_probability=wanted.min_probability)


def test_the_same_defaults_are_the_same_bundle_also_after_a_kill(
    bundle, stored, tmp_path, monkeypatch
) -> None:
    wanted = read_defaults(stored)
    assert publish_with(stored, wanted, {}) == stored  # of its base, not of itself
    place = str(tmp_path / "elsewhere")
    copied, copy = [], storage.copy_file

    def killed(source: str, target: str) -> None:
        copied.append(target)
        if len(copied) == 3:
            raise KeyboardInterrupt
        copy(source, target)

    monkeypatch.setattr(storage, "copy_file", killed)
    with pytest.raises(KeyboardInterrupt):
        publish_with(bundle, wanted, {"by": "a test"}, place)
    monkeypatch.undo()
    with pytest.raises(PublishError, match="not published yet"):
        open_bundle(place)
    publish_with(bundle, wanted, {"by": "a test"}, place)
    assert content(place) == content(stored)
    with pytest.raises(PublishError, match="use another folder"):
        publish_with(bundle, Defaults(1, 0.0), {}, place)


def content(bundle: str) -> dict[str, str]:
    files = published_bundle(bundle).files
    return {name: file.sha256 for name, file in files.items()}


def test_it_can_be_made_on_s3_of_a_local_one_and_there_of_itself(bundle, stored, place) -> None:
    there = publish_with(bundle, read_defaults(stored), {"by": "a test"}, f"{place}/one")
    assert content(there) == content(stored)
    again = publish_with(there, Defaults(2, 0.5), {})
    assert again.startswith(f"{place}/bundle-")
    held = open_bundle(again)
    assert Defaults.of(json.loads(Path(held.folder, "bundle.json").read_text())) == Defaults(2, 0.5)


def test_lmtx_tag_and_tag_text_use_them(bundle, stored, tmp_path, capsys) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"id": f"d{n}", "text": text} for n, text in enumerate(TEXTS)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def tagged(one: str, name: str, *more: str) -> object:
        out = str(tmp_path / name)
        assert main(["tag", "--bundle", one, "--input", str(source), "--output", out, *more]) == 0
        return read_tags(out)

    wanted = read_defaults(stored)
    options = ["--top-k", "3", "--min-probability", repr(wanted.min_probability)]
    assert tagged(stored, "default") == tagged(bundle, "told", *options)
    assert tagged(stored, "own", "--top-k", "5", "--min-probability", "0") == tagged(bundle, "all")
    plan = storage.read_json(str(tmp_path / "default" / "PLAN.json"))
    assert plan["settings"]["top_k"] == 3  # what was used is on record
    capsys.readouterr()
    assert main(["tag-text", "--bundle", stored, "--min-probability", "0", TEXTS[0]]) == 0
    assert len(json.loads(capsys.readouterr().out)["tags"]) == 3


@pytest.mark.parametrize("value", ["90", "-0.1", "nan", "half"])
def test_a_probability_outside_0_to_1_is_refused_before_anything(value, capsys) -> None:
    for verb in (["tag", "--input", "x", "--output", "y"], ["tag-text", "a text"]):
        with pytest.raises(SystemExit):
            main([*verb, "--bundle", "b", f"--min-probability={value}"])
        message = capsys.readouterr().err
        assert f"--min-probability: needs a number from 0 to 1, got '{value}'" in message
    if value == "90":
        assert "; for 90 % say 0.9" in message


def test_a_wrong_default_is_told() -> None:
    with pytest.raises(ValueError, match=r"min_probability is 90, .* that is 0\.9"):
        Defaults(5, 90.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Defaults(5, float("nan"))
    with pytest.raises(ValueError, match="top_k is 0"):
        Defaults(0, 0.5)
