"""The tokens that spell an answer: all of a vocabulary, and the one that follows the prompt."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.reading import Words, spelling_of, word_meant
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
    """Tokens after the prompt that spell a word. Where only " nein" is one token, and neither
    "Nein" nor "nein", also those that begin it and no other word, as a model would say it so."""
    cases = (word.capitalize(), word, word.upper())
    firsts = _firsts(rendering, [space + case for case in cases for space in ("", " ")])
    spelt = [token for token, text in firsts.items() if spelling_of(text, words) == word]
    if not spelt:
        raise ConfigError(
            f"judge.teacher.model {model!r}: after the prompt no single token spells the answer "
            f"{word!r}; take another model, or a judge.teacher.prompt with other answers"
        )
    plain = _firsts(rendering, cases)
    if plain.keys().isdisjoint(spelt):
        spelt += [t for t, text in plain.items() if word_meant(text, words, words) == word]
    return spelt


def _firsts(rendering: Rendering, texts: Iterable[str]) -> dict[int, str]:
    """The first tokens of some texts after the prompt, with what each is alone."""
    tokens = [token for text in texts if (token := rendering.token_after(text)) is not None]
    return dict(zip(tokens, rendering.letters.decode_each(tokens), strict=True))
