"""Words that tell nothing of what a text is about, by language code, as they are folded.

Of languages that are not here none is left out: an index gives words of many labels little weight.
"""

from __future__ import annotations

from lmtx_ray.corpus.words import STOPWORDS, folded

WRITTEN = {
    "da": "af at de den der det du en er et for fra han har hun i ikke jeg med men og om på som "
    "til var ved vi",
    "de": "aber als am an auch auf aus bei das dem den der des die durch ein eine einem einen "
    "einer eines es für hat im in ist mit nach nicht oder sich sind über um und unter vom von vor "
    "war werden wird wie zu zum zur zwischen",
    "es": "a al como con de del el en entre es esta este la las lo los más no o para pero por que "
    "se sin sobre son su sus un una y",
    "fi": "ei ja joka kun mutta niin olla on ovat se sekä tai tämä että",
    "fr": "à au aux avec ce ces cette dans de des du elle en entre est et il la le les leur leurs "
    "ne ou par pas pour que qui sa se ses son sont sur un une d l",
    "it": "a ai al alla alle che con da dal dalla dei del della delle di e è gli i il in la le lo "
    "nel nella non o per si sono su sul sulla tra un una uno",
    "nl": "aan als bij dat de den der des die door een en het in is maar met naar niet of om onder "
    "ook op over te tot tussen uit van voor was werd wordt zijn",
    "no": "av at de den der det du en er et for fra han har hun i ikke jeg med men og om på som "
    "til var ved vi",
    "pl": "a do i jak jest na nie o od oraz po pod przez przy się są to w we z za ze że",
    "pt": "a ao aos as à às com como da das de do dos e em entre é mais na não nas no nos o os ou "
    "para pela pelas pelo pelos por que se sem seu sua um uma",
    "ru": "а без в во для до его за и из или их к как на не но о об от по при с со то у что это",
    "sv": "att av de den det där du en ett för från han har hon i inte jag med men och om på som "
    "till under var vid",
}
WRITTEN |= {code: WRITTEN["no"] for code in ("nb", "nn")}


def stopwords(code: str) -> frozenset[str]:
    """Those of a language, empty where none are known."""
    if code == "en":
        return STOPWORDS
    return frozenset(folded(word) for word in WRITTEN.get(code, "").split())
