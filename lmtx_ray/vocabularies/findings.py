"""What is found odd in a label set: kinds, how bad each is, and how it is told."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

ERROR, WARNING, NOTE = "error", "warning", "note"
KINDS = {  # kind -> (how bad, what it is)
    "not_a_label": (ERROR, "rows that are no label, or have the key of an earlier row"),
    "circle": (ERROR, "circles in the hierarchy"),
    "unknown_parent": (WARNING, "parents that are no label"),
    "same_text": (WARNING, "labels called exactly the same"),
    "nearly_same_text": (WARNING, "labels that differ in case, accents, plural or signs alone"),
    "taken_alias": (WARNING, "aliases that are the name of another label"),
    "long_text": (WARNING, "texts that the encoder cuts"),
    "same_words": (NOTE, "labels of the same words in another order"),
    "one_letter_apart": (NOTE, "labels that differ in one letter: a typing error?"),
    "never_suggested": (NOTE, "labels that no document got"),
    "always_together": (NOTE, "labels that always come together"),
    "unknown_tag": (WARNING, "tags that are no label of this set"),
}
FIELDS = ("severity", "kind", "label_key", "text", "others", "detail")
MOST_SHOWN = 3  # findings of a kind


@dataclass(frozen=True)
class Finding:
    """One thing that is odd. `others` are keys of the other labels it is about."""

    kind: str
    label_key: str
    text: str
    others: tuple[str, ...] = ()
    detail: str = ""

    @property
    def severity(self) -> str:
        """How bad it is."""
        return KINDS[self.kind][0]

    def shown(self) -> str:
        """On one line."""
        others = f" ~ {', '.join(self.others[:5])}" if self.others else ""
        text = f"{self.label_key} ({self.text})" if self.text else self.label_key
        return f"{text[:120]}{others}{self.detail and f': {self.detail[:160]}'}"


@dataclass
class Report:
    """All findings of a label set, counted; the first ones of each kind are kept."""

    labels: int
    checked: list[str] = field(default_factory=list)  # what was looked at, in words
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[Finding]] = field(default_factory=dict)

    def gather(self, findings: Iterable[Finding], output: TextIO | None = None) -> None:
        """Count findings, and write each as a line of CSV."""
        lines = csv.writer(output, lineterminator="\n") if output else None
        if lines:
            lines.writerow(FIELDS)
        for one in findings:
            self.counts[one.kind] = self.counts.get(one.kind, 0) + 1
            kept = self.first.setdefault(one.kind, [])
            if len(kept) < MOST_SHOWN:
                kept.append(one)
            if lines:
                cells = asdict(one) | {"severity": one.severity, "others": "|".join(one.others)}
                lines.writerow([cells[name] for name in FIELDS])

    def count(self, severity: str) -> int:
        """Findings of one severity."""
        return sum(number for kind, number in self.counts.items() if KINDS[kind][0] == severity)

    def failed(self, strict: bool) -> bool:
        """Whether the exit code says that something is wrong."""
        return bool(self.count(ERROR) or (strict and self.count(WARNING)))

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "labels": self.labels,
            "errors": self.count(ERROR),
            "warnings": self.count(WARNING),
            "notes": self.count(NOTE),
            "findings": self.counts,
            "first": {kind: [asdict(one) for one in own] for kind, own in self.first.items()},
        }

    def in_words(self) -> Iterator[str]:
        """For people, the worst first."""
        yield f"{self.labels:,} labels; looked at {', '.join(self.checked)}"
        for severity in (ERROR, WARNING, NOTE):
            for kind in self._kinds(severity):
                yield f"{severity}: {KINDS[kind][1]}: {self.counts[kind]:,}"
                yield from (f"    {one.shown()}" for one in self.first[kind])
                if self.counts[kind] > MOST_SHOWN:
                    yield "    …"
        numbers = (self.count(ERROR), self.count(WARNING), self.count(NOTE))
        yield "errors: {:,}, warnings: {:,}, notes: {:,}".format(*numbers)

    def _kinds(self, severity: str) -> Sequence[str]:
        return [kind for kind, (own, _) in KINDS.items() if own == severity and kind in self.counts]
