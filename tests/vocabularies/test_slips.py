"""Names one letter apart: what is one, that all are found, and with how few comparisons."""

from __future__ import annotations

import random

import pytest

from lmtx_ray.vocabularies import slips
from lmtx_ray.vocabularies.repeats import Names
from lmtx_ray.vocabularies.slips import is_slip, one_letter_apart


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("radiocarbon dating", "radiocarbn dating", True),
        ("radiocarbon dating", "radoicarbon dating", True),
        ("radiocarbon", "radiocarbom", True),
        ("hepatitis a", "hepatitis b", False),  # short words differ on purpose
        ("interleukin2", "interleukin3", False),  # and so do numbers
        ("radiocarbon", "radiocarb", False),
        ("cat", "cats eye", False),
    ],
)
def test_a_slip_is_one_letter_of_a_long_word(one: str, other: str, expected: bool) -> None:
    assert is_slip(one, other) is expected
    assert is_slip(other, one) is expected


def test_every_slip_is_found_as_by_comparing_all_with_all() -> None:
    draw = random.Random(3)
    made = ["".join(draw.choices("abcd", k=draw.randint(5, 12))) for _ in range(120)]
    made += [f"{text[:place]}{draw.choice('abcd')}{text[place + draw.randint(0, 1) :]}"
             for text in made for place in [draw.randrange(len(text))]]  # fmt: skip
    names = Names([str(n) for n in range(len(made))], made)
    texts = {text: str(place) for place, text in reversed(list(enumerate(names.folded)))}
    expected = {
        frozenset((texts[one], texts[other]))
        for one in texts
        for other in texts
        if one < other and is_slip(one, other)
    }
    found = [frozenset((one.label_key, *one.others)) for one in one_letter_apart(names)]
    long = {pair for pair in expected if all(len(names.folded[int(n)]) > 5 for n in pair)}
    assert long <= set(found) <= expected
    assert len(found) == len(set(found))
    assert len(long) > 50


def test_it_does_not_matter_which_word_it_is() -> None:
    draw = random.Random(4)
    made = [" ".join(draw.choices(["abacus", "radius", "cat", "corona"], k=draw.randint(1, 4)))
            for _ in range(60)]  # fmt: skip
    made += [text.replace("us", "su", 1) for text in made] + [f"{text}x" for text in made]
    names = Names([str(n) for n in range(len(made))], made)
    texts = sorted({text for text in names.folded if len(text) > slips.SHORTEST})
    expected = {
        (n, m)
        for n, one in enumerate(texts)
        for m, other in enumerate(texts)
        if n < m and is_slip(one, other)
    }
    assert slips.slips(texts) == sorted(expected)
    assert len(expected) > 30


@pytest.mark.parametrize(
    "name",
    [
        "{:06}".format,  # numbers are no words
        lambda n: f"internationalisation {n:b} of".replace("1", "l").replace("0", "o"),
        lambda n: f"interna{n:020b}".replace("1", "l").replace("0", "o"),  # one half is everywhere
        lambda n: f"{'ab' * (n % 7 + 3)} {'ba' * (n // 7 % 9 + 3)} x{n}",
    ],
)
def test_four_times_the_labels_are_some_four_times_the_comparisons(
    name, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    blocks = slips._blocks

    def counted(*arrays):
        for pair in blocks(*arrays):
            compared.append(len(pair[0]))
            yield pair

    monkeypatch.setattr(slips, "_blocks", counted)

    def comparisons(count: int) -> int:
        compared.clear()
        slips.slips(sorted({name(n) for n in range(count)}))
        return sum(compared)

    few, many = comparisons(2000), comparisons(8000)
    assert many <= 5 * few + 8000
    assert many < 8000 * 4 * slips.MOST_COMPARED
