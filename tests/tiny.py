"""Small real models for tests, made on the spot: an encoder folder and a judge folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from tests.tiny_tokenizers import FAMILIES, tokenizer_of

TOPICS = ("heart", "lung", "brain", "skin", "bone", "liver", "eye", "ear")
WORDS = (
    "a study of disease treatment in patients with pain and trial care risk yes no . , < > "
    "tag ask document"
).split()


def tokenizer(**special: str) -> PreTrainedTokenizerFast:
    letters = [chr(code) for code in range(97, 123)]
    pieces = ["[PAD]", "[UNK]", *WORDS, *TOPICS, *letters, *(f"##{char}" for char in letters)]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=256,
        **special,
    )


def save_encoder(folder: Path, kind: str = "bert") -> str:
    """A two-layer BERT, XLM-RoBERTa or T5 with mean pooling as a sentence-transformers folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    words = tokenizer()
    model_of, config_of = {
        "bert": (BertModel, BertConfig),
        "xlm-roberta": (XLMRobertaModel, XLMRobertaConfig),
        "t5": (T5EncoderModel, T5Config),
    }[kind]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes["intermediate_size"] = 64
    if kind == "t5":
        sizes = {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_kv": 16, "d_ff": 64}
    config = config_of(vocab_size=len(words), pad_token_id=words.pad_token_id, **sizes)
    model_of(config).save_pretrained(folder / "bert", safe_serialization=True)
    words.save_pretrained(folder / "bert")
    module = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[module, Pooling(32, pooling_mode="mean")], device="cpu")
    model.save(str(folder / "encoder"))
    return str(folder / "encoder")


def save_judge(folder: Path) -> str:
    """A two-layer random Llama in the stand-in judge's format."""
    torch.manual_seed(0)
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["<tag>", "<ask>"]})
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    return str(folder)


def save_reranker(folder: Path, logits: int = 1, **settings: Any) -> str:
    """A two-layer random BERT that scores pairs, as a folder of a cross-encoder."""
    torch.manual_seed(0)
    words = tokenizer(cls_token="[CLS]", sep_token="[SEP]")
    ends = [(token, words.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=logits,
        max_position_embeddings=128,
        initializer_range=0.5,
        **settings,
    )
    BertForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    return str(folder)


def save_chat(folder: Path, family: str, follows: dict[str, str] | None = None) -> str:
    """A two-layer Llama with a chat template: random, or one that says after each token of
    `follows` its value and nothing else."""
    torch.manual_seed(0)
    words = tokenizer_of(FAMILIES[family])
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    if follows:
        _chain(model, {_token(words, last): _token(words, then) for last, then in follows.items()})
    model.save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    return str(folder)


def _token(words: PreTrainedTokenizerFast, text: str) -> int:
    (token,) = words.encode(text, add_special_tokens=False)
    return token


def _chain(model: LlamaForCausalLM, follows: dict[int, int]) -> None:
    """Layers that add nothing, so that the last token alone chooses the next."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        seen = torch.nn.functional.normalize(model.model.embed_tokens.weight)
        model.lm_head.weight.zero_()
        for last, then in follows.items():
            model.lm_head.weight[then] += 3 * seen[last]
