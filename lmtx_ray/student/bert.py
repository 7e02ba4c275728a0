"""A BERT that is loaded without transformers: the same bits, in a third of the time to start.

transformers and sentence-transformers take ten seconds to import on a small machine, and a BERT is
a hundred lines. What is here computes the same operations on the same shapes in the same order as
theirs, so vectors are equal to the last bit (`tests/student/test_bert.py`). It is taken only for
folders that it knows wholly; `is_known` says which.

Shapes: B texts of W tokens, H hidden units, A attention heads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

WEIGHTS, CONFIG, WORDS = "model.safetensors", "config.json", "tokenizer.json"
MODULES = (("Transformer", "Pooling"), ("Transformer", "Pooling", "Normalize"))
UNUSED = ("pooler.", "embeddings.position_ids")


class _Unset:
    """Weights are loaded over it; to draw some on the meta device would take seconds of imports."""

    def reset_parameters(self) -> None:
        """Nothing."""


class _Linear(_Unset, nn.Linear):
    pass


class _Embedding(_Unset, nn.Embedding):
    pass


class _LayerNorm(_Unset, nn.LayerNorm):
    pass


class Embeddings(nn.Module):
    """Words, places and types, added and normed."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = _Embedding(config.vocab_size, size, config.pad_token_id)
        self.position_embeddings = _Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = _Embedding(config.type_vocab_size, size)
        self.LayerNorm = _LayerNorm(size, eps=config.layer_norm_eps)

    def forward(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, W, H] of int64 [B, W]; positions count from 0 if they are not given."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1])[None]
        kinds = torch.zeros_like(input_ids)
        x_BWH = self.word_embeddings(input_ids) + self.token_type_embeddings(kinds)
        embedded: torch.Tensor = self.LayerNorm(x_BWH + self.position_embeddings(position_ids))
        return embedded


