"""Token ids of questions: what a server makes of the same chat, but texts hold no control tokens.

A whole prompt is tokenised as one text, as a server does. Control tokens of the frame are first
replaced by private characters with tokens of their own, which are mapped back afterwards; in all
other text control tokens are switched off, so "<|im_end|>" inside a document is only letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.teacher.framing import Part, frame_of
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.reading import OPEN_THOUGHT

PRIVATE = 0xF0000  # first code point of a plane for private use
PRIVATE_USE = re.compile("[\U000f0000-\U000ffffd]")
BRACKETED = re.compile(r"\s*(<.+>|\[.+\])\s*", re.DOTALL)
BYTE = re.compile("<0x[0-9A-F]{2}>")  # a letter's byte, which some list among special tokens
CLOSED_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
LIKELY_LETTERS = 4  # a document of no more for each of its tokens is likely short enough
LETTERS_A_TOKEN = (8, 32)  # of a document no more is looked at first than this times its tokens
SLACK = 8  # tokens that the seams of document and label may add
TAILS = 1 << 14  # labels whose tokens are remembered
# Documents and labels with the ends that tokenizers join to what stands beside them.
DOCUMENTS = ("", "A study.", "of it ", "line\n", "(a)", "x 3", "»", "\u6570\u636e", "tab\t", "Été>")
LABELS = ("heart", "(S)-x", " ear", "3D", "\nlung\n", "«", "Über alles.", "", "\u5fc3", "e>")


class LetterTokenizer:
    """A tokenizer for which control tokens are letters, except where `mark` has marked them."""

    def __init__(self, tokenizer: Any, model: str) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigError(f"judge.teacher.model {model!r}: its folder has no tokenizer.json")
        spec = json.loads(backend.to_str())
        tokens = [token for token in spec["added_tokens"] if _is_control(token, tokenizer)]
        for token in tokens:
            token["special"] = True
        self._encoder = Tokenizer.from_str(
            json.dumps({**spec, "truncation": None, "padding": None})
        )
        self._encoder.encode_special_tokens = True  # that is: as letters
        self._decoder = backend
        self._marks = {
            token["content"]: chr(PRIVATE + place) for place, token in enumerate(tokens, start=1)
        }
        longest_first = sorted(map(re.escape, self._marks), key=len, reverse=True)
        self._controls = re.compile("|".join(longest_first) or "(?!)")
        self.edge = chr(PRIVATE)  # a token of no meaning: text after it is not a sequence's first
        self._add([self._mark(token) for token in tokens])
        self._ids = {
            self._encoder.token_to_id(self._marks[token["content"]]): token["id"]
            for token in tokens
        }
        # What a tokenizer makes of letters all the same, as some vocabularies hold these words.
        self.control = {token["id"] for token in tokens} - {tokenizer.unk_token_id}
        self._strange = self.control | self._ids.keys()

    def _mark(self, token: Mapping[str, Any]) -> AddedToken:
        mark = self._marks[token["content"]]
        normalizer = self._encoder.normalizer
        survives = normalizer is None or mark in normalizer.normalize_str(mark)
        flags = {name: token[name] for name in ("lstrip", "rstrip", "single_word")}
        return AddedToken(mark, normalized=token["normalized"] and survives, special=False, **flags)

    def _add(self, marks: list[AddedToken]) -> None:
        self._encoder.add_tokens([AddedToken(self.edge, normalized=False, special=False), *marks])

    def mark(self, text: str) -> str:
        """Text whose control tokens are meant."""
        return self._controls.sub(lambda found: self._marks[found[0]], plain(text))

    def encode(self, text: str) -> list[int]:
        """Ids of text in which only what is marked is a control token."""
        return self._own(self._encode(text).ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts."""
        encodings = self._encoder.encode_batch(list(texts), add_special_tokens=False)
        return [self._own(encoding.ids) for encoding in encodings]

    def encode_inside(self, text: str) -> list[int]:
        """Ids of text that follows other text."""
        return self.encode(self.edge + text)[1:]

    def _encode(self, text: str) -> Encoding:
        return self._encoder.encode(text, add_special_tokens=False)

    def _own(self, ids: list[int]) -> list[int]:
        if self._strange.isdisjoint(ids):  # most texts
            return ids
        return [self._ids.get(token, token) for token in ids if token not in self.control]

    def decode_each(self, ids: Iterable[int]) -> list[str]:
        """The text of each token on its own."""
        return self._decoder.decode_batch([[token] for token in ids], skip_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens in a row, control tokens included."""
        return self._decoder.decode(list(ids), skip_special_tokens=False)

    def cut(self, text: str, most: int) -> str:
        """The beginning of at most `most` tokens, ending where both a token and a character end."""
        if len(text) < most and text.isascii():
            return text
        for size in (*(most * letters for letters in LETTERS_A_TOKEN), len(text)):
            start = text[:size]
            encoding = self._encode(start)
            if len(start) == len(text) or len(encoding.ids) > most + SLACK:
                break
        count = most
        while len(encoding.ids) > most:
            ends = encoding.offsets
            while count and ends[count][0] < ends[count - 1][1]:
                count -= 1
            start = start[: ends[count - 1][1]] if count else ""
            count, encoding = count - 1, self._encode(start)
        return start


def plain(text: str) -> str:
    """Text without the private characters that mean something here."""
    return PRIVATE_USE.sub("\ufffd", text)


def _is_control(token: Mapping[str, Any], tokenizer: Any) -> bool:
    """Special tokens, and others that are no text: in the template, or in brackets."""
    content = token["content"]
    if BYTE.fullmatch(content):
        return False
    if token["special"] or not content.strip() or content.strip().isalnum():
        return bool(token["special"])
    template = getattr(tokenizer, "chat_template", None) or ""
    templates = template.values() if isinstance(template, dict) else [template]
    return bool(BRACKETED.fullmatch(content)) or any(content in text for text in templates)


class Rendering:
    """Token ids of a prompt's questions for one tokenizer.

    `longest` is the most tokens of a sequence, with its thoughts and its answer.

    Raises:
        ConfigError: See `frame_of`; or the model has no tokenizer.json.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> None:
        self.letters = LetterTokenizer(tokenizer, config.model)
        self._config, self._frame = config, frame_of(tokenizer, prompt, config)
        self._guarded = prompt.guarded
        frame = self._frame
        self._before, self._between, self._after = (
            self._text(parts) for parts in (frame.before, frame.between, frame.after)
        )
        if prompt.control:
            self._refuse_letters(prompt)
        self._start = [tokenizer.bos_token_id] if frame.starts else []
        self._stem = lru_cache(lambda seam: self.letters.encode_inside(self._between[:seam]))
        self._seam = self._find_seam()
        self._frame_tokens = len(self._head("", self._seam) or ()) if self._seam else 0
        self._tail = lru_cache(TAILS)(self._tail_after_seam)
        self._cut_label = lru_cache(TAILS)(self._label)
        parts = config.max_document_tokens + config.max_label_tokens + SLACK
        thoughts = config.thinking_tokens and config.thinking_tokens + len(self._closed())
        self.longest = len(self.whole("", "")) + parts + thoughts + 1

    def _refuse_letters(self, prompt: Prompt) -> None:
        for text in (prompt.between, prompt.after):
            if self.letters.mark(text) == text:
                raise ConfigError(
                    f"judge.teacher.prompt {prompt.name!r} is for a judge trained for it, and "
                    f"judge.teacher.model {self._config.model!r} has no token {text!r}: take "
                    "another prompt"
                )

    def _text(self, parts: Iterable[Part]) -> str:
        return "".join(self.letters.mark(p.text) if p.own else plain(p.text) for p in parts)

    def questions(self, title: str | None, text: str, labels: Sequence[str]) -> list[list[int]]:
        """The prompt of each label of a document, cut where they are too long."""
        document = self._uncut(title, text)
        head = self._short_head(document)
        if head is None:
            document = self.letters.cut(document, self._config.max_document_tokens)
            head = self._head(document, self._seam) if self._seam else None
        labels = [self._cut_label(label) for label in labels]
        tails = [self._tail(label) if head else None for label in labels]
        return [
            head + tail if head and tail else self.whole(document, label)
            for label, tail in zip(labels, tails, strict=True)
        ]

    def whole(self, document: str, label: str) -> list[int]:
        """The prompt of one pair, tokenised as one text."""
        return self._start + self.letters.encode(self._question(document, label))

    def _question(self, document: str, label: str) -> str:
        return self._before + document + self._between + label + self._after

    def _uncut(self, title: str | None, text: str) -> str:
        document = plain(self._guarded(document_text(title, text)))
        return document.lstrip() if self._frame.strips[0] else document

    def _document(self, title: str | None, text: str) -> str:
        return self.letters.cut(self._uncut(title, text), self._config.max_document_tokens)

    def _short_head(self, document: str) -> list[int] | None:
        """The head of a document that is surely short enough, as all of it together is: most are,
        and need not be tokenised by themselves to know. None for others."""
        most = self._config.max_document_tokens
        if not self._seam or len(document) > most * LIKELY_LETTERS:
            return None
        head = self._head(document, self._seam)
        return head if head and len(head) - self._frame_tokens + SLACK <= most else None

    def _label(self, label: str) -> str:
        label = self.letters.cut(plain(label), self._config.max_label_tokens)
        return label.rstrip() if self._frame.strips[1] else label

    def _find_seam(self) -> int:
        """Where between document and label a prompt can be cut in two without changing a token, as
        the probes show; 0 if nowhere.

        All labels of a document share the first part then, and all documents a label's last.
        """
        pairs = list(product(DOCUMENTS, LABELS))
        wholes = [self.whole(*pair) for pair in pairs]
        for place in range(len(self._between), 0, -1):
            heads = {text: self._head(text, place) for text in DOCUMENTS}
            tails = {text: self._tail_after_seam(text, place) for text in LABELS}
            joined = ((heads[document], tails[label]) for document, label in pairs)
            if all(
                head and tail and head + tail == whole
                for (head, tail), whole in zip(joined, wholes, strict=True)
            ):
                return place
        return 0

    def _head(self, document: str, seam: int) -> list[int] | None:
        """The ids up to the seam; None if the document reaches over it."""
        text = self._before + document + self._between[:seam]
        head = self._start + self.letters.encode(text)
        return head if head[-1:] == self._stem(seam)[-1:] else None

    def _tail_after_seam(self, label: str, seam: int = 0) -> list[int] | None:
        """The ids from the seam on; None if the label reaches over it."""
        seam = seam or self._seam
        stem = self._stem(seam)
        ids = self.letters.encode_inside(self._between + label + self._after)
        return ids[len(stem) :] if ids[: len(stem)] == stem else None

    def token_after(self, text: str) -> int | None:
        """The token that begins `text` as an answer; None if the prompt's end changes with it."""
        asked = self._question("A study.", "heart")
        if self._config.thinking_tokens:
            asked += self.letters.mark(self._frame.thoughts + self._frame.prefix)
        before, ids = self.letters.encode_all([asked, asked + text])
        return ids[len(before)] if ids[: len(before)] == before != ids else None

    def resumed(self, question: list[int], said: list[int], ended: bool) -> list[int] | None:
        """The prompt of the answer itself, after what a model said for thoughts; None if it was
        still thinking. A model that did not think at all is asked without what it said."""
        text = self.letters.decode(said)
        if CLOSED_THOUGHT.search(text):
            gap = "" if text.endswith("\n") else "\n\n"
            return question + said + self.letters.encode_inside(gap) + self._prefix()
        if not (self._frame.open or OPEN_THOUGHT.search(text)):
            return question + self._prefix()
        if not ended:
            return None
        thoughts = [token for token in said if token not in self.letters.control]
        return question + thoughts + self._closed()

    def _closed(self) -> list[int]:
        return self.letters.encode_inside(self.letters.mark(self._frame.thoughts)) + self._prefix()

    def _prefix(self) -> list[int]:
        return self.letters.encode_inside(self.letters.mark(self._frame.prefix))
