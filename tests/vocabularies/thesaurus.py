"""One small thesaurus in four spellings of RDF."""

from __future__ import annotations

import json

TURTLE = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xl: <http://www.w3.org/2008/05/skos-xl#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix v: <http://vocab.example.org/> .

v:scheme a skos:ConceptScheme ; skos:prefLabel "Finds"@en .
v:pots a skos:Concept ;
  skos:prefLabel "Pottery"@en, "Keramik"@de, "Töpferei"@de-AT ;
  skos:altLabel "Ceramics"@en, "Tonware"@de ; skos:hiddenLabel "Potery"@en ;
  skos:definition "Vessels of fired clay."@en ; skos:scopeNote "Not tiles."@en,
    "Gefäße aus Ton."@de ;
  skos:narrower v:lamps .
v:lamps a skos:Concept ; skos:prefLabel "Oil lamps"@en ; skos:broader v:finds .
v:finds skos:prefLabel "Funde"@de .
v:tiles a skos:Concept ; xl:prefLabel v:tiles-name .
v:tiles-name a xl:Label ; xl:literalForm "Tiles"@en .
v:old a skos:Concept ; skos:prefLabel "Crockery"@en ; owl:deprecated true ;
  dct:isReplacedBy v:pots .
v:nameless a skos:Concept .
v:odd a skos:Concept ; skos:prefLabel "Shell"@en ; skos:definition [ rdf:value "Of molluscs"@en ] .
"""
SKOS, XL = "http://www.w3.org/2004/02/skos/core#", "http://www.w3.org/2008/05/skos-xl#"
XML = f"""<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [<!ENTITY v "http://vocab.example.org/">]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="{SKOS}"
  xmlns:xl="{XL}" xmlns:owl="http://www.w3.org/2002/07/owl#" xmlns:dct="http://purl.org/dc/terms/">
<skos:Concept rdf:about="&v;odd"><skos:prefLabel xml:lang="en">Shell</skos:prefLabel>
  <skos:definition rdf:parseType="Resource"><rdf:value xml:lang="en">Of molluscs</rdf:value>
  </skos:definition></skos:Concept>
<skos:Concept rdf:about="&v;nameless"/>
<skos:Concept rdf:about="&v;old"><skos:prefLabel xml:lang="en">Crockery</skos:prefLabel>
  <owl:deprecated rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">true</owl:deprecated>
  <dct:isReplacedBy rdf:resource="&v;pots"/></skos:Concept>
<skos:Concept rdf:about="&v;tiles"><xl:prefLabel>
  <xl:Label rdf:about="&v;tiles-name"><xl:literalForm xml:lang="en">Tiles</xl:literalForm>
  </xl:Label></xl:prefLabel></skos:Concept>
<rdf:Description rdf:about="&v;finds"><skos:prefLabel xml:lang="de">Funde</skos:prefLabel>
</rdf:Description>
<skos:Concept rdf:about="&v;lamps"><skos:prefLabel xml:lang="en">Oil lamps</skos:prefLabel>
  <skos:broader rdf:resource="&v;finds"/></skos:Concept>
<skos:Concept rdf:about="&v;pots"><skos:narrower rdf:resource="&v;lamps"/>
  <skos:scopeNote xml:lang="de">Gefäße aus Ton.</skos:scopeNote>
  <skos:scopeNote xml:lang="en">Not tiles.</skos:scopeNote>
  <skos:definition xml:lang="en">Vessels of fired clay.</skos:definition>
  <skos:hiddenLabel xml:lang="en">Potery</skos:hiddenLabel>
  <skos:altLabel xml:lang="de">Tonware</skos:altLabel>
  <skos:altLabel xml:lang="en">Ceramics</skos:altLabel>
  <skos:prefLabel xml:lang="de-AT">Töpferei</skos:prefLabel>
  <skos:prefLabel xml:lang="de">Keramik</skos:prefLabel>
  <skos:prefLabel xml:lang="en">Pottery</skos:prefLabel></skos:Concept>
<skos:ConceptScheme rdf:about="&v;scheme"><skos:prefLabel xml:lang="en">Finds</skos:prefLabel>
</skos:ConceptScheme>
</rdf:RDF>
"""
CONTEXT = {
    "skos": SKOS,
    "xl": XL,
    "owl": "http://www.w3.org/2002/07/owl#",
    "dct": "http://purl.org/dc/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "v": "http://vocab.example.org/",
    "name": {"@id": "skos:prefLabel", "@container": "@language"},
    "other": {"@id": "skos:altLabel", "@container": "@language"},
}
GRAPH = [
    {"@id": "v:scheme", "@type": "skos:ConceptScheme", "name": {"en": "Finds"}},
    {
        "@id": "v:pots",
        "@type": "skos:Concept",
        "name": {"en": "Pottery", "de": "Keramik", "de-AT": "Töpferei"},
        "other": {"de": "Tonware", "en": "Ceramics"},
        "skos:hiddenLabel": {"@value": "Potery", "@language": "en"},
        "skos:definition": {"@value": "Vessels of fired clay.", "@language": "en"},
        "skos:scopeNote": [
            {"@value": "Not tiles.", "@language": "en"},
            {"@value": "Gefäße aus Ton.", "@language": "de"},
        ],
        "skos:narrower": {"@id": "v:lamps"},
    },
    {
        "@id": "v:lamps",
        "@type": "skos:Concept",
        "name": {"en": "Oil lamps"},
        "skos:broader": {"@id": "v:finds", "name": {"de": "Funde"}},
    },
    {
        "@id": "v:tiles",
        "@type": "skos:Concept",
        "xl:prefLabel": {
            "@id": "v:tiles-name",
            "@type": "xl:Label",
            "xl:literalForm": {"@value": "Tiles", "@language": "en"},
        },
    },
    {
        "@id": "v:old",
        "@type": "skos:Concept",
        "name": {"en": "Crockery"},
        "owl:deprecated": True,
        "dct:isReplacedBy": {"@id": "v:pots"},
    },
    {"@id": "v:nameless", "@type": "skos:Concept"},
    {
        "@id": "v:odd",
        "@type": "skos:Concept",
        "name": {"en": "Shell"},
        "skos:definition": {"rdf:value": {"@value": "Of molluscs", "@language": "en"}},
    },
]
JSON_LD = json.dumps({"@context": CONTEXT, "@graph": GRAPH})
