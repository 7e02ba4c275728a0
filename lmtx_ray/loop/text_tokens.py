"""How many tokens label texts have, as an encoder counts them, or how many words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.lengths import count_words
from lmtx_ray.student.model_folder import model_folder

TOKENIZER = "tokenizer.json"
MOST_PARTS = 1 << 20  # parts of texts whose tokens are remembered
Count = Callable[[Sequence[str]], list[int]]


def token_counter(model: str | None) -> tuple[Count, str]:
    """(a function to the tokens of texts as an encoder counts them, what it counts). None is minilm
    where that is installed. Words are counted where the encoder is "none" or its tokenizer is not
    on this machine.

    Raises:
        ConfigError: The encoder is asked for by a folder that holds none.
    """
    file = _tokenizer_of(model)
    if file is None or not file.is_file():
        return lambda texts: [count_words(text) for text in texts], "words"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if _counts_by_parts(file):
        return _PartCounts(tokenizer), "tokens"
    return lambda texts: [len(one.ids) for one in tokenizer.encode_batch_fast(texts)], "tokens"


class _PartCounts:
    """Tokens of texts as the sum of those of what stands between their spaces, remembered: most
    labels are made of few words, and a tokenizer's work is ten times that of adding."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._around = len(tokenizer.encode("").ids)
        self._known: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[int]:
        cut = [text.split() for text in texts]
        if len(self._known) > MOST_PARTS:
            self._known.clear()
        new = list({part for parts in cut for part in parts if part not in self._known})
        found = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        self._known.update(zip(new, (len(one.ids) for one in found), strict=True))
        return [self._around + sum(map(self._known.__getitem__, parts)) for parts in cut]


def _counts_by_parts(file: Path) -> bool:
    """Whether a text's tokens are those of its parts: a WordPiece tokenizer as BERT has it, which
    cuts at spaces first, with no token that has a space in it."""
    told = json.loads(file.read_text(encoding="utf-8"))
    kinds = [
        (told.get(name) or {}).get("type") for name in ("model", "pre_tokenizer", "normalizer")
    ]
    added = [token["content"] for token in told.get("added_tokens", ())]
    is_bert = kinds == ["WordPiece", "BertPreTokenizer", "BertNormalizer"]
    return is_bert and not any(part.split() != [part] for part in added)


def _tokenizer_of(model: str | None) -> Path | None:
    if model == "none":
        return None
    if model and (own := Path(model) / TOKENIZER).is_file():  # of a bundle that is held in parts
        return own
    try:
        return Path(model_folder(model or "minilm")) / TOKENIZER
    except ConfigError:
        if model is None:
            return None
        raise
