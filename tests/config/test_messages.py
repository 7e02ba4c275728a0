"""What a wrong config says: the field, in words, what was wrong, and nothing more."""

from __future__ import annotations

import pytest

from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.loop.run_config import RunConfig

RIGHT = {"run": "r", "corpus": {"documents": "d.csv", "labels": "l.csv"}}


def said(*overrides: str, **sections: object) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config(RunConfig, {**RIGHT, **sections}, overrides)
    return str(raised.value).removeprefix("settings: ")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("corpus.held_aside=many", "corpus.held_aside: needs a whole number, got 'many'"),
        ("corpus.held_aside=-1", "corpus.held_aside: needs at least 0, got -1"),
        ("corpus.documents=[]", "corpus.documents: needs at least 1, got []"),
        ("corpus.columns=text", "corpus.columns: needs a section with doc_id, gold, "),
        ("fit.learning_rate=0", "fit.learning_rate: needs more than 0, got 0"),
        ("fit.learning_rate=fast", "fit.learning_rate: needs a number, got 'fast'"),
        ("pseudo_labels.soft=maybe", "pseudo_labels.soft: needs true or false, got 'maybe'"),
        ("encoder.model=7", "encoder.model: needs a text, got 7"),
        ("ship=both", "ship: is one of 'auto', 'dense', 'hybrid' or 'learned', got 'both'"),
        ("judge.top_k=3", "judge.teacher: has to be given: Which judge"),
        ("judge={teacher: gpt}", "judge.teacher: needs a section with answer_prefix, api_key_env"),
        ("fit.workers=[2, 1]", "fit.workers: needs 1 <= least <= most, got (2, 1)"),
        ("resources.embed.actors=0", "resources.embed.actors: needs 1 <= least <= most, got 0"),
        ("run=https://x/y", "run: 'https://x/y': only file paths and s3:// are supported"),
        ("corpus.encoding=ansii", "corpus.encoding: no such encoding; utf-8, cp1252 or latin-1"),
        ("fit.seed=-1", "fit.seed: needs at least 0, got -1"),
        ("evaluation.seed=-1", "evaluation.seed: needs at least 0, got -1"),
        ("evaluation.precision_at=0", "evaluation.precision_at: needs cut-offs of at least 1"),
        ("evaluation.recall_at=[5, -1]", "evaluation.recall_at: needs cut-offs of at least 1"),
        ("evaluation.propensity=[0.5, 0]", "evaluation.propensity: needs A of at least 0 and B"),
        ("evaluation.propensity=[.nan, 1]", "evaluation.propensity.0: needs a finite number"),
        ("fit.learning_rate=.inf", "fit.learning_rate: needs a finite number, got inf"),
        ("shortlist={dense_weight: 0, lexical_weight: 0}", "shortlist: dense_weight and lexical_w"),
        ("corpus.colums=a", "corpus.colums: unknown key; did you mean columns?"),
    ],
)
def test_a_wrong_value_is_told_in_words(override: str, message: str) -> None:
    told = said(override)
    assert message in told
    assert "Input should" not in told


def test_what_is_missing_says_what_it_is_and_not_all_that_is_there() -> None:
    told = said(corpus={"documents": "d.csv"})
    assert told.startswith("corpus.labels: has to be given: File of the label set")
    assert "d.csv" not in told


def test_a_long_value_is_cut() -> None:
    assert len(said(corpus={"documents": "d", "labels": ["x" * 1000]})) < 200
