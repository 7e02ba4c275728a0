"""SKOS in all its spellings becomes one table, and reading it fetches nothing."""

from __future__ import annotations

import gzip
import json
import sys
import urllib.request
from pathlib import Path

import pytest

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage
from lmtx_ray.vocabularies.asked import Asked
from lmtx_ray.vocabularies.importing import import_labels
from tests.vocabularies.thesaurus import CONTEXT, GRAPH, JSON_LD, TURTLE, XML

V = "http://vocab.example.org/"
SPELLINGS = {"t.ttl": TURTLE, "t.rdf": XML, "t.jsonld": JSON_LD, "t.json": JSON_LD, "t.n3": TURTLE}


def taken(
    folder: Path, name: str, text: str, **asked: object
) -> tuple[dict[str, dict], list[dict]]:
    """(rows by key, rejects) of what an import wrote."""
    source = folder / name
    source.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    made = import_labels(str(source), str(folder / "out.parquet"), Asked(**asked), overwrite=True)
    rows = storage.read_table(made.output).to_pylist()
    lines = Path(made.rejects).read_text().splitlines() if made.rejects else []
    return {row["label_key"].removeprefix(V): row for row in rows}, [*map(json.loads, lines)]


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_gives_the_same_table(tmp_path: Path, name: str) -> None:
    rows, rejects = taken(tmp_path, name, SPELLINGS[name])
    assert {key: row["text"] for key, row in rows.items()} == {
        "pots": "Pottery",
        "lamps": "Oil lamps",
        "finds": "Funde",  # it has no other
        "tiles": "Tiles",
        "odd": "Shell",
    }
    assert rows["pots"] | {"label_id": 0} == {
        "label_id": 0,
        "label_key": f"{V}pots",
        "text": "Pottery",
        "description": "Vessels of fired clay. Not tiles.",
        "aliases": ["Keramik", "Töpferei", "Ceramics", "Potery", "Tonware"],
        "parent_keys": None,
    }
    assert rows["lamps"]["parent_keys"] == [f"{V}finds", f"{V}pots"]  # one of them by narrower
    assert rows["odd"]["description"] == "Of molluscs"
    assert {json.loads(row["raw"])["label_key"]: row["reason"] for row in rejects} == {
        f"{V}old": f"deprecated, replaced by {V}pots",
        f"{V}nameless": "a concept without a name (skos:prefLabel)",
    }


@pytest.mark.parametrize("name", [*SPELLINGS, "t.nt"])
def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path, name: str) -> None:
    line = f'<{V}pots> <http://www.w3.org/2004/02/skos/core#prefLabel> "Pottery"@en .\n'
    text = SPELLINGS.get(name, line)
    assert taken(tmp_path, name, f"\ufeff{text}") == taken(tmp_path, name, text)


def test_the_language_that_is_asked_for_is_shown_and_the_others_are_aliases(tmp_path: Path) -> None:
    rows, _ = taken(tmp_path, "t.ttl.gz", TURTLE, languages=("de", "en"))
    assert (rows["pots"]["text"], rows["lamps"]["text"]) == ("Keramik", "Oil lamps")
    assert rows["pots"]["aliases"] == ["Töpferei", "Pottery", "Tonware", "Ceramics", "Potery"]
    assert rows["pots"]["description"] == "Gefäße aus Ton."
    rows, _ = taken(tmp_path, "t.ttl", TURTLE, languages=("de-AT",), aliases_in=("de",))
    assert (rows["pots"]["text"], rows["pots"]["aliases"]) == ("Töpferei", ["Keramik", "Tonware"])


def test_what_a_rule_of_n3_quotes_is_no_label(tmp_path: Path) -> None:
    rule = f'{{ <{V}a> skos:prefLabel "A" }} => {{ <{V}b> skos:prefLabel "B" }} .'
    rows, _ = taken(tmp_path, "t.n3", f"{TURTLE}\n{rule}\n")
    assert set(rows) == {"pots", "lamps", "finds", "tiles", "odd"}


def test_deprecated_concepts_are_kept_where_somebody_wants_them(tmp_path: Path) -> None:
    rows, rejects = taken(tmp_path, "t.ttl", TURTLE, deprecated=True)
    assert rows["old"]["text"] == "Crockery"
    assert len(rejects) == 1


