"""Every prompt: named, rendered in three segments, fingerprinted. Prompt text lives only here.

The document comes first and the label last, so the candidates of a document share a prefix. The
eight families after the released LMTX code say what its prompts say, in other words.
"""

from __future__ import annotations

from dataclasses import dataclass

from lmtx_ray.config import ConfigError, fingerprint


@dataclass(frozen=True)
class Prompt:
    """`before` document `between` label `after`, answered by `yes` or `no`.

    `control` says that the fixed parts are made of a model's own control tokens (a judge trained
    for this format), which is never allowed inside documents and labels; `instruct` says that a
    chat template, where the model has one, goes around the whole.
    """

    name: str
    before: str
    between: str
    after: str
    yes: str = "yes"
    no: str = "no"
    instruct: bool = True
    control: bool = False

    @property
    def fingerprint(self) -> str:
        return fingerprint(
            self.before, self.between, self.after, self.yes, self.no, self.instruct, self.control
        )


def _question(name: str, kind: str, question: str) -> Prompt:
    before = (
        "Below is a document. Decide about one label for it and reply with a single word, "
        f"yes or no.\n{kind}:\n<<<\n"
    )
    after = f"»\n{question} Reply yes or no.\nAnswer:"
    return Prompt(name, before, "\n>>>\nLabel: «", after, " yes", " no")


PROMPTS = {
    prompt.name: prompt
    for prompt in (
        _question("tag", "Document", "Is this tag relevant to the document?"),
        _question("product_tag", "Product description", "Is this tag relevant to the product?"),
        _question("wiki_tag", "Wikipedia page", "Is this tag relevant to the page?"),
        _question("wiki_topic", "Wikipedia page", "Is this the topic the page is about?"),
        _question("product", "Product description", "Is this product related to the one above?"),
        _question("wiki_page_title", "Wikipedia page", "Is the page of this title related to it?"),
        _question("wiki_page_name", "Wikipedia page", "Is the page of this name related to it?"),
        _question("wiki_related", "Wikipedia page",
                  "Does another page with this name have a relation to it?"),
        _question("subject", "Document",
                  "Would a careful librarian assign this subject heading to the document, because "
                  "the document treats that subject and not merely mentions it?"),
        Prompt("judge", "", "<tag>", "<ask>", instruct=False, control=True),
    )
}  # fmt: skip


def get_prompt(name: str) -> Prompt:
    """The named prompt. Raises ConfigError listing the names there are."""
    if name not in PROMPTS:
        raise ConfigError(f"teacher.prompt: no prompt {name!r}; known: {', '.join(PROMPTS)}")
    return PROMPTS[name]
