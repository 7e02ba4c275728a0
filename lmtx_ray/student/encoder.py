"""The student: texts to unit vectors, with any sentence-transformers folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import gcd
from typing import Any, Literal, Protocol

import numpy as np
import torch

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.io import progress
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.search.hardware import has_int8, uses_bfloat16
from lmtx_ray.student import bert
from lmtx_ray.student.batching import packs
from lmtx_ray.student.int8_bert import Int8Bert, is_supported
from lmtx_ray.student.model_folder import check_lengths, model_folder

# Tokens: of a multiple of them a matrix product sums each row alike, however many there are.
ROWS = 8
WIDTH_STEPS = {"document": ROWS, "label": 1}  # label sets are large: one width fills whole batches
PACK_TOKENS = 2048  # in int8; each pack reads all weights once
Kind = Literal["document", "label"]
Embedded = tuple[list[int], torch.Tensor]  # places of B texts, and their embeddings_BD


class TextModel(Protocol):
    """What the encoder needs of a model; B texts, embeddings of D numbers."""

    inner: Any  # the transformer itself, None if there is none
    dimensions: int

    def to_bfloat16(self) -> None:
        """Compute in bfloat16 from now on."""

    def tokenize(self, texts: Sequence[str], cut: int) -> list[list[int]]:
        """Token ids of each text, at most `cut` of them."""

    def embed(self, ids: Sequence[Sequence[int]], width: int) -> torch.Tensor:
        """Embeddings [B, D] of texts padded to `width` tokens."""

    def pool(self, hidden_BWH: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, D] of the hidden states of texts without padding."""


def load_text_model(model: str) -> TextModel:
    """A model for encoding: the one that loads fast where it knows the folder, else the library's.

    Raises:
        ConfigError: A folder that is not there or holds no model.
    """
    folder = model_folder(model)
    if not torch.accelerator.is_available() and bert.is_known(folder):
        return bert.PlainBert(folder)
    from lmtx_ray.student.any_model import AnyModel  # takes seconds to import

    return AnyModel(folder)


def padded(length: int, step: int) -> int:
    """The width a text of `length` tokens is padded to, a multiple of `step`: a function of the
    text alone."""
    return max(-(-length // step), 1) * step


def equal_width_batches(lengths: Sequence[int], budget: int, step: int) -> list[list[int]]:
    """Positions in batches of one padded width, each within `budget` tokens, widest first; texts
    without a token are in none."""
    widths: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        if length:
            widths.setdefault(padded(length, step), []).append(place)
    batches = []
    for width in sorted(widths, reverse=True):
        places, most = widths[width], max(budget // width, 1)
        batches += [places[start : start + most] for start in range(0, len(places), most)]
    return batches


class Encoder:
    """encode(texts) -> float32 unit vectors.

    A text's bits depend on the text, the settings and the machine, not on what else is in the call:
    kernels sum in another order for another width, so a text is padded to a width of its own
    length's and travels only with texts of that width, in whole `ROWS` of tokens. Batch and online
    answers agree by this.
    In int8 there is no padding, see `int8_bert`.
    """

    def __init__(
        self, config: EncoderConfig, model: str | None = None, examples: Sequence[str] = ()
    ) -> None:
        """With `examples`, texts that set the ranges of int8, dtype "auto" takes int8 where machine
        and model can."""
        torch.set_num_threads(config.threads or min(torch.get_num_threads(), usable_cores()))
        self._config = config
        self._model = load_text_model(model or config.model)
        self._int8 = self._in_int8(examples) if examples else None
        if self._int8 is None and uses_bfloat16(config.dtype):
            self._model.to_bfloat16()

    def _in_int8(self, examples: Sequence[str]) -> Int8Bert | None:
        inner = self._model.inner
        if self._config.dtype != "auto" or not has_int8() or not inner or not is_supported(inner):
            return None
        ids = self.tokenize(examples, self._config.max_tokens)
        return Int8Bert(inner, lambda: list(self._padded(ids, "document")))

    def check_lengths(self) -> None:
        """Raise ConfigError where texts are cut behind what the model can read: the first long one
        would fail."""
        config = self._config
        check_lengths(self._model.inner, "encoder", config.max_tokens, config.label_tokens)

    @property
    def max_tokens(self) -> int:
        """Where documents are cut."""
        return self._config.max_tokens

    @property
    def dimensions(self) -> int:
        """D, the width of a vector."""
        return self._model.dimensions

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """float32 [N, D] in the order of `texts`; documents and labels are cut and padded
        differently. A text without a token is the zero vector."""
        cut = self._config.max_tokens if kind == "document" else self._config.label_tokens
        vectors_ND = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return vectors_ND
        ids = self.tokenize(texts, cut)
        embedded = self._packed(ids) if self._int8 else self._padded(ids, kind)
        with torch.inference_mode():
            for places, embeddings_BD in embedded:
                unit_BD = torch.nn.functional.normalize(embeddings_BD.float(), dim=1)
                vectors_ND[places] = unit_BD.cpu().numpy()
                progress.advance(len(places))
        return vectors_ND

    def _padded(self, ids: Sequence[Sequence[int]], kind: Kind) -> Iterator[Embedded]:
        lengths, step = [len(row) for row in ids], WIDTH_STEPS[kind]
        for places in equal_width_batches(lengths, self._config.token_budget, step):
            width = padded(max(lengths[place] for place in places), step)
            repeated = -len(places) % (ROWS // gcd(width, ROWS))
            rows = [ids[place] for place in [*places, *places[:1] * repeated]]
            yield places, self._model.embed(rows, width)[: len(places)]

    def _packed(self, ids: Sequence[Sequence[int]]) -> Iterator[Embedded]:
        assert self._int8 is not None
        for pack in packs([len(row) for row in ids], PACK_TOKENS):
            hidden = self._int8([ids[place] for place in pack])
            groups = groupby(pack, key=lambda place: len(ids[place]))
            for (_, places), hidden_BWH in zip(groups, hidden, strict=True):
                yield list(places), self._model.pool(hidden_BWH)

    def tokenize(self, texts: Sequence[str], cut: int) -> list[list[int]]:
        """Token ids of each text, at most `cut` of them."""
        return self._model.tokenize(texts, cut)
