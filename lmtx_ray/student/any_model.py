"""Any sentence-transformers folder, by the library itself: for training, and for encoders that
`student.bert` does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from lmtx_ray.student.model_folder import model_folder
from lmtx_ray.student.packed_bert import pool


def load_model(model: str, device: str | None = None) -> SentenceTransformer:
    """A sentence-transformers model in fp32, without remote code, from safetensors only."""
    return SentenceTransformer(
        model_folder(model),
        device=device,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True, "torch_dtype": torch.float32},
    )


class AnyModel:
    """A model as `student.encoder` uses it: texts to ids, ids to embeddings."""

    def __init__(self, folder: str) -> None:
        self.library = load_model(folder).eval().requires_grad_(False)
        self.inner: Any = getattr(self.library[0], "auto_model", None)
        self.dimensions = int(self.library.get_embedding_dimension() or 0)

    def to_bfloat16(self) -> None:
        """Compute in bfloat16 from now on."""
        self.library.to(torch.bfloat16)

    def tokenize(self, texts: Sequence[str], cut: int) -> list[list[int]]:
        """Token ids of each text, at most `cut` of them."""
        ids: list[list[int]] = self.library.tokenizer(list(texts), truncation=True, max_length=cut)[
            "input_ids"
        ]
        return ids

    def embed(self, ids: Sequence[Sequence[int]], width: int) -> torch.Tensor:
        """Embeddings [B, D] of texts padded to `width` tokens."""
        batch = self.library.tokenizer.pad(
            {"input_ids": list(ids)}, return_tensors="pt", padding="max_length", max_length=width
        ).to(self.library.device)
        embeddings: torch.Tensor = self.library(dict(batch))["sentence_embedding"]
        return embeddings

    def pool(self, hidden_BWH: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, D] of the hidden states of texts without padding."""
        return pool(self.library, hidden_BWH)
