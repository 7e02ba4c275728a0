"""The tokens that spell an answer: all of a vocabulary, and the one that follows the prompt."""

from __future__ import annotations

from itertools import zip_longest

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.reading import Words, spelling_of
from lmtx_ray.teacher.rendering import Rendering

MOST_TOKENS = 128  # of which an engine tells log-probabilities


def answer_tokens(
    rendering: Rendering, words: Words, vocabulary: int, model: str
) -> dict[int, str]:
    """{token id: the word it spells}, likely spellings first where there are too many.

    Raises:
        ConfigError: After this prompt no token spells a word.
    """
    found: dict[str, dict[int, None]] = {word: {} for word in words}
    for word, tokens in found.items():
        tokens.update(dict.fromkeys(_in_context(rendering, word, words, model)))
    texts = rendering.letters.decode_each(range(vocabulary))
    for _, token in sorted((len(text), token) for token, text in enumerate(texts)):
        spelt = spelling_of(texts[token], words)
        if spelt and token not in rendering.letters.control:
            found[spelt][token] = None
    rounds = zip_longest(*([(token, word) for token in found[word]] for word in words))
    fair = [pair for places in rounds for pair in places if pair]  # each word in turn
    return dict(fair[:MOST_TOKENS])


def _in_context(rendering: Rendering, word: str, words: Words, model: str) -> list[int]:
    cases = (word.capitalize(), word, word.upper())
    firsts = [rendering.token_after(space + case) for case in cases for space in ("", " ")]
    texts = rendering.letters.decode_each(token for token in firsts if token is not None)
    tokens = [token for token in firsts if token is not None]
    spelt = [
        token for token, text in zip(tokens, texts, strict=True) if spelling_of(text, words) == word
    ]
    if not spelt:
        raise ConfigError(
            f"judge.teacher.model {model!r}: after the prompt no single token spells the answer "
            f"{word!r}; take another model, or a judge.teacher.prompt with other answers"
        )
    return spelt
