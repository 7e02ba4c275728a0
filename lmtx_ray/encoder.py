"""The student: texts to unit vectors, with any sentence-transformers folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from lmtx_ray import storage
from lmtx_ray.config_models import EncoderConfig, resolve_model
from lmtx_ray.hardware import uses_bfloat16

WIDTH_STEP = 8  # tokens


def load_model(model: str, device: str | None = None) -> SentenceTransformer:
    """A sentence-transformers model in fp32, without remote code, from safetensors only."""
    folder = storage.local_copy(model) if "://" in model else model
    return SentenceTransformer(
        folder,
        device=device,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True, "torch_dtype": torch.float32},
    )


def padded(length: int) -> int:
    """The width a text of `length` tokens is padded to: a function of the text alone."""
    return max(-(-length // WIDTH_STEP), 1) * WIDTH_STEP


def equal_width_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions in batches of one padded width, each within `budget` tokens, widest first."""
    widths: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        widths.setdefault(padded(length), []).append(place)
    batches = []
    for width in sorted(widths, reverse=True):
        places, most = widths[width], max(budget // width, 1)
        batches += [places[start : start + most] for start in range(0, len(places), most)]
    return batches


class Encoder:
    """encode(texts) -> float32 unit vectors.

    A text's bits depend on the text, the settings and the machine, not on what else is in the call:
    kernels sum in another order for another width, so a text is padded to a width of its own
    length's and travels only with texts of that width. Batch and online answers agree by this.
    """

    def __init__(self, config: EncoderConfig, model: str | None = None) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self._config = config
        self._model = load_model(resolve_model(model or config.model)).eval()
        if uses_bfloat16(config.dtype):
            self._model.to(torch.bfloat16)

    @property
    def max_tokens(self) -> int:
        """Where documents are cut."""
        return self._config.max_tokens

    @property
    def dimensions(self) -> int:
        """D, the width of a vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str], kind: Literal["document", "label"]) -> np.ndarray:
        """float32 [N, D] in the order of `texts`; documents and labels are cut differently."""
        cut = self._config.max_tokens if kind == "document" else self._config.label_tokens
        vectors_ND = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return vectors_ND
        ids = self.tokenize(texts, cut)
        for places in equal_width_batches([len(row) for row in ids], self._config.token_budget):
            batch = self._model.tokenizer.pad(
                {"input_ids": [ids[place] for place in places]}, return_tensors="pt",
                pad_to_multiple_of=WIDTH_STEP,
            ).to(self._model.device)  # fmt: skip
            with torch.inference_mode():
                embeddings = self._model(dict(batch))["sentence_embedding"].float()
            unit = torch.nn.functional.normalize(embeddings, dim=1)
            vectors_ND[places] = unit.cpu().numpy()
        return vectors_ND

    def tokenize(self, texts: Sequence[str], cut: int) -> list[list[int]]:
        """Token ids of each text, at most `cut` of them."""
        return self._model.tokenizer(list(texts), truncation=True, max_length=cut)["input_ids"]
