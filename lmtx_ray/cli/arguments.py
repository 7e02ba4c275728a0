"""What the command line's verbs share: a parser that knows what was meant, and values."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """Says which verb or option was likely meant, and keeps the lines of examples as they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Usage and one line on standard error, exit code 2."""
        super().error(_with_verb(message))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of argparse; unknown options are told with those that are near."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = parser_of(self, found)
            hints = [hint for word in unknown if (hint := _near_option(word, parser))]
            parser.error(" ".join([f"unrecognized arguments: {' '.join(unknown)}", *hints]))
        return found


def _with_verb(message: str) -> str:
    """argparse's sentence on an unknown choice with the near ones."""
    found = CHOICE.search(message)
    if not found:
        return message
    known = re.findall(r"'([^']*)'", found[2]) or found[2].split(", ")
    near = difflib.get_close_matches(found[1], known, n=2, cutoff=0.5)
    asked = f"; did you mean {' or '.join(near)}? There is" if near else "; there is"
    return f"no {found[1]!r} here{asked}: {', '.join(known)}"


def _near_option(word: str, parser: argparse.ArgumentParser) -> str:
    name = word.split("=")[0]
    if not name.startswith("-"):
        return ""
    near = difflib.get_close_matches(name, list(parser._option_string_actions), n=2, cutoff=0.6)
    return f"(did you mean {' or '.join(near)}?)" if near else ""


def parser_of(
    parser: argparse.ArgumentParser, found: argparse.Namespace
) -> argparse.ArgumentParser:
    """The parser of the verb that was called, of its action if it has some."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            chosen = action.choices.get(getattr(found, action.dest, None) or "")
            return parser_of(chosen, found) if chosen else parser
    return parser


def all_parsers(
    parser: argparse.ArgumentParser, path: Sequence[str] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """("verdicts export", its parser) of everything below a parser, and itself as ""."""
    yield " ".join(path), parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from all_parsers(below, (*path, name))


def add_verb(verbs: Any, name: str, about: str, function: Any) -> argparse.ArgumentParser:
    """A verb whose `run_command` is the function that does it."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run_command=function)
    add_common_options(parser)
    return parser


def said_already(result: dict[str, Any]) -> str:
    """No words of a result: the verb printed them."""
    return ""


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """What every verb has: how much is said, and to whom."""
    saying = parser.add_argument_group("what is said")
    much = saying.add_mutually_exclusive_group()
    much.add_argument(
        "-q", "--quiet", action="store_true", help="warnings, errors and the result alone"
    )
    much.add_argument(
        "-v", "--verbose", action="store_true", help="details, and warnings of libraries too"
    )
    saying.add_argument(
        "--json",
        action="store_true",
        help="the result as one line of JSON, also on a terminal (elsewhere it always is)",
    )


def add_set_option(parser: argparse.ArgumentParser, what: str = "a setting") -> None:
    """`--set a.b=c`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help=f"override {what} (repeatable)",
    )


def probability(text: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        hint = f"; for {number:g} % say {number / 100:g}" if 1 < number <= 100 else ""
        raise argparse.ArgumentTypeError(f"needs a number from 0 to 1, got {text!r}{hint}")
    return number


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number from 1, got {text!r}")
    return int(text)


def encoding(text: str) -> str:
    """The name of an encoding that Python knows."""
    try:
        "text".encode(text)
    except (LookupError, UnicodeError):
        message = f"no encoding {text!r}; utf-8, cp1252 or latin-1 are usual"
        raise argparse.ArgumentTypeError(message) from None
    return text


def add_encoding(parser: argparse.ArgumentParser, files: str) -> None:
    """`--encoding` of such files."""
    parser.add_argument(
        "--encoding",
        default="utf-8",
        type=encoding,
        metavar="NAME",
        help=f"of text that is not UTF-8 in {files}: cp1252, latin-1, …",
    )


def port_number(text: str) -> int:
    """A port that can be listened at, from 1 to 65535."""
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"needs a port from 1 to 65535, got {text!r}")
    return int(text)


def add_search(parser: argparse.ArgumentParser) -> None:
    """`--search`, how an index is shared out to workers."""
    parser.add_argument(
        "--search",
        choices=("auto", "replicated", "chain"),
        default="auto",
        help="replicated: each tagger maps the whole index; chain: each stage of a chain a part of "
        "it; auto: a chain where half of a node's memory is too little for the index",
    )
