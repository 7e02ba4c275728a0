"""Which threshold and which limit: by what a bundle knows of held-aside documents, or by gold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.batch.plan import read_plans
from lmtx_ray.bundle.cache import JUDGED, published_bundle
from lmtx_ray.bundle.defaults import publish_with
from lmtx_ray.bundle.remaking import description_of
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.gold import GoldSource
from lmtx_ray.evaluation.grid import LIMITS, THRESHOLDS, Cell, Choice, Rated, choose, grid
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.published import MANIFEST
from lmtx_ray.loop.matching import has_probabilities, match
from lmtx_ray.loop.self_matching import rows_of_gold, without_pairs

JUDGE = "the judge's verdicts on held-aside documents"
CORRECTED = "the judge's verdicts on held-aside documents, corrected by reviewed pairs"
GOLD = "gold"
UNJUDGED = "its tags have no probabilities: nobody judged it"


@dataclass(frozen=True)
class Basis:
    """What a threshold is chosen by: its name, the rated candidates, and the number of them that
    people reviewed."""

    name: str
    rated: Rated
    reviewed: int = 0

    @property
    def documents(self) -> int:
        """How many there are."""
        return len(self.rated.wanted_B)


def bundle_of(uri: str) -> str:
    """A bundle's URI, of itself or of a run: its newest, or, where the run names none, the only one
    that it made.

    Raises:
        ConfigError: Neither, or a run of several bundles that names none.
        PublishError: A run without a bundle yet.
    """
    uri = storage.absolute(uri)
    bundle = resolve(uri)
    if storage.exists(storage.join(bundle, MANIFEST)):
        return bundle
    names = {
        entry.uri.removeprefix(f"{uri}/").split("/", 1)[0]
        for entry in storage.list_entries(uri)
        if entry.uri.endswith(f"/{MANIFEST}")
    }
    found = sorted(storage.join(uri, name) for name in names if name.startswith("bundle-"))
    own = [one for one in found if not {"base", "origin", "edited"} & {*description_of(one)}]
    if len(own) == 1:
        return own[0]
    if not own:
        raise ConfigError(f"{uri}: neither a bundle nor a run with one; `lmtx run` ends with one")
    raise ConfigError(f"{uri}: holds {len(own)} bundles, name one: {', '.join(own)}")


def by_judge(bundle: str) -> Basis:
    """What was said of the held-aside documents when the bundle was made; an unclear answer is a
    no, and a label that was never judged is not missed.

    Raises:
        ConfigError: An older bundle, one that nobody judged, or a run without held-aside documents.
    """
    published = published_bundle(bundle)
    if description_of(bundle)["calibration"] is None:
        raise ConfigError(f"{bundle}: {UNJUDGED}")
    if JUDGED not in published.files:
        raise ConfigError(
            f"{bundle}: holds no verdicts to choose by, an older version made it; run its config "
            "again (only the bundle is written anew), or give --gold"
        )
    table = storage.read_table(published.location(JUDGED))
    if table.num_rows == 0:
        raise ConfigError(f"{bundle}: no held-aside documents; set corpus.held_aside above 0")
    documents_N = np.cumsum(table["place"].to_numpy() == 0) - 1
    right_N = np.array(table["right"].to_pylist(), np.float64)  # a null is nan
    wanted_B = np.bincount(documents_N, np.nan_to_num(right_N))
    rated = Rated(documents_N, table["probability"].to_numpy(), right_N, wanted_B)
    reviewed = len(table) - table["reviewed"].null_count
    return Basis(CORRECTED if reviewed else JUDGE, rated, reviewed)


def by_gold(tags: pa.Table, gold: pa.Table) -> Basis:
    """Tags with probabilities against gold, over the documents that are in both and have gold.

    Args:
        tags: doc_id, label_ids, probabilities, best first.
        gold: doc_id, label_ids.

    Raises:
        ConfigError: No document is in both, or no tag has a probability.
    """
    columns = (gold["doc_id"].to_pylist(), gold["label_ids"].to_pylist())
    truth = {doc_id: set(labels) for doc_id, labels in zip(*columns, strict=True) if labels}
    rows = tags.select(["doc_id", "label_ids", "probabilities"]).to_pylist()
    rows = [row for row in rows if row["doc_id"] in truth]
    if not rows:
        raise ConfigError("no document of the tags has gold: are their ids the same?")
    if not has_probabilities(tags):
        raise ConfigError(f"the bundle of these tags: {UNJUDGED}")
    right = [label in truth[row["doc_id"]] for row in rows for label in row["label_ids"]]
    rated = Rated(
        np.repeat(np.arange(len(rows)), [len(row["label_ids"]) for row in rows]),
        np.array([p for row in rows for p in row["probabilities"]], np.float32),
        np.array(right, np.float64),
        np.array([len(truth[row["doc_id"]]) for row in rows], np.float64),
    )
    return Basis(GOLD, rated)


def optimize(
    basis: Basis,
    precision: float | None = None,
    confident: bool = False,
    limits: Sequence[int] = LIMITS,
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[list[Cell], Choice | None]:
    """All cells, and, where a precision is asked for, the one to use."""
    cells = grid(basis.rated, thresholds, limits)
    return cells, None if precision is None else choose(cells, precision, confident)


def store(
    bundle: str, cell: Cell, basis: Basis, asked: float, confident: bool, output: str | None
) -> str:
    """Publish the bundle with a cell's threshold and limit as its defaults; returns where."""
    why = {
        "by": basis.name,
        "documents": basis.documents,
        "asked_precision": asked,
        "confident": confident,
        **{name: cell.to_dict()[name] for name in ("precision", "precision_ci", "recall")},
    }
    return publish_with(bundle, Defaults(cell.limit, cell.threshold), why, output)


def by_gold_files(
    bundle: str,
    tags: str,
    gold: str | GoldSource,
    self_matches: str | None = None,
    row_ids: Sequence[str] | None = None,
) -> Basis:
    """`by_gold` of the output of `lmtx tag` by this bundle, and of gold where it lies, without
    `self_matches`, as `evaluate` takes them.

    Raises:
        ConfigError: Tags of another bundle, tags that were cut at a probability, and as `by_gold`.
    """
    plans = read_plans(tags)
    if not plans:
        raise ConfigError(f"{tags}: not an output of lmtx tag")
    made_by, cut = plans[0]["bundle"]["fingerprint"], plans[0]["settings"]["min_probability"]
    described = description_of(bundle)
    if made_by not in {described["bundle_id"], described.get("base")}:
        raise ConfigError(f"{tags}: the tags of another bundle, {made_by}")
    if cut > 0:
        raise ConfigError(f"{tags}: tags under {cut:g} are left out; use --min-probability 0")
    found = match(read_tags(tags), gold, labels=bundle)
    if self_matches is not None:
        found, _ = without_pairs(found, self_matches, row_ids or rows_of_gold(gold))
    return by_gold(found.ranked, found.right)
