"""`lmtx review-score`: what people said of a sample of tags, as numbers and into the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.evaluation.intervals import wilson
from lmtx_ray.evaluation.judged import agreement_of
from lmtx_ray.evaluation.review import Band, least_probability, together
from lmtx_ray.loop.review_file import Answer, read_answers
from lmtx_ray.verdicts.exchange import Resolver, take_rows
from lmtx_ray.verdicts.store import VerdictStore


def score(
    file: str, wrong_at_most: float = 0.1, store: VerdictStore | None = None
) -> dict[str, Any]:
    """Precision of all tags that the sample was drawn from, overall and by band of probability,
    with 95 % intervals; how often people and the judge agree; from which probability on at most
    `wrong_at_most` of the tags are wrong. With a store the answers enter it as those of people.

    Raises:
        CorpusError: A file that is no sample, an answer that is none (row and value are named), or
            no answer at all.
    """
    answers = read_answers(file)
    reviewed = [answer for answer in answers if answer.right is not None]
    if not reviewed:
        raise CorpusError(f"{file}: nobody has filled in the column `correct` yet")
    bands = bands_of(file, answers)
    told = together(bands)
    assert told is not None  # somebody looked at a tag
    open_bands = [band for band in bands if not band.looked_at]
    summary = {
        "file": file,
        "sampled": len(answers),
        "reviewed": len(reviewed),
        "right": sum(bool(answer.right) for answer in reviewed),
        "tags": sum(band.tags for band in bands),
        "not_covered": sum(band.tags for band in open_bands),
        "precision": round(told[0], 4),
        "precision_ci": [round(end, 4) for end in told[1:]],
        "bands": [band.to_dict() for band in bands],
        "judge": _agreement(reviewed),
        "suggestion": least_probability(bands, wrong_at_most),
    }
    return summary | ({"stored": _keep(file, reviewed, store)} if store else {})


def bands_of(file: str, answers: Sequence[Answer]) -> list[Band]:
    """The bands of a sample, by their probability. Raises CorpusError for a row whose `band_tags`
    is no number, or another one than in the rows before."""
    tags: dict[str, int] = {}
    counts: dict[str, list[bool]] = {}
    for answer in answers:
        name, given = answer.fields["band"].strip(), answer.fields["band_tags"].strip()
        if not given.isdecimal() or tags.setdefault(name, int(given)) != int(given):
            raise CorpusError(
                f"{file} row {answer.row}: band_tags is {given!r}; the columns behind `correct` "
                "must stay as they were written"
            )
        inside = counts.setdefault(name, [])
        if answer.right is not None:
            inside.append(answer.right)
    return [Band(name, tags[name], len(said), sum(said)) for name, said in sorted(counts.items())]


def _agreement(reviewed: Sequence[Answer]) -> dict[str, Any]:
    """Accuracy of the judge with its interval, Cohen's kappa, on pairs that both answered."""
    both = [
        (answer.right, said)
        for answer in reviewed
        if (said := answer.fields.get("judge_answer", "").strip()) in ("yes", "no")
    ]
    yes = [bool(right) for right, said in both if said == "yes"]
    no = [bool(right) for right, said in both if said == "no"]
    same = sum(yes) + len(no) - sum(no)
    ends = [round(end, 4) for end in wilson(same, len(both))] if both else None
    return {
        "pairs": len(both),
        **agreement_of(sum(yes), len(yes), sum(no), len(no)),
        "accuracy_ci": ends,
        "accepted_and_right": sum(yes),
        "accepted_and_wrong": len(yes) - sum(yes),
        "refused_and_right": sum(no),
        "refused_and_wrong": len(no) - sum(no),
    }


def _keep(file: str, reviewed: Sequence[Answer], store: VerdictStore) -> dict[str, Any]:
    rows = (
        (
            answer.row,
            {
                "document": answer.fields["document_hash"],
                "label": answer.fields["label_hash"],
                "answer": "yes" if answer.right else "no",
            },
        )
        for answer in reviewed
    )
    counts, rejects = take_rows(store, file, rows, Resolver({}, {}))
    if rejects:
        raise CorpusError(f"{file} row {rejects[0]['position']}: {rejects[0]['reason']}")
    return {"store": store.uri, "imported": counts}
