"""What is remembered of parts of texts gives what the whole texts would."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.corpus.words import words
from lmtx_ray.loop.text_tokens import _PartCounts, token_counter
from lmtx_ray.student.model_folder import model_folder
from lmtx_ray.vocabularies import repeats
from lmtx_ray.vocabularies.repeats import Folding, groups

PARTS = ["Hearts", "of", "é", "e\u0301", "हिन्दी", "हि", "ट्", "心臓", "か", "\u3099", "TNFα"]
PARTS += ["\u00ad", "++", " ", "\u00a0", "\u2028", "-", "İ"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=9).map("".join)


@settings(deadline=None, max_examples=150)
@given(st.one_of(TEXTS, st.text(max_size=12)))
def test_words_of_a_text_are_those_between_its_spaces(text: str) -> None:
    folding = Folding()
    if words(text):
        assert folding.text(text) == folding.text(text) == " ".join(words(text))


def test_not_more_is_remembered_than_said(monkeypatch) -> None:
    monkeypatch.setattr(repeats, "MOST_PARTS", 3)
    folding = Folding()
    assert [folding.text(f"Hearts {n}") for n in range(9)] == [f"heart {n}" for n in range(9)]
    assert len(folding) <= 3


@functools.cache
def whole_texts() -> Any:
    """The tokenizer itself, of texts as they are."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model_folder("minilm")) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


counter = functools.cache(token_counter)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(TEXTS, st.just("[SEP] a"), st.just("x" * 120)), max_size=4))
def test_tokens_of_a_text_are_those_between_its_spaces(texts: list[str]) -> None:
    count, unit = counter("minilm")
    assert (unit, type(count)) == ("tokens", _PartCounts)
    assert count(texts) == [len(one.ids) for one in whole_texts().encode_batch(texts)]


@given(st.lists(st.sampled_from(["a", "b", "c", "", "é"]), max_size=9))
def test_groups_are_equal_texts_in_the_order_of_their_first(texts: list[str]) -> None:
    places = {text: [n for n, one in enumerate(texts) if one == text] for text in texts}
    assert groups(texts) == [group for group in places.values() if len(group) > 1]
