"""What the published tables and their columns mean, for docs/generate.py."""

CONTRACTS = {
    "documents": "Documents of a corpus.",
    "labels": "The label set. `label_key` is the user's own; `label_id` is a row of this version.",
    "gold": "Right labels of test documents. Only the evaluation reads it.",
    "rankings": "Candidates of a document, best first: shortlists and predictions alike.",
    "stored_verdicts": "The verdict store: what a judge said, whoever asked.",
    "verdicts": "A run's view of the store: its own pairs, by its own ids.",
    "examples": "What the student is trained on.",
    "title_examples": "The same of source title: documents whose title and text are a pair.",
    "segment_examples": "The same of source segment: a document once for each of its pairs.",
    "phrases": "What the judge wrote of test documents, where `judge.icxml_k` asks for it.",
    "tags": "What tagging gives.",
    "rejects": "Rows that could not be used.",
}

_DOC = "the document's id, unique in the table"
_ANSWER = {
    "answer": "yes, no or unclear",
    "p_yes": "P(yes), 0 to 1; null where the answer is unclear",
    "mass": "how likely the model found any spelling of an answer at all; null where it is unknown",
    "raw": "what the judge wrote, where that is no plain answer",
    "prompt": "fingerprint of the question's wording",
    "teacher": "fingerprint of the judge; `human` for people",
}
_OF_DOCUMENTS = {
    "doc_id": _DOC,
    "title": "may be null",
    "text": "what is read, without the title",
    "split": "train, held_aside or test",
}
_OF_LABELS = {
    "label_id": "row of the label set from 0, and of its vectors",
    "label_key": "the user's id of the label",
    "text": "its name",
    "description": "may be null",
    "aliases": "other names",
    "parent_keys": "keys of broader labels",
}
_OF_STORE = {
    "document": "128-bit hash of the document's text as the judge saw it",
    "label": "128-bit hash of the label's text as the judge saw it",
    **_ANSWER,
    "source": "the step or person that asked",
}
_OF_VERDICTS = {
    "doc_id": "the document",
    "label_id": "the label",
    **_ANSWER,
    "cycle": "in which cycle it was wanted",
    "rank": "its place in the shortlist, from 0",
    "asked": "whether this step asked, or found the answer in the store",
}
_OF_RANKINGS = {"doc_id": _DOC, "label_ids": "best first", "scores": "of each, descending"}
_OF_EXAMPLES = {
    "doc_id": _DOC,
    "positives": "accepted labels, at least one",
    "targets": "P(yes) of each positive, or 1",
    "hard_negatives": "labels the judge denied, likeliest first",
}
_OF_TAGS = {
    "doc_id": _DOC,
    "label_keys": "best first",
    "labels": "the names of the labels",
    "scores": "of the ranking; comparable inside a row only",
    "probabilities": "that the label is right",
    "reason": "why there are no tags, or what is odd; else empty",
}
_OF_REJECTS = {
    "source": "the file",
    "position": "row or line from 1; 0 for the file as a whole",
    "reason": "what is wrong",
    "raw": "the row, cut",
}
FIELDS = {
    (contract, name): meaning
    for contract, columns in {
        "documents": _OF_DOCUMENTS,
        "labels": _OF_LABELS,
        "gold": {"doc_id": _DOC, "label_ids": "its right labels"},
        "rankings": _OF_RANKINGS,
        "stored_verdicts": _OF_STORE,
        "verdicts": _OF_VERDICTS,
        "examples": _OF_EXAMPLES,
        "title_examples": {
            "doc_id": _DOC,
            "clusters": "its cluster at each scale of fit.clusters; empty without",
        },
        "segment_examples": {"doc_id": "the document", "slot": "which of its pairs, from 0"},
        "phrases": {
            "doc_id": _DOC,
            "phrases": "label-like phrases, as they came",
            "calls": "questions that it took",
        },
        "tags": _OF_TAGS,
        "rejects": _OF_REJECTS,
    }.items()
    for name, meaning in columns.items()
}
