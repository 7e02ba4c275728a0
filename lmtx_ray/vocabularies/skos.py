"""SKOS concepts of RDF files: RDF/XML, Turtle, N-Triples and JSON-LD, through rdflib.

Triples go straight to a store that keeps what labels are made of and drops the rest, so the memory
is that of the labels and not of the graph. Nothing is fetched: the parsers get open files, XML is
read without outer entities, and JSON-LD that names a context elsewhere is refused.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from rdflib import Graph
from rdflib.namespace import DCTERMS, OWL, RDF, RDFS, SKOS, Namespace
from rdflib.parser import InputSource
from rdflib.store import Store
from rdflib.term import BNode, Literal

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io.locations import StorageError
from lmtx_ray.vocabularies.concepts import Concept, Text
from lmtx_ray.vocabularies.xml_entities import refuse_growth

XL = Namespace("http://www.w3.org/2008/05/skos-xl#")
ISO = Namespace("http://purl.org/iso25964/skos-thes#")
NAMES = (SKOS.prefLabel, XL.prefLabel)
OTHERS = (SKOS.altLabel, XL.altLabel, SKOS.hiddenLabel, XL.hiddenLabel)
ABOUT = (SKOS.definition, SKOS.scopeNote)
UP = (SKOS.broader, ISO.broaderGeneric, ISO.broaderInstantial, ISO.broaderPartitive)
DOWN = (SKOS.narrower, ISO.narrowerGeneric, ISO.narrowerInstantial, ISO.narrowerPartitive)
VALUES = (XL.literalForm, RDF.value)  # what the text of a node is
KINDS = {
    **dict.fromkeys(NAMES, "name"),
    **dict.fromkeys(OTHERS, "other"),
    SKOS.definition: "definition",
    SKOS.scopeNote: "note",
    RDFS.label: "label",  # the name of a concept without another
}
NO_LABELS = {
    SKOS.ConceptScheme,
    SKOS.Collection,
    SKOS.OrderedCollection,
    XL.Label,
    ISO.ConceptGroup,
}
Opener = Callable[[], AbstractContextManager[BinaryIO]]
BASE = "relative:/"  # what relative addresses are kept under


class Kept(Store):
    """Of all triples that are added to it, what labels are made of."""

    context_aware = True  # the parsers of N3 and JSON-LD ask for these
    formula_aware = True
    graph_aware = True

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[Any, set[Any]] = defaultdict(set)
        self.texts: dict[Any, list[tuple[str, Any]]] = defaultdict(list)  # subject -> kind, object
        self.values: dict[Any, list[Text]] = defaultdict(list)  # node -> its texts
        self.parents: dict[Any, list[Any]] = defaultdict(list)
        self.deprecated: set[Any] = set()
        self.replaced: dict[Any, Any] = {}

    def add_graph(self, graph: Any) -> None:
        """As of rdflib; which graph a triple is of is not kept."""

    def add(self, triple: Any, context: Any, quoted: bool = False) -> None:
        """As of rdflib. What is quoted, as in a rule of N3, is not said."""
        subject, predicate, thing = triple
        if quoted:
            return
        if predicate in KINDS:
            self.texts[subject].append((KINDS[predicate], thing))
        elif predicate in VALUES and isinstance(thing, Literal):
            self.values[subject].append(_text(thing))
        elif predicate in UP:
            self.parents[subject].append(thing)
        elif predicate in DOWN:
            self.parents[thing].append(subject)
        elif predicate == RDF.type:
            self.types[subject].add(thing)
        elif predicate == OWL.deprecated and str(thing).strip().lower() in ("true", "1"):
            self.deprecated.add(subject)
        elif predicate == DCTERMS.isReplacedBy:
            self.replaced[subject] = thing

    def concepts(self) -> Iterator[Concept]:
        """What is called a concept, or has a preferred name and is nothing else; by their keys."""
        named = {
            one for one, texts in self.texts.items() if any(kind == "name" for kind, _ in texts)
        }
        typed = {one for one, types in self.types.items() if SKOS.Concept in types}
        others = {one for one, types in self.types.items() if types & NO_LABELS} - typed
        for subject in sorted((named | typed) - others):
            yield self._concept(subject)

    def _concept(self, subject: Any) -> Concept:
        found: dict[str, list[Text]] = defaultdict(list)
        for kind, thing in self.texts.get(subject, ()):
            found[kind] += (
                [_text(thing)] if isinstance(thing, Literal) else self.values.get(thing, [])
            )
        texts = {kind: sorted(set(own)) for kind, own in found.items()}  # files differ in order
        deprecated = subject in self.deprecated
        return Concept(
            f"_:{subject}" if isinstance(subject, BNode) else str(subject),
            texts.get("name") or texts.get("label", []),
            texts.get("other", []),
            [*texts.get("definition", []), *texts.get("note", [])],
            sorted(str(parent) for parent in set(self.parents.get(subject, ()))),
            str(self.replaced.get(subject, "")) if deprecated else None,
        )


def _text(literal: Literal) -> Text:
    return Text((literal.language or "").lower(), str(literal))


def read_skos(files: Iterable[tuple[str, str, Opener]]) -> list[Concept]:
    """The concepts of (name, format of rdflib, what opens it), which are one vocabulary together,
    by key.

    Raises:
        CorpusError: A file that cannot be read, or that would have something fetched.
    """
    kept = Kept()
    graph = Graph(store=kept, bind_namespaces="none")
    for uri, kind, opened in files:
        try:
            if kind == "xml":
                with opened() as stream:
                    refuse_growth(uri, stream)
            with opened() as stream:
                _parse(graph, _local(uri, stream) if kind == "json-ld" else stream, kind)
        except (CorpusError, StorageError):
            raise
        except Exception as error:  # each parser has its own
            said = " ".join(str(error).split())[:300]
            said = "it ends within a statement" if isinstance(error, IndexError) else said
            raise CorpusError(f"{uri}: cannot be read as {kind}: {said}") from error
    return list(kept.concepts())


def _parse(graph: Graph, stream: BinaryIO, kind: str) -> None:
    source = InputSource()
    source.setPublicId(BASE)
    source.setByteStream(stream)
    graph.parse(source=source, format=kind)


def _local(uri: str, stream: BinaryIO) -> BinaryIO:
    """JSON-LD whose contexts all stand in it. rdflib would fetch any other, whoever it is of."""
    data = stream.read()
    for context in _contexts(json.loads(data)):
        for one in context if isinstance(context, list) else [context]:
            place = one.get("@import") if isinstance(one, dict) else one
            if place is not None:
                raise CorpusError(
                    f"{uri}: its context lies elsewhere ({str(place)[:200]!r}) and nothing is "
                    "fetched: put the context itself into the file, or save it as Turtle"
                )
    return io.BytesIO(data)


def _contexts(value: Any) -> Iterator[Any]:
    """What stands under any "@context", however deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "@context" in one:
                yield one["@context"]
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
