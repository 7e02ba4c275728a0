"""The languages of a config: codes, and what is said of others."""

from __future__ import annotations

import pytest

from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.config.search import ShortlistConfig


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("[de, en]", ("de", "en")),
        ("[en, de, en]", ("de", "en")),  # the order says nothing
        ("fr", ("fr",)),
        ("no", ("no",)),  # which YAML reads as false
        ("[no, sv]", ("no", "sv")),
        ("[]", ()),
    ],
)
def test_languages_are_codes_in_any_order(given: str, found: tuple[str, ...]) -> None:
    assert load_config(ShortlistConfig, None, [f"languages={given}"]).languages == found


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("[german]", r"^settings: languages: 'german' is .* did you mean de \(german\)\?"),
        ("[de, en-GB]", r"did you mean en \(english\)\?"),
        ("[qq]", "codes are ar, ca, "),
        ("[null]", "needs a text"),
        ("{de: 1}", "languages"),
    ],
)
def test_an_unknown_language_is_told_with_near_matches(given: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_config(ShortlistConfig, None, [f"languages={given}"])
