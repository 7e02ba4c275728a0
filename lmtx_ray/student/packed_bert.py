"""A BERT in training without padding: the tokens of all texts in one row, texts of one length side
by side, so that only attention has to know where a text ends.

It computes what the library's model computes, on the library's own weights, in fewer operations:
one product for query, key and value, attention that keeps no matrix of its probabilities, and no
mask, as a run of texts of equal length needs none. What it cannot compute is left to the library.

Shapes: N tokens of all texts, B texts of W tokens in a run, H hidden units, A attention heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lmtx_ray.config.models import BEHIND_PADDING
from lmtx_ray.student.batching import Ids


@dataclass(frozen=True)
class Packed:
    """Texts in order of their length. `runs` holds (texts, tokens of each) of every length, and
    `back` the place in this order of every text as it was given."""

    tokens_N: torch.Tensor
    places_N: torch.Tensor
    runs: tuple[tuple[int, int], ...]
    back: torch.Tensor

    @property
    def rows(self) -> list[int]:
        """Tokens of each run."""
        return [texts * width for texts, width in self.runs]


def pack(ids: Sequence[Ids]) -> Packed:
    """The texts, longest first; a text has a token at least."""
    order = sorted(range(len(ids)), key=lambda place: (-len(ids[place]), place))
    groups = [(width, [*same]) for width, same in groupby(order, key=lambda place: len(ids[place]))]
    tokens_N = torch.tensor([token for place in order for token in ids[place]])
    places_N = torch.cat([torch.arange(width).repeat(len(same)) for width, same in groups])
    runs = tuple((len(same), width) for width, same in groups)
    return Packed(tokens_N, places_N, runs, torch.tensor(order).argsort())


def can_pack(model: Any) -> bool:
    """Whether `model`, a sentence-transformers model, is a BERT of the usual kind on a CPU, whose
    pooling takes any number of texts. (GPUs want few large operations more than they mind padding.)
    """
    inner = getattr(model[0], "auto_model", None)
    return (
        model.device.type == "cpu"
        and is_bert(inner)
        and all(type(module).__name__ in {"Pooling", "Normalize"} for module in list(model)[1:])
    )


def is_bert(inner: Any) -> bool:
    """Whether `inner` has the parts and the attention that are computed here."""
    config = getattr(inner, "config", None)
    return (
        config is not None
        and config.model_type in ("bert", *BEHIND_PADDING)
        and config.hidden_act == "gelu"
        and not config.is_decoder
        and hasattr(inner, "encoder")
        and hasattr(inner.encoder, "layer")
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
    )


def first_place(inner: Any) -> int:
    """The place of a text's first token among those that `inner` has embeddings of."""
    config = inner.config
    return config.pad_token_id + 1 if config.model_type in BEHIND_PADDING else 0


def hidden_states(inner: Any, packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """[N, H] in `dtype` of `inner`, a model as `is_bert` says, in float32; with its gradients, and
    its dropout where it is in training."""
    embeddings = inner.embeddings
    x_NH = functional.embedding(
        packed.tokens_N, embeddings.word_embeddings.weight, embeddings.word_embeddings.padding_idx
    )
    x_NH = x_NH + embeddings.position_embeddings(packed.places_N + first_place(inner))
    x_NH = x_NH + embeddings.token_type_embeddings.weight[0]
    x_NH = embeddings.dropout(embeddings.LayerNorm(x_NH)).to(dtype)
    for layer in inner.encoder.layer:
        x_NH = _layer(layer, x_NH, packed)
    return x_NH


def _layer(layer: Any, x_NH: torch.Tensor, packed: Packed) -> torch.Tensor:
    attended_NH = _attention(layer.attention.self, x_NH, packed)
    x_NH = _added(layer.attention.output, attended_NH, x_NH)
    inner = functional.gelu(_linear(x_NH, layer.intermediate.dense))
    return _added(layer.output, inner, x_NH)


def _added(part: Any, inner: torch.Tensor, x_NH: torch.Tensor) -> torch.Tensor:
    """A linear layer whose output is added to what came in before it, and normed."""
    return _norm(part.dropout(_linear(inner, part.dense)) + x_NH, part.LayerNorm)


def _attention(part: Any, x_NH: torch.Tensor, packed: Packed) -> torch.Tensor:
    three = (part.query, part.key, part.value)
    weight = torch.cat([linear.weight for linear in three]).to(x_NH.dtype)
    bias = torch.cat([linear.bias for linear in three]).to(x_NH.dtype)
    heads, dropout = part.num_attention_heads, part.dropout.p if part.training else 0.0
    found = []
    # float32: torch's gradient of attention in bfloat16 takes three times as long. And split, not
    # slices: the gradient of each slice would be as large as the whole
    joined_N3 = functional.linear(x_NH, weight, bias).float()
    for (texts, width), run in zip(packed.runs, joined_N3.split(packed.rows), strict=True):
        query, key, value = run.view(texts, width, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind()
        own = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        found.append(own.to(x_NH.dtype).transpose(1, 2).reshape(texts * width, -1))
    return torch.cat(found)


def _linear(x: torch.Tensor, linear: nn.Linear) -> torch.Tensor:
    return functional.linear(x, linear.weight.to(x.dtype), linear.bias.to(x.dtype))


def _norm(x: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return functional.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def embeddings(model: Any, ids: Sequence[Ids], dtype: torch.dtype) -> torch.Tensor:
    """[T, D] of T texts in the order given, as the modules after the transformer pool them."""
    packed = pack(ids)
    x_NH = hidden_states(model[0].auto_model, packed, dtype).float()
    runs = zip(packed.runs, x_NH.split(packed.rows), strict=True)
    pooled = [pool(model, run.view(texts, width, -1)) for (texts, width), run in runs]
    return torch.cat(pooled)[packed.back]


def pool(model: Any, hidden_BWH: torch.Tensor) -> torch.Tensor:
    """Embeddings [B, D] that the modules after the transformer make of the hidden states of texts
    without padding."""
    features: dict[str, Any] = {
        "token_embeddings": hidden_BWH,
        "attention_mask": torch.ones(hidden_BWH.shape[:2], dtype=torch.long),
    }
    for module in list(model)[1:]:
        features = module(features)
    embeddings: torch.Tensor = features["sentence_embedding"]
    return embeddings
