"""Columns of strings that are looked up without an object for each."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.corpus.strings import AT_ONCE, Places, Strings

WORDS = st.lists(st.sampled_from(["a", "A", " a", "b", "", "Straße", "strasse", "犬"]))


@given(strings=WORDS, asked=WORDS)
def test_a_string_is_found_wherever_it_stands_in_a_column(
    strings: list[str], asked: list[str]
) -> None:
    exactly, folded = Places(Strings.of(strings)), Places(Strings.of(strings), str.casefold)
    for own in asked:
        assert list(exactly.of(own)) == [n for n, one in enumerate(strings) if one == own]
        alike = [n for n, one in enumerate(strings) if one.casefold() == own.casefold()]
        assert list(folded.of(own)) == alike
        assert folded.first(own) == (alike[0] if alike else None)


def test_a_column_of_several_pieces_is_read_as_one_and_one_of_a_file_is_not_copied() -> None:
    pieces = pa.chunked_array([["a", "b"], ["c"]])
    strings = Strings.of(pieces)
    assert [strings[0], strings[2], len(strings), list(strings)] == ["a", "c", 3, ["a", "b", "c"]]
    assert Strings.of(strings).column is strings.column
    many = [str(number) for number in range(AT_ONCE + 3)]
    assert list(Strings.of(many)) == many
