"""What would stop a run, found in seconds and named by the setting to mend.

`lmtx plan` and `lmtx run` look here first, before a library is loaded or a cluster is started.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.models import (
    check_model,
    check_places,
    check_reranker,
    config_of,
    is_hub_id,
    may_be_meant_as_folder,
    resolve_model,
)
from lmtx_ray.corpus.fitting import check_corpus, check_titles, naming
from lmtx_ray.corpus.gold import check_gold
from lmtx_ray.corpus.gold_reader import source_of
from lmtx_ray.corpus.inputs import listed_in
from lmtx_ray.io import storage
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher.engines import refuse_missing
from lmtx_ray.teacher.ensemble import check_prompts
from lmtx_ray.teacher.generating import WRITERS
from lmtx_ray.teacher.prompts import get_prompt

logger = logging.getLogger(__name__)
HUB_SECONDS = 10.0
WRITTEN = ("0.parquet", "0.json")  # names as a run's files have
LABEL_FILES = ("0.parquet", "0.csv", "0.jsonl")  # and those of a folder of labels
LOCAL = ("vllm", "reranker")  # judges whose models are loaded by this run


def check(config: RunConfig) -> None:
    """Refuse what a run would fail on.

    Raises:
        ConfigError: A setting that cannot work: judge, encoder, run folder.
        CorpusError: Files or columns that are not there.
    """
    _check_places(config)
    _tell_labels(config)
    check_judge(config)
    _check_model("encoder.model", resolve_model(config.encoder.model), "")
    _check_lengths(config)
    check_corpus(config.corpus)
    if config.source == "title":
        check_titles(config.corpus)
    if counts := config.evaluation.counts:
        with naming("evaluation.counts"):
            check_gold(source_of(config.corpus.model_copy(update={"gold": counts})))
    if config.ship == "learned" and not config.shortlist.memory_documents:
        raise ConfigError(
            "ship: learned weighs judged documents: shortlist.memory_documents must not be 0"
        )
    if config.ship == "learned" and not config.learns_from_judge:
        raise ConfigError(
            "ship: learned weighs what a judge said of documents, and none is learned from here: "
            "leave ship out, or give a judge and source: teacher"
        )
    if config.learns_from_judge and config.corpus.held_aside == 0:
        raise ConfigError(
            "corpus.held_aside is 0: cycles are chosen by the judge's opinion on documents held "
            "aside; leave it out for 20 % of them"
        )
    _check_depth(config)


def _check_depth(config: RunConfig) -> None:
    """The judge can be asked about as many candidates as it is to be."""
    names = [*(("top_k", "select_k") if config.learns_from_judge else ())]
    names += ["rerank_k", "icxml_k"] if config.has_judge and config.corpus.has_test else []
    for name in names:
        asked, kept = getattr(config.judge, name), config.shortlist.depth
        if asked > kept:
            raise ConfigError(
                f"judge.{name} asks about {asked} candidates of a document, and shortlist.depth "
                f"keeps {kept}: raise shortlist.depth"
            )


def _check_places(config: RunConfig) -> None:
    """Of what is written: it can be written, and is no input of the next start."""
    corpus = config.corpus
    inputs = [*corpus.documents, corpus.labels, *([corpus.test] if corpus.test else [])]
    for field, uri in (("run", config.run), ("judge.store", config.judge.store)):
        if not uri:
            continue
        check_folder(field, uri)
        if place := listed_in(uri, inputs, WRITTEN):
            raise ConfigError(
                f"{field}: {uri} lies in the input {place}, and what is written there would be "
                "read as an input; take another folder"
            )


def _tell_labels(config: RunConfig) -> None:
    """Warn of a label set that a folder of documents holds: rows of it may look like documents."""
    labels = storage.absolute(config.corpus.labels)
    folders = [uri for uri in config.corpus.documents if storage.absolute(uri) != labels]
    files = () if storage.stat(labels) else LABEL_FILES
    if place := listed_in(labels, folders, files):
        logger.warning("corpus.labels: %s lies in %s, and is read as documents too", labels, place)


def _check_lengths(config: RunConfig) -> None:
    """Of the folder of an encoder that is here; of others the workers that load them."""
    cut = {"encoder": config.encoder} | ({"fit": config.fit} if config.rounds else {})
    lengths = {
        f"{section}.{name}": getattr(own, name)
        for section, own in cut.items()
        for name in ("max_tokens", "label_tokens")
    }
    check_places(config_of(resolve_model(config.encoder.model)), lengths)


def on_cluster() -> bool:
    """Whether the work is done on other machines, which may hold what this one lacks."""
    return bool(os.environ.get("RAY_ADDRESS"))


def check_judge(config: RunConfig) -> None:
    """Refuse a judge that cannot be asked. Raises ConfigError."""
    teacher = config.judge.teacher
    if config.judge.icxml_k and teacher.kind not in WRITERS:
        raise ConfigError(
            f"judge.icxml_k: a judge of kind {teacher.kind} writes no phrases; "
            f"{' or '.join(WRITERS)} do, or set it to 0"
        )
    if teacher.kind != "ensemble":
        _check_teacher("judge.teacher", teacher)
        return
    for place, member in enumerate(teacher.members):
        _check_teacher(f"judge.teacher.members.{place}", member)
    check_prompts(teacher, get_prompt(teacher.prompt))


def _check_teacher(field: str, teacher: TeacherConfig) -> None:
    if teacher.kind == "http":
        if not teacher.url:
            raise ConfigError(
                f"{field}.url: kind http needs the address, such as http://127.0.0.1:8000/v1"
            )
        if not teacher.model:
            raise ConfigError(f"{field}.model: the name under which the server has the model")
    if teacher.kind in LOCAL:
        if not teacher.model:
            raise ConfigError(
                f"{field}.model: kind {teacher.kind} needs a model folder or a hub id"
            )
        _check_model(f"{field}.model", teacher.model, teacher.revision)
    if teacher.kind == "reranker":
        check_reranker(f"{field}.model", teacher.model)
    if teacher.kind == "vllm" and not on_cluster():
        refuse_missing(teacher)


def _check_model(field: str, model: str, revision: str) -> None:
    """A folder by its files; a hub id that may be a slip in a path by asking the hub."""
    check_model(field, model, on_cluster())
    if may_be_meant_as_folder(model) and not on_cluster():
        check_hub_model(field, model, revision)


def check_folder(field: str, uri: str) -> None:
    """Refuse a local folder that could not be written. Raises ConfigError naming `field`."""
    if storage.parse_uri(uri).scheme != "file":
        return
    folder = Path(uri)
    above = next(one for one in (folder, *folder.parents) if one.exists())
    if not above.is_dir():
        raise ConfigError(f"{field}: {above} is a file, not a folder")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ConfigError(
            f"{field}: no permission to write in {above} ({error.strerror})"
        ) from None


def check_hub(config: RunConfig) -> None:
    """Ask the hub for the models that come from there and are not on this machine yet, before
    libraries try for minutes. Raises ConfigError naming the setting."""
    if on_cluster():
        return
    check_hub_model("encoder.model", resolve_model(config.encoder.model), "")
    for teacher in config.judge.teacher.judges:
        if teacher.kind in LOCAL:
            check_hub_model("judge.teacher.model", teacher.model, teacher.revision)


def check_hub_model(field: str, model: str, revision: str) -> None:
    """Refuse a hub id that is neither on this machine nor on the hub. Raises ConfigError."""
    if not is_hub_id(model):
        return
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    if try_to_load_from_cache(model, "config.json", revision=revision or None):
        return
    here = f"{field}: {model!r}: no folder of that name here"
    if constants.HF_HUB_OFFLINE:
        raise ConfigError(f"{here}, and HF_HUB_OFFLINE forbids to ask the hub")
    try:
        HfApi().model_info(model, revision=revision or None, timeout=HUB_SECONDS)
    except RepositoryNotFoundError:
        raise ConfigError(f"{here}, and the hub has none either (or wants HF_TOKEN)") from None
    except Exception as error:  # of whatever speaks HTTP below it; none of them is a bug here
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConfigError(f"{here}, and the hub cannot be asked: {said}") from None