class SelfAttention(nn.Module):
    """Every token looks at every other one of its text."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_attention_heads = config.num_attention_heads
        self._head = size // config.num_attention_heads
        self.query, self.key, self.value = (_Linear(size, size) for _ in range(3))

    def forward(self, x_BWH: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """[B, W, H]; `mask` is bool [B, 1, W, W], None where no text is padded."""
        shape = (*x_BWH.shape[:-1], -1, self._head)
        parts = (self.query, self.key, self.value)
        query, key, value = (part(x_BWH).view(shape).transpose(1, 2) for part in parts)
        found = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=self._head**-0.5
        )
        return found.transpose(1, 2).contiguous().reshape(*x_BWH.shape[:-1], -1).contiguous()


class Added(nn.Module):
    """A linear layer whose output is added to what came in before it, and normed."""

    def __init__(self, width: int, config: Any) -> None:
        super().__init__()
        self.dense = _Linear(width, config.hidden_size)
        self.LayerNorm = _LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, inner: torch.Tensor, x_BWH: torch.Tensor) -> torch.Tensor:
        """[B, W, H]."""
        added: torch.Tensor = self.LayerNorm(self.dense(inner) + x_BWH)
        return added


class Layer(nn.Module):
    """One of the model's layers, its parts under the names that weights files use."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config), "output": Added(config.hidden_size, config)}
        )
        wide = _Linear(config.hidden_size, config.intermediate_size)
        self.intermediate = nn.ModuleDict({"dense": wide})
        self.output = Added(config.intermediate_size, config)

    def forward(self, x_BWH: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """[B, W, H]."""
        x_BWH = self.attention["output"](self.attention["self"](x_BWH, mask), x_BWH)
        wide = functional.gelu(self.intermediate["dense"](x_BWH))
        out: torch.Tensor = self.output(wide, x_BWH)
        return out


class Bert(nn.Module):
    """Token ids to hidden states. `config` is that of the folder, as attributes."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": layers})

    def forward(self, input_ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """[B, W, H]."""
        x_BWH = self.embeddings(input_ids)
        for layer in self.encoder["layer"]:
            x_BWH = layer(x_BWH, mask)
        return x_BWH


def _settings(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def is_known(folder: str) -> bool:
    """Whether a sentence-transformers folder is a BERT of the usual kind with its own tokenizer and
    the mean of its tokens as vector: everything else is left to the library."""
    place = Path(folder)
    try:
        modules = json.loads((place / "modules.json").read_text("utf-8"))
        kinds = tuple(module["type"].rsplit(".", 1)[-1] for module in modules)
        return (
            kinds in MODULES
            and not modules[0]["path"]
            and _is_mean(_settings(place, f"{modules[1]['path']}/config.json"))
            and _is_usual_bert(_settings(place, CONFIG))
            and _has_usual_words(place)
            and (place / WEIGHTS).is_file()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_mean(pooling: dict[str, Any]) -> bool:
    modes = {name for name, on in pooling.items() if name.startswith("pooling_mode_") and on}
    said = pooling.get("pooling_mode")
    return said in ("mean", ["mean"]) if said else modes == {"pooling_mode_mean_tokens"}


def _is_usual_bert(config: dict[str, Any]) -> bool:
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
    )


def _has_usual_words(folder: Path) -> bool:
    """transformers builds a BertTokenizer anew from vocabulary and settings: only where these say
    what tokenizer.json says is that file the same."""
    words, said = _settings(folder, WORDS), _settings(folder, "tokenizer_config.json")
    kinds = [(words.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
    if kinds != ["BertNormalizer", "BertPreTokenizer"] or words["model"]["type"] != "WordPiece":
        return False
    kind = said.get("tokenizer_class")
    if kind in {"PreTrainedTokenizerFast", "TokenizersBackend"}:
        return True  # the file as it is
    if kind not in {None, "BertTokenizer", "BertTokenizerFast"}:
        return False
    normalizer, model = words["normalizer"], words["model"]
    return (
        normalizer["lowercase"] == said.get("do_lower_case", True)
        and normalizer["strip_accents"] == said.get("strip_accents")
        and normalizer["handle_chinese_chars"] == said.get("tokenize_chinese_chars", True)
        and normalizer["clean_text"]
        and model["max_input_chars_per_word"] == 100
        and model["continuing_subword_prefix"] == "##"
        and (words.get("post_processor") or {}).get("type") == "TemplateProcessing"
    )


class PlainBert:
    """A known folder as `student.encoder` uses a model: texts to ids, ids to embeddings."""

    def __init__(self, folder: str) -> None:
        """Raises ValueError where the weights are not those of its config."""
        place = Path(folder)
        values = {"pad_token_id": 0, "layer_norm_eps": 1e-12, **_settings(place, CONFIG)}
        with torch.device("meta"):
            self.inner = Bert(SimpleNamespace(**{"is_decoder": False, **values}))
        found = load_file(place / WEIGHTS)
        weights = {
            name.removeprefix("bert."): value.float()
            for name, value in found.items()
            if not name.removeprefix("bert.").startswith(UNUSED)
        }
        try:
            self.inner.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            raise ValueError(f"{place / WEIGHTS}: {error}") from None
        self.inner.eval().requires_grad_(False)
        self._normed = len(json.loads((place / "modules.json").read_text("utf-8"))) > 2
        self._words = Tokenizer.from_file(str(place / WORDS))
        self._words.no_padding()
        self._cut = 0
        self.dimensions = int(values["hidden_size"])

    def to_bfloat16(self) -> None:
        """Compute in bfloat16 from now on."""
        self.inner.to(torch.bfloat16)

    def tokenize(self, texts: Sequence[str], cut: int) -> list[list[int]]:
        """Token ids of each text, at most `cut` of them."""
        if cut != self._cut:
            self._words.enable_truncation(cut)
            self._cut = cut
        return [row.ids for row in self._words.encode_batch(list(texts))]

    def embed(self, ids: Sequence[Sequence[int]], width: int) -> torch.Tensor:
        """Embeddings [B, H] of texts padded to `width` tokens."""
        pad = self.inner.config.pad_token_id
        rows_BW = torch.tensor([[*row, *[pad] * (width - len(row))] for row in ids])
        lengths_B = torch.tensor([len(row) for row in ids])
        mask_BW = (torch.arange(width)[None] < lengths_B[:, None]).long()
        mask = None
        if not mask_BW.all():
            mask = mask_BW.bool()[:, None, None, :].expand(-1, 1, width, -1)
        return self._mean(self.inner(rows_BW, mask), mask_BW)

    def pool(self, hidden_BWH: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, H] of the hidden states of texts without padding."""
        return self._mean(hidden_BWH, torch.ones(hidden_BWH.shape[:2], dtype=torch.long))

    def _mean(self, hidden_BWH: torch.Tensor, mask_BW: torch.Tensor) -> torch.Tensor:
        mask = mask_BW.unsqueeze(-1).to(hidden_BWH.dtype)
        sums_BH = (hidden_BWH * mask).sum(dim=1, dtype=torch.float32)
        counts_B1 = mask.sum(dim=1, dtype=torch.float32).clamp(min=1e-9)
        mean_BH = (sums_BH / counts_B1).to(hidden_BWH.dtype)
        return functional.normalize(mean_BH, p=2, dim=1) if self._normed else mean_BH
