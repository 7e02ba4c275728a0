"""Prompts that begin alike as one sequence, in which what they share stands once.

A step is a sequence of tokens without padding:

    root | document 1 | its endings | document 2 | its endings | …

The root is how all prompts of the step begin, a document's part is what its own prompts share, and
an ending is the rest of one prompt. Each token attends to what stands before it in its own prompt
and to nothing else, and has the position that it has there: so a step computes what the prompts one
by one would. Which prompts make a step depends on the prompts alone, in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Prompt = list[int]
GROUP_TOKENS = 128  # of endings that share one product of attention: each pair in it is computed


@dataclass(frozen=True)
class Limits:
    """Most tokens and most prompts of a step."""

    tokens: int
    prompts: int


@dataclass(frozen=True)
class Shared:
    """Prompts of one document: `start` stands once, each of `endings` (never empty) for one."""

    start: Prompt
    endings: tuple[Prompt, ...]

    @property
    def tokens(self) -> int:
        """Of all that stands in the sequence."""
        return len(self.start) + sum(map(len, self.endings))


@dataclass(frozen=True)
class Block:
    """Rows [first, last) of a step and what they attend to: all of each span of `before`, and among
    themselves those before them in the same one of `pieces` (their lengths)."""

    first: int
    last: int
    before: tuple[tuple[int, int], ...]
    pieces: tuple[int, ...]


@dataclass
class Step:
    """One sequence. `ends` are the rows of the prompts' last tokens, in their order."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def _put(self, pieces: Sequence[Prompt], at: int, before: tuple[tuple[int, int], ...]) -> None:
        """Pieces that all begin at position `at`."""
        first = len(self.tokens)
        for piece in pieces:
            self.tokens += piece
            self.positions += range(at, at + len(piece))
        lengths = tuple(map(len, pieces))
        self.blocks.append(Block(first, len(self.tokens), before, lengths))


def begins_alike(prompts: Sequence[Prompt]) -> Prompt:
    """The longest beginning that all have: the one that the first and the last in order have."""
    first, last = min(prompts), max(prompts)
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:place]
    return first


def shared(prompts: Sequence[Prompt], most_tokens: int) -> list[Shared]:
    """A document's prompts; in several parts, each with its own beginning, where one would have
    more tokens than a step may."""
    if not prompts:
        return []
    least = min(map(len, prompts)) - 1  # an ending has a token: the one that the answer follows
    start = begins_alike(prompts)[:least]
    parts: list[list[Prompt]] = [[]]
    room = most_tokens - len(start)
    for prompt in prompts:
        ending = prompt[len(start) :]
        if parts[-1] and len(ending) > room:
            parts.append([])
            room = most_tokens - len(start)
        parts[-1].append(ending)
        room -= len(ending)
    return [Shared(start, tuple(part)) for part in parts]


def steps(documents: Iterable[Sequence[Prompt]], limits: Limits) -> Iterable[list[Shared]]:
    """Documents' prompts by steps, in order; a step is over its limits only with one part."""
    step: list[Shared] = []
    tokens = prompts = 0
    for document in documents:
        for part in shared(document, limits.tokens):
            tokens, prompts = tokens + part.tokens, prompts + len(part.endings)
            if step and (tokens > limits.tokens or prompts > limits.prompts):
                yield step
                step, tokens, prompts = [], part.tokens, len(part.endings)
            step.append(part)
    if step:
        yield step


def pack(parts: Sequence[Shared]) -> Step:
    """One step's sequence."""
    starts = [part.start for part in parts]
    root = begins_alike(starts) if len(parts) > 1 else []
    step = Step()
    spans: tuple[tuple[int, int], ...] = ()
    if root:
        step._put([root], 0, ())
        spans = ((0, len(root)),)
    for part in parts:
        _put_document(step, part, len(root), spans)
    return step


def _put_document(
    step: Step, part: Shared, skipped: int, before: tuple[tuple[int, int], ...]
) -> None:
    own = part.start[skipped:]
    if own:
        first = len(step.tokens)
        step._put([own], skipped, before)
        before = (*before, (first, len(step.tokens)))
    for group in _groups(part.endings):
        row = len(step.tokens)
        step._put(group, len(part.start), before)
        for ending in group:
            row += len(ending)
            step.ends.append(row - 1)


def _groups(endings: Sequence[Prompt]) -> Iterable[list[Prompt]]:
    group: list[Prompt] = []
    tokens = 0
    for ending in endings:
        tokens += len(ending)
        if group and tokens > GROUP_TOKENS:
            yield group
            group, tokens = [], len(ending)
        group.append(ending)
    yield group
