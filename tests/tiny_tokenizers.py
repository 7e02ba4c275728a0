"""Small tokenizers of the kinds that real models have, with chat templates in the manner of their
families; all made on the spot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from lmtx_ray.teacher.prompts import PROMPTS

GPT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    *(prompt.before + "heart" + prompt.label + prompt.after for prompt in PROMPTS.values()),
    *(
        f"{a} {b} disease of the {a} in {b}s. ({a}): {b}, {a}\n>>>\n"
        for a in ("heart", "lung")
        for b in ("patient", "study", "pain", "trial")
    ),
    *["Yes yes YES No no NO\nYes\nNo", "The answer is yes. The answer is no.\n\n", "0 1 2 3"] * 9,
]


def byte_level(pattern: str) -> Tokenizer:
    """As GPT-2, Llama 3 and Qwen."""
    inner = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([split, plain])
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    )
    return inner


def sentence_piece(prepends: str) -> Tokenizer:
    """As Llama 2, Gemma and Mistral: spaces are letters, and there are no word limits."""
    inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepends, split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    codes = [f"<0x{code:02X}>" for code in range(256)]
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", *codes], show_progress=False),
    )
    spec = json.loads(inner.to_str())
    spec["added_tokens"] = spec["added_tokens"][:1]  # bytes are pieces like others
    return Tokenizer.from_str(json.dumps(spec))


def unigram() -> Tokenizer:
    """A vocabulary that holds a control token as a piece too."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    alphabet = [chr(code) for code in range(33, 127)]
    inner.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(
            vocab_size=400,
            special_tokens=["<unk>", "<s>", "</s>"],
            unk_token="<unk>",
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return inner


KINDS = {
    "gpt": lambda: byte_level(GPT),
    "llama": lambda: byte_level(LLAMA),
    "pieces": lambda: sentence_piece("never"),
    "pieces_first": lambda: sentence_piece("first"),
    "unigram": unigram,
}


@dataclass(frozen=True)
class Family:
    """`special` tokens and others that are control tokens all the same, and the template."""

    kind: str
    special: tuple[str, ...]
    template: str | None
    others: tuple[str, ...] = ()
    strips: bool = False
    bos: str | None = None


TURNS = "{%- for m in messages -%}"
GENERATES = "{%- if add_generation_prompt -%}"
NO_SYSTEM = (
    "{%- if messages[0].role == 'system' -%}{{ raise_exception('no system role here') }}"
    "{%- endif -%}"
)
RERANKER = """
{%- set said = namespace(query='', document='', system='Find what fits.') -%}
{%- for m in messages -%}
{%- if m.role == 'query' -%}{%- set said.query = m.content -%}{%- endif -%}
{%- if m.role == 'document' -%}{%- set said.document = m.content -%}{%- endif -%}
{%- if m.role == 'system' -%}{%- set said.system = m.content -%}{%- endif -%}
{%- endfor -%}
"""
FAMILIES = {
    "chatml": Family(
        "llama",
        ("<|im_start|>", "<|im_end|>"),
        TURNS
        + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor -%}"
        + GENERATES
        + "{{ '<|im_start|>assistant\n' }}{%- if enable_thinking is false -%}"
        "{{ '<think>\n\n</think>\n\n' }}{%- endif -%}{%- endif -%}",
        others=("<think>", "</think>"),
    ),
    "llama3": Family(
        "llama",
        ("<|begin|>", "<|header|>", "<|/header|>", "<|eot|>"),
        "{{ bos_token }}" + TURNS + "{{ '<|header|>' + m.role + '<|/header|>\n\n' }}"
        "{{ m.content | trim + '<|eot|>' }}{%- endfor -%}"
        + GENERATES
        + "{{ '<|header|>assistant<|/header|>\n\n' }}{%- endif -%}",
        bos="<|begin|>",
    ),
    "gemma": Family(
        "pieces",
        ("<bos>", "<turn>", "</turn>"),
        NO_SYSTEM + "{{ bos_token }}" + TURNS + "{{ '<turn>' + ('model' if m.role == 'assistant' "
        "else m.role) + '\n' + m.content | trim + '</turn>\n' }}{%- endfor -%}"
        + GENERATES
        + "{{ '<turn>model\n' }}{%- endif -%}",
        bos="<bos>",
    ),
    "mistral": Family(
        "pieces_first",
        ("<s>", "[INST]", "[/INST]"),
        "{{ bos_token }}{%- set first = '' -%}{%- if messages[0].role == 'system' -%}"
        "{%- set first = messages[0].content + '\n\n' -%}{%- endif -%}"
        "{{ '[INST]' + first + messages[-1].content + '[/INST]' }}",
        bos="<s>",
    ),
    "deepseek": Family(
        "gpt",
        ("<｜begin｜>",),
        "{{ bos_token }}" + TURNS + "{%- if m.role == 'user' -%}{{ '<｜User｜>' + m.content }}"
        "{%- else -%}{{ m.content }}{%- endif -%}{%- endfor -%}{{ '<｜Assistant｜><think>\n' }}",
        others=("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        bos="<｜begin｜>",
    ),
    "phi": Family(
        "gpt",
        ("<|user|>", "<|system|>", "<|assistant|>", "<|end|>"),
        TURNS
        + "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{%- endfor -%}"
        + GENERATES
        + "{{ '<|assistant|>\n' }}{%- endif -%}",
        strips=True,
    ),
    "demanding": Family(
        "unigram",
        ("<s>", "</s>"),
        "{%- if messages[0].role != 'system' -%}{{ raise_exception('a system message comes first') "
        "}}{%- endif -%}" + TURNS + "{{ '<s>' + m.role + ': ' + m.content + '</s>' }}{%- endfor -%}"
        "{{ '<s>assistant: ' }}",
    ),
    "reranker": Family(
        "llama",
        ("<|im_start|>", "<|im_end|>"),
        RERANKER + "{{ '<|im_start|>user\nTask: ' + said.system + '\nDocument: ' + said.document }}"
        "{{ '\nQuery: ' + said.query + '<|im_end|>\n<|im_start|>assistant\n' }}"
        "{{ '<think>\n\n</think>\n\n' }}",
        others=("<think>", "</think>"),
    ),
    "query_first": Family(
        "llama",
        ("<|im_start|>", "<|im_end|>"),
        RERANKER + "{{ '<|im_start|>user\nQuery: ' + said.query + '\nDocument: ' + said.document + "
        "'<|im_end|>\n<|im_start|>assistant\n' }}",
    ),
}


@cache
def trained(kind: str) -> str:
    return KINDS[kind]().to_str()


def tokenizer_of(family: Family) -> PreTrainedTokenizerFast:
    """A tokenizer as transformers has it."""
    inner = Tokenizer.from_str(trained(family.kind))
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=family.bos,
        unk_token="<unk>" if inner.token_to_id("<unk>") is not None else None,
    )
    flags = {"normalized": False, "rstrip": family.strips}
    made.add_tokens(
        [AddedToken(text, special=True, **flags) for text in family.special], special_tokens=True
    )
    made.add_tokens([AddedToken(text, special=False, **flags) for text in family.others])
    made.chat_template = family.template
    return made