def test_lines_of_n_triples_and_concepts_without_an_address(tmp_path: Path) -> None:
    name = "<http://www.w3.org/2004/02/skos/core#prefLabel>"
    lines = f'<{V}a> {name} "A" .\n_:b {name} "B" .\n<{V}c> {name} "\\uD83D x" .\n'
    rows, rejects = taken(tmp_path, "t.nt", lines.replace("\\uD83D x", "C"))
    assert {key: row["text"] for key, row in rows.items()} == {"a": "A", "c": "C"}
    assert [row["reason"] for row in rejects] == [
        "a concept without an address, which no tag could name"
    ]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was fetched."""
    fetched: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        fetched.append(str(arguments[0]))
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    return fetched


@pytest.mark.parametrize(
    "context",
    [
        "http://remote.example.org/context.jsonld",
        [CONTEXT, "http://remote.example.org/context.jsonld"],
        {"@import": "http://remote.example.org/context.jsonld"},
        {**CONTEXT, "name": {"@id": "skos:prefLabel", "@context": "http://remote.example.org/"}},
    ],
)
def test_a_context_that_lies_elsewhere_is_refused(
    tmp_path: Path, offline: list[str], context: object
) -> None:
    with pytest.raises(CorpusError, match=r"its context lies elsewhere \('http://remote"):
        taken(tmp_path, "t.jsonld", json.dumps({"@context": context, "@graph": GRAPH}))
    assert not offline


def test_entities_of_xml_read_no_file_and_no_address(tmp_path: Path, offline: list[str]) -> None:
    (tmp_path / "secret").write_text("SECRET")
    for place in (f"file://{tmp_path}/secret", "http://remote.example.org/x"):
        outer = f'<!ENTITY outer SYSTEM "{place}"><!ENTITY v'
        text = XML.replace("<!ENTITY v", outer).replace("Oil lamps", "Oil &outer; lamps")
        text = text.replace("<!DOCTYPE rdf:RDF [", '<!DOCTYPE rdf:RDF SYSTEM "http://x.invalid/" [')
        rows, _ = taken(tmp_path, "t.rdf", text)
        assert rows["lamps"]["text"] == "Oil lamps"
    assert not offline


def test_entities_that_grow_and_grow_end_in_an_error(tmp_path: Path) -> None:
    grown = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 20}">' for n in range(9))
    text = XML.replace("<!ENTITY v", f'<!ENTITY e0 "{"x" * 99}">{grown}<!ENTITY v')
    with pytest.raises(CorpusError, match=r"t\.rdf: entity 'e1' .* other entities"):
        taken(tmp_path, "t.rdf", text.replace("Oil lamps", "&e9;"))


def test_what_is_no_vocabulary_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"t\.ttl: cannot be read as turtle: .*line 2"):
        taken(tmp_path, "t.ttl", "@prefix a: <b:> .\na:b a:c .\n")
    with pytest.raises(CorpusError, match=r"as turtle: it ends within a statement"):
        taken(tmp_path, "t.ttl", "@prefix a: <b:> .\na:b a:c")
    with pytest.raises(CorpusError, match=r"t\.rdf: cannot be read as xml: .*unclosed token"):
        taken(tmp_path, "t.rdf", XML[:400])
    with pytest.raises(CorpusError, match=r"t\.jsonld: cannot be read as json-ld: "):
        taken(tmp_path, "t.jsonld", JSON_LD[:400])
    with pytest.raises(CorpusError, match=r"t\.ttl: no skos:Concept and no skos:prefLabel"):
        taken(tmp_path, "t.ttl", "<http://a/b> a <http://a/c> .")
    with pytest.raises(ConfigError, match="--key: SKOS has no columns"):
        taken(tmp_path, "t.ttl", TURTLE, columns={"key": "uri"})


def test_a_run_says_how_skos_becomes_its_labels(tmp_path: Path) -> None:
    (tmp_path / "t.ttl").write_text(TURTLE)
    config = CorpusConfig(documents=("-",), labels=str(tmp_path / "t.ttl"))
    with pytest.raises(CorpusError, match=r"type: lmtx labels import .*t\.ttl labels\.parquet"):
        next(label_tables(config, 10))


def test_without_rdflib_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "lmtx_ray.vocabularies.skos", raising=False)
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(ConfigError, match=r"t\.ttl: RDF needs .* pip install 'lmtx_ray\[skos\]'"):
        taken(tmp_path, "t.ttl", TURTLE)
