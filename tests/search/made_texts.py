"""Labels, some with aliases, and documents of the same words, few of them in most."""

from __future__ import annotations

import random

Made = tuple[list[list[str]], list[str]]


def made_texts() -> Made:
    """3000 labels and 70 documents, always the same."""
    draw = random.Random(1)
    known = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 7))) for _ in range(300)]

    def text(most: int) -> str:
        places = (min(int(draw.paretovariate(0.5)), 299) for _ in range(draw.randint(0, most)))
        return " ".join(known[place] for place in places)

    labels = [[text(5), *(text(4) for _ in range(draw.choice([0, 0, 3])))] for _ in range(3000)]
    return labels, [text(60) for _ in range(70)]
