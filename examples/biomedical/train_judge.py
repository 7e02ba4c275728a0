"""Train a small stand-in judge for the biomedical example on the CPU.

The judge is a language model with the interface of a large one: after the tokens of a document
comes `<tag>`, a label, `<ask>`, and the next token is `yes` or `no`. It is a Llama of six layers
and nine million parameters, so that the example runs without a GPU; a real judge is a model of
billions. It learns from labelled abstracts of the judge split only.

    python train_judge.py --data DIR --out judge --passes 8.5 --threads 2
    python train_judge.py --data DIR --out judge --evaluate 400

DIR holds judge.jsonl.gz, labels.jsonl.gz and, for --evaluate, test.jsonl.gz. A training sequence is
a document and many questions, each attending to the document and to itself only and placed right
behind the document, so that it equals a prompt with that single question. Beside yes or no the
model learns to tell a pair's cosine and lexical score, by a head that is not kept: a dense signal
that teaches a model from scratch to compare words early. The learning rate follows the clock with
--minutes, else --passes. A stopped run goes on from its checkpoint in --cache.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from judge_data import (
    ASK,
    CUT,
    ENCODER,
    NO,
    TAG,
    YES,
    Split,
    draw,
    read_jsonl,
    text_of,
    tokenise,
    view,
)
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import mse_loss
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lmtx_ray.search.hardware import has_native_bfloat16
from lmtx_ray.student.pseudo_labels import area_under_curve

BATCH, WIDTH, LAYERS = 16, 256, 6
log = logging.getLogger("train_judge")


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
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=704,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.04,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
        bos_token_id=None,
        eos_token_id=None,
    )
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
    mask = torch.zeros(seen.shape).masked_fill_(~seen, -1e9)
    return {"input_ids": ids, "position_ids": places, "attention_mask": mask[:, None]}, asks


def hidden_at_asks(model: LlamaForCausalLM, packed: tuple[dict, list]) -> torch.Tensor:
    """The last hidden state at every `<ask>`; no other row of the head is computed."""
    inputs, asks = packed
    with torch.autocast("cpu", torch.bfloat16, enabled=has_native_bfloat16()):
        hidden = model.model(**inputs, use_cache=False).last_hidden_state
    return hidden[tuple(torch.tensor(asks).T)].float()


def scores(model: LlamaForCausalLM, hidden: torch.Tensor, yes: int, no: int) -> torch.Tensor:
    """logit(yes) - logit(no)."""
    head = model.get_output_embeddings().weight
    return hidden @ (head[yes] - head[no])


def batches(lengths: list[int], rng) -> list[np.ndarray]:
    """All documents once, in random batches of nearly the same length."""
    order = np.argsort(np.array(lengths) + rng.uniform(0, 20, len(lengths)))
    result = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    return [result[i] for i in rng.permutation(len(result))]


def evaluate(model: LlamaForCausalLM, split: Split, chosen: Iterable[int], k: int = 16) -> dict:
    """Pair AUC, precision and recall at p > 0.5, and P@1, on the top k fused candidates."""
    pairs, firsts = [], []
    for i in chosen:
        asked = [int(label) for label in split.features.fused_NK[i][:k]]
        packed = pack([split.documents[i][:CUT]], [[split.questions[x] for x in asked]])
        with torch.inference_mode():
            found = scores(model.eval(), hidden_at_asks(model, packed), *split.answers).numpy()
        truth = np.isin(asked, split.gold[i])
        pairs.append((found, truth))
        encoder = split.features.near_NK[i][0] in split.gold[i]
        firsts.append((truth[found.argmax()], truth[0], encoder))
    value, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    names = ("p1_reranked", "p1_fused", "p1_encoder")
    result = dict(zip(names, np.mean(firsts, axis=0), strict=True)) | {
        "documents": len(pairs),
        "pairs": len(value),
        "gold_share": truth.mean(),
        "pair_auc": area_under_curve(value, truth),
        "precision": truth[value > 0].mean(),
        "recall": (value[truth] > 0).mean(),
    }
    return {name: round(float(number), 4) for name, number in result.items()}


def training_batch(split: Split, chosen: list[int], frequent, rng, done: float) -> tuple:
    """Packed sequences, answers and features; documents are cut shorter early on: cheaper."""
    cut = 64 if done < 0.2 else 112 if done < 0.5 else CUT
    drawn = [draw(split, i, frequent, rng) for i in chosen]
    questions = [[split.questions[x] for x in asked] for asked, _ in drawn]
    packed = pack([view(split.documents[i], cut, rng) for i in chosen], questions)
    truth = torch.tensor([answer for _, row in drawn for answer in row])
    features = [split.features.of(i, asked) for i, (asked, _) in zip(chosen, drawn, strict=True)]
    return packed, truth, torch.from_numpy(np.concatenate(features))


class Training:
    """The model, a head that is not kept, and the optimiser of both."""

    def __init__(self, model: LlamaForCausalLM, rate: float) -> None:
        self.model, self._head, self._rate = model, torch.nn.Linear(WIDTH, 2), rate
        self._weights = [*model.parameters(), *self._head.parameters()]
        settings = {"betas": (0.9, 0.98), "weight_decay": 0.02, "fused": True}
        self._optimiser = torch.optim.AdamW(self._weights, lr=rate, **settings)

    def load(self, file: Path) -> tuple[int, float]:
        """The next step, and the seconds before it."""
        if not file.exists():
            return 0, 0.0
        step, seconds, *states = torch.load(file)
        for part, state in zip(self._parts(), states, strict=True):
            part.load_state_dict(state)
        return step, seconds

    def save(self, file: Path, step: int, seconds: float) -> None:
        states = [part.state_dict() for part in self._parts()]
        torch.save((step, seconds, *states), file.with_suffix(".part"))
        file.with_suffix(".part").replace(file)

    def _parts(self) -> tuple:
        return self.model, self._head, self._optimiser

    def learn(self, batch: tuple, answers: tuple[int, int], done: float) -> tuple[float, float]:
        """One step; the losses of the answers and of the features."""
        packed, truth, features = batch
        hidden = hidden_at_asks(self.model.train(), packed)
        loss = bce(scores(self.model, hidden, *answers), truth)
        told = mse_loss(self._head(hidden), features)
        (loss + 0.5 * (1 - done) * told).backward()
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * min(1, done / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done))
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return loss.item(), told.item()


def train(args) -> None:
    torch.manual_seed(args.seed)
    rows = read_jsonl(args.data / "judge.jsonl.gz") + read_jsonl(args.data / "labels.jsonl.gz")
    tokenizer, old_ids = make_tokenizer([text_of(row) for row in rows])
    model = make_model(tokenizer, old_ids)
    split = Split(args.data, args.cache, tokenizer, "judge")
    training, state = Training(model, args.rate), args.cache / f"state-{args.seed}.pt"
    used = sorted(set(range(len(split.gold))) - set(split.aside))
    frequent = np.array([x for i in used for x in split.gold[i]])
    step, before = training.load(state)
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
        batch = training_batch(split, chosen, frequent, rng, done)
        losses = [*losses[-39:], training.learn(batch, split.answers, done)]
        step += 1
        if step % 40 == 0:
            loss = np.mean(losses, axis=0)
            log.info(f"step {step} of {each} a pass, {done:.3f} done, loss {loss}")
        if step % 800 == 0:  # some five minutes
            some = evaluate(model, split, split.aside)
            log.info(f"validation {some}")
            save_model(model, tokenizer, args.out)
            training.save(state, step, seconds)
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
    split = Split(args.data, args.cache, tokenizer, "test", args.evaluate)
    print(json.dumps(evaluate(model, split, range(len(split.gold)))))


if __name__ == "__main__":
    main()
