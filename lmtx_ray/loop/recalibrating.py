"""Truer probabilities from reviewed pairs, without the run: a bundle has what it was fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.bundle import canary
from lmtx_ray.bundle.cache import DESCRIPTION, JUDGED, open_bundle
from lmtx_ray.bundle.remaking import dump, publish_changed, remade
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.evaluation.kindness import AT_ITS_WORD, Kindness
from lmtx_ray.io import storage
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.loop.calibrating import calibrate, held_of, judged_tags
from lmtx_ray.loop.optimizing import UNJUDGED
from lmtx_ray.teacher.questions import first_by_key
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import VerdictStore

LEFT_BEHIND = ("base", "defaults", "chosen")  # a threshold of other probabilities means nothing


def recalibrate(bundle: str, store: str, output: str | None = None) -> dict[str, Any]:
    """Publish the bundle with probabilities that heed what people said in a verdict store.

    The same answers to the same bundle are the same new bundle. Returns its URI as `bundle`, the
    number of `reviewed` pairs, and the mean probability of first tags `before` and `now`.

    Raises:
        ConfigError: A bundle that nobody judged or that holds no judged pairs, or a store without
            an answer on them.
    """
    held_files = open_bundle(bundle)
    description = storage.read_json(f"{held_files.folder}/{DESCRIPTION}")
    if description["calibration"] is None:
        raise ConfigError(f"{bundle}: {UNJUDGED}; a run with a judge makes one that has some")
    file = Path(held_files.folder, JUDGED)
    if not file.exists():
        raise ConfigError(f"{bundle}: holds no judged pairs; run its config again (`lmtx run`)")
    table = storage.read_table(str(file))
    reviews = _reviews(table, store)
    if not reviews:
        raise ConfigError(
            f"{store}: no answer of a person on the {table.num_rows} held-aside pairs of {bundle}"
        )
    held = held_of(table, reviews)
    kindness = Kindness(**(description.get("kindness") or {}))
    wrong = None if kindness == AT_ITS_WORD else kindness.wrong
    fitted = calibrate(held, tuple(description["calibration"]["features"]), wrong)
    judged = judged_tags(held, fitted)
    origin = description.get("origin", description["bundle_id"])
    answers = sorted((d.hex(), label.hex(), yes) for (d, label), yes in reviews.items())
    new = remade(bundle, fingerprint("reviewed", origin, answers), output)
    if not new.is_complete():
        kept = {name: value for name, value in description.items() if name not in LEFT_BEHIND}
        own = {"bundle_id": new.fingerprint, "origin": origin}
        text = dump({**kept, **own, "calibration": fitted.calibration.to_dict()})
        canaries = _canaries(Path(held_files.folder), text)
        files = {JUDGED: storage.table_bytes(judged), canary.FILE: canaries, DESCRIPTION: text}
        publish_changed(bundle, new, files)
    before, now = (_mean_of_first(one) for one in (table, judged))
    return {"bundle": new.uri, "reviewed": len(reviews), "before": before, "now": now}


def _reviews(table: pa.Table, store: str) -> dict[tuple[bytes, bytes], bool]:
    pairs = set(zip(table["document"].to_pylist(), table["label"].to_pylist(), strict=True))
    human = Lookup(VerdictStore(storage.absolute(store)).human().snapshot())
    found = first_by_key(human.find({document for document, _ in pairs}))
    return {pair: row["answer"] == "yes" for pair, row in found.items() if pair in pairs}


def _canaries(folder: Path, description: bytes) -> bytes:
    """The canaries of a bundle whose files are those in `folder` but for its bundle.json."""
    from lmtx_ray.bundle.tagger import Tagger

    old = canary.Canaries.load(str(folder))
    with storage.scratch_folder() as scratch:
        for path in folder.iterdir():
            if path.name != DESCRIPTION:
                Path(scratch, path.name).symlink_to(path)
        Path(scratch, DESCRIPTION).write_bytes(description)
        tags = Tagger(scratch).tag(old.texts, canary.TOP_K)
        return canary.of_tags(old.texts, tags).to_bytes()


def _mean_of_first(judged: pa.Table) -> float:
    first = judged.filter(pc.equal(judged["place"], 0))
    return round(float(pc.mean(first["probability"]).as_py()), 4)
