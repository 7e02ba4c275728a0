"""The trained encoder's folder, so that others load it as it is used here.

sentence-transformers reads its own names of modules and poolings, old and new; vLLM knows the old
ones only. So these are written, and with them where texts are cut, that vectors have length 1, and
that no prompt goes before a text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

OLD = "sentence_transformers.models"
WITH_OLD_NAMES = {"Transformer", "Pooling", "Normalize", "Dense"}
FLAGS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def save_encoder(student: SentenceTransformer, folder: Path, tokens: int, card: str) -> None:
    """Write the student's folder, in which texts are cut after `tokens` tokens and README.md is
    `card`. The student ends in a module that gives its vectors length 1 from now on."""
    if not isinstance(student[-1], Normalize):
        student.append(Normalize())
    student.max_seq_length = tokens
    student.prompts, student.default_prompt_name = {"query": "", "document": ""}, None
    student.save(str(folder), create_model_card=False)
    modules = _settings(folder / "modules.json")
    for module in modules:
        name = module["type"].rsplit(".", 1)[-1]
        if name in WITH_OLD_NAMES:
            module["type"] = f"{OLD}.{name}"
        if name == "Pooling":
            place = folder / module["path"] / "config.json"
            _write(place, _old_pooling(_settings(place)))
    _write(folder / "modules.json", modules)
    place = folder / "sentence_bert_config.json"
    _write(place, {**_settings(place), "max_seq_length": tokens})
    (folder / "README.md").write_text(card, encoding="utf-8")


def _old_pooling(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a pooling with a flag for each way, as all versions read them; as they are
    where a way has no flag."""
    said = config.get("pooling_mode")
    modes = [said] if isinstance(said, str) else list(said or [])
    if not modes or not set(modes) <= set(FLAGS):
        return config
    kept = {name: value for name, value in config.items() if name != "pooling_mode"}
    kept["word_embedding_dimension"] = kept.pop(
        "embedding_dimension", kept.get("word_embedding_dimension")
    )
    return {**kept, **{flag: mode in modes for mode, flag in FLAGS.items()}}


def _settings(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
