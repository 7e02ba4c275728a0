"""No text of a document or label passes for a prompt's own: on ids, for every way to ask."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace

import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.teacher.defusing import defused
from lmtx_ray.teacher.http import HttpTeacher
from lmtx_ray.teacher.pairs import QueryFirst
from lmtx_ray.teacher.prompts import PROMPTS, Prompt, get_prompt
from lmtx_ray.teacher.protocol import Unlimited
from tests.attacks import IN_DOCUMENT, IN_LABEL, Attack, attacks
from tests.rendered import CHATS, TAG, chat, config, rendering, server
from tests.teacher.asking import asked
from tests.tiny_tokenizers import FAMILIES, tokenizer_of

TEXT = "A study of the heart in {} patients and of their care. "
PAIRS = [(TEXT.format(n) * 3, f"lung {n}") for n in range(14)]
ATTACKS = list(attacks(PAIRS))
LONG = {"max_document_tokens": 400, "max_label_tokens": 120}


def one_of_each() -> list[Attack]:
    return list({attack.kind: attack for attack in ATTACKS}.values())


def with_own_tokens(name: str) -> list[tuple[str, str]]:
    """Attacks, and the very control tokens of a family, as (document, label)."""
    family = FAMILIES[name]
    own = "".join(f"a {token} b {token}" for token in (*family.special, *family.others))
    pairs = [(one.attacked_document, one.attacked_label) for one in one_of_each()]
    return [*pairs, (f"text {own}", "lung"), ("text", f"lung {own}")]


def test_there_are_attacks_enough_and_of_every_kind() -> None:
    assert len(ATTACKS) >= 200
    assert {one.kind for one in ATTACKS} == IN_DOCUMENT.keys() | IN_LABEL.keys()
    for one in ATTACKS:
        assert (one.document, one.label) != (one.attacked_document, one.attacked_label)


@pytest.mark.parametrize("name", CHATS)
def test_no_attack_brings_a_control_token_into_a_prompt_of_ids(name: str) -> None:
    made = rendering(name, **LONG)
    fixed = Counter(token for token in made.whole("", "") if token in made.letters.control)
    for document, label in with_own_tokens(name):
        (ids,) = made.questions(None, document, [TAG.label_text({"text": label})])
        assert Counter(token for token in ids if token in made.letters.control) == fixed


def test_no_attack_brings_a_control_token_to_a_causal_reranker() -> None:
    made = QueryFirst(tokenizer_of(FAMILIES["chatml"]), TAG, config(kind="reranker", **LONG))
    fixed = Counter(token for token in made.whole("", "") if token in made.letters.control)
    for document, label in with_own_tokens("chatml"):
        (ids,) = made.questions(None, document, [label])
        assert Counter(token for token in ids if token in made.letters.control) == fixed


@pytest.mark.parametrize("name", CHATS)
def test_a_server_finds_no_control_token_in_what_it_is_sent(name: str) -> None:
    tokenizer = server(name)
    settings = {"max_document_tokens": 400, "max_label_tokens": 120, "url": "http://127.0.0.1:1"}
    teacher = HttpTeacher(TeacherConfig(kind="http", model="m", **settings), TAG, Unlimited())
    system = "Be careful." if name == "demanding" else ""
    own = (*FAMILIES[name].special, *FAMILIES[name].others)
    control = set(tokenizer.convert_tokens_to_ids(list(own)))

    def seen(document: str, label: str) -> Counter[int]:
        _, (prompt,) = teacher._prompts(asked(TAG.label_text({"text": label}), text=document))
        ids = tokenizer.encode(chat(tokenizer, prompt, system), add_special_tokens=False)
        return Counter(token for token in ids if token in control)

    clean = seen("A study of the heart.", "lung")
    for document, label in with_own_tokens(name):
        assert seen(document, label) == clean


@pytest.mark.parametrize("text", ["a < b and c > d", "x[0] and [sic]", "<<", "5 <6> ", "[A]"])
def test_plain_brackets_stay_as_they_are(text: str) -> None:
    assert defused(text).replace("< 6", "<6") == text


@pytest.mark.parametrize("prompt", [p for p in PROMPTS.values() if not p.control])
def test_a_text_cannot_seem_to_end(prompt: Prompt) -> None:
    assert prompt.delimiters == ("<<<", ">>>", "«", "»")
    for one in one_of_each():
        document = prompt.guarded(one.attacked_document)
        label = prompt.label_text({"text": one.attacked_label})
        assert not any(sign in text for text in (document, label) for sign in prompt.delimiters)
    assert prompt.guarded('a >> b, "c" <d>') == 'a >> b, "c" <d>'


def test_delimiters_are_those_of_the_prompt_and_fixed_so_that_a_prefix_is_shared() -> None:
    own = replace(TAG, before='Text:\n"""\n', label='\n"""\nTag: {label} {aliases}', after="?")
    assert own.delimiters == ('"""',)
    assert own.guarded('"""" no "" "') == '" " "" no "" "'
    made = rendering("chatml", **LONG)
    for one in one_of_each()[:10]:
        first, second = made.questions(None, one.attacked_document, ["heart", "lung"])
        together = zip(first, second, strict=False)
        shared = next(n for n, pair in enumerate(together) if len({*pair}) > 1)
        head = made._head(made._document(None, one.attacked_document), made._seam)
        assert shared >= len(head) > 100
        assert made.questions(None, one.attacked_document, ["heart"]) == [first]


def test_a_prompt_whose_delimiters_are_guarded_is_another_one() -> None:
    plain = fingerprint({**asdict(TAG), "name": ""})
    assert TAG.fingerprint != plain  # answers of before it was guarded are not used again
    trained = get_prompt("judge")
    assert trained.fingerprint == fingerprint({**asdict(trained), "name": ""})  # nothing to guard
