"""A chat server with the quirks of real ones, for tests. It says yes when the label's first word is
in the document. Asked for subject headings it writes a few.

The request's "model" names the quirk; with ".once" behind it only the first try of each prompt
meets it. A label with "broken" in it gets 500 for ever. In a process: `with FakeJudge() as judge:`
and `judge.url`; from a shell: `python -m tests.fake_llm PORT LOG`, a JSON line for each request.
"""

from __future__ import annotations

import json
import math
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/v1/chat/completions"
WRITE = "Write the subject headings"  # of a question for phrases
NAMED = re.compile(r"\w+ (?:pain|disease|trial)")  # what it writes of a document
KEY = "good"  # what "keyed" wants
Value = dict[str, Any]


def chat(content: Any, logprobs: Any = None, **message: Any) -> Value:
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "finish_reason": "length", "message": said, "logprobs": logprobs}
    usage = {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41}
    return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}


def token(*pairs: tuple[Any, Any]) -> Value:
    """One token of a reply, sampled as the first of the listed ones."""
    tops = [{"token": text, "logprob": p, "bytes": None} for text, p in pairs]
    return {"token": pairs[0][0], "logprob": pairs[0][1], "bytes": None, "top_logprobs": tops}


def tokens(*entries: Value) -> Value:
    return {"content": list(entries)}


def sure(good: str, bad: str) -> Value:
    return tokens(token((good, -0.1), (bad, -2.4)))


def thoughts(good: str, bad: str) -> Value:
    """A whole thought, then the answer, each token with its list."""
    thought = [token((text, 0.0)) for text in ("<think>", "No", " doubt", "</think>", "\n\n")]
    return tokens(*thought, token((good, -0.2), (bad, -1.8)))


def bare(word: str, **fields: Any) -> Value:
    return tokens({"token": word, "logprob": -0.1, **fields})


NOISE = token(("<think>", -1e-7), ("\n", -16.0), ("No", -17.2), ("Yes", -17.9))
REPLIES: dict[str, Callable[[str, str], Any]] = {
    "ok": lambda good, bad: chat(good, sure(good, bad)),
    "text": lambda good, bad: chat(f"{good}."),
    "topsnull": lambda good, bad: chat(good, bare(good, top_logprobs=None)),
    "topsmissing": lambda good, bad: chat(good, bare(good)),
    "logprobnull": lambda good, bad: chat(good, tokens(token((good, -0.1), (bad, None)))),
    "goodnull": lambda good, bad: chat(good, tokens(token((good, None), (bad, -1.9)))),
    "oddtokens": lambda good, bad: chat(good, tokens(token((7, -0.1), (None, -2.4)))),
    "parts": lambda good, bad: chat([{"type": "text", "text": good}]),
    "partslogprobs": lambda good, bad: chat([{"type": "text", "text": good}], sure(good, bad)),
    "think": lambda good, bad: chat("<think>", tokens(token(("<think>", 0.0), ("The", -1.6)))),
    "thinknoise": lambda good, bad: chat("<think>", tokens(NOISE)),
    "reasoning": lambda good, bad: chat(None, reasoning_content="Okay"),
    "thinkclosed": lambda good, bad: chat(f"<think>\nno doubt\n</think>\n\n{good}", tokens(NOISE)),
    "thoughts": lambda good, bad: chat(f"<think>No doubt</think>\n\n{good}", thoughts(good, bad)),
    "because": lambda good, bad: chat(f"{good}, because there is no doubt, yes."),
    "emoji": lambda good, bad: chat("\ud83d", tokens(token(("\ud83d", -0.1), ("\udc00", -3.0)))),
    "nothing": lambda good, bad: chat(""),
    "nochoices": lambda good, bad: {"choices": []},
    "nojson": lambda good, bad: b"<html>Welcome</html>",
    "limited200": lambda good, bad: {"error": {"code": 429, "message": "slow down"}},
    "refused200": lambda good, bad: {"choices": [], "error": {"message": "no such model"}},
}


def refusal(message: str, **fields: Any) -> Value:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


def extra(name: str) -> Value:
    problem = "Extra inputs are not permitted"
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": problem}]}


# What a request may not hold, and what is said to it.
REFUSALS: dict[str, tuple[Callable[[Value], Any], int, Value]] = {
    "maxtokens": (
        lambda body: "max_tokens" in body,
        400,
        refusal(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
        ),
    ),
    "mosttops": (
        lambda body: body.get("top_logprobs", 0) > 5,
        422,
        refusal("top_logprobs: at most 5"),
    ),
    "fourtops": (
        lambda body: body.get("top_logprobs", 0) > 4,
        400,
        {"message": "Requested sample logprobs of 20, which is greater than max allowed: 4"},
    ),
    "nologprobs": (
        lambda body: "logprobs" in body,
        400,
        refusal("logprobs is not supported by this model"),
    ),
    "notemperature": (
        lambda body: "temperature" in body,
        400,
        refusal("Unsupported value: 'temperature' does not support 0 with this model."),
    ),
    "notemplate": (lambda body: "chat_template_kwargs" in body, 422, extra("chat_template_kwargs")),
    "noprefix": (
        lambda body: "continue_final_message" in body,
        422,
        extra("continue_final_message"),
    ),
    "toolong": (
        lambda body: True,
        400,
        refusal("This model's maximum context length is 512 tokens; lower max_tokens"),
    ),
    "never": (
        lambda body: True,
        400,
        refusal("temperature, max_tokens, top_logprobs and chat_template_kwargs are wrong"),
    ),
    "filtered": (
        lambda body: "heart" in body["messages"][-1]["content"],
        400,
        refusal(
            "The response was filtered due to the prompt triggering our content management policy.",
            code="content_filter",
        ),
    ),
    "badkey": (lambda body: True, 401, refusal("Incorrect API key provided")),
    "forbidden": (lambda body: True, 403, refusal("This project has no access to the model")),
    "unknown": (lambda body: True, 404, refusal("The model `unknown` does not exist")),
    "quota": (
        lambda body: True,
        429,
        refusal("You exceeded your quota", code="insufficient_quota"),
    ),
    "busy": (lambda body: True, 503, refusal("overloaded")),
    "limited": (lambda body: True, 429, refusal("Rate limit reached")),
    "told": (lambda body: True, 429, refusal("Rate limit reached, come at once")),
    "moved": (lambda body: True, 307, {}),
}


SLOW_BYTES = {"slow": 4, "crawl": 100}  # each of them takes 20 ms


class FakeJudge(ThreadingHTTPServer):
    """The server, in threads. `requests` holds every request's path, body and key, in order;
    "bucket" lets five through in each `window` of seconds. Beyond `most` the key is wrong."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, log: str | None = None, window: float = 1.0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Value] = []
        self.most: int | None = None
        self.window, self.lock, self.log_path = window, threading.Lock(), log
        self.tries: Counter[tuple[str, str]] = Counter()
        self.let_through: list[float] = []
        self.connections: set[Any] = set()

    def __enter__(self) -> FakeJudge:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are part of the tests."""

    def record(self, path: str, body: Value, key: str | None, prompt: str) -> int:
        """How often this prompt has been asked, this time included."""
        model = str(body.get("model"))
        with self.lock:
            self.requests.append({"path": path, "body": body, "key": key})
            self.tries[model, prompt] += 1
            if self.log_path:
                line = {"t": round(time.time(), 2), "path": path, "model": model}
                line |= {"n": len(self.requests), "tail": prompt[-120:]}
                with open(self.log_path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            return self.tries[model, prompt]

    def full(self) -> float:
        """Seconds until the bucket has room; 0 takes a place in it."""
        with self.lock:
            now = time.monotonic()
            self.let_through = [at for at in self.let_through if at > now - self.window]
            if len(self.let_through) < 5:
                self.let_through.append(now)
                return 0.0
            return self.let_through[0] + self.window - now


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeJudge

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = next(m["content"] for m in body["messages"] if m["role"] == "user")
        self.server.connections.add(self.client_address)
        key = self.headers.get("Authorization")
        tries = self.server.record(self.path, body, key, prompt)
        document, _, label = prompt.partition(">>>")
        label = label.partition("«")[2].partition("»")[0].lower()
        yes = bool(label) and label.split()[0] in document.lower()
        quirk, _, once = str(body["model"]).partition(".")
        self.writes = "\n- ".join(["", *NAMED.findall(prompt)]) if WRITE in prompt else None
        if self.path != PATH:
            return self.reply(404, {"detail": "Not Found"})
        if "broken" in label:
            return self.reply(500, {"error": "out of memory"})
        return self.act("ok" if once and tries > 1 else quirk, body, yes)

    def act(self, quirk: str, body: Value, yes: bool) -> None:
        good, bad = ("Yes", "No") if yes else ("No", "Yes")
        plain = REPLIES["ok"](good, bad)
        is_over = len(self.server.requests) > (self.server.most or math.inf)
        if is_over or (quirk == "keyed" and self.headers.get("Authorization") != f"Bearer {KEY}"):
            return self.reply(401, refusal("Incorrect API key provided"))
        if quirk == "echo":  # tells the key, as careless servers do
            return self.reply(401, refusal(f"Wrong key {self.headers.get('Authorization')}"))
        if quirk == "parrot":  # tells what it was sent
            return self.reply(400, refusal(f"cannot read: {body['messages'][-1]['content']}"))
        if quirk == "bucket" and (wait := self.server.full()):
            seconds = str(int(wait) + 1)
            return self.reply(429, refusal("Rate limit"), {"Retry-After": seconds})
        if quirk in REFUSALS and REFUSALS[quirk][0](body):
            headers = {"Location": "http://u:secret@other/v1?k=secret"} if quirk == "moved" else {}
            headers |= {"Retry-After": "0"} if quirk == "told" else {}
            return self.reply(*REFUSALS[quirk][1:], headers)
        if quirk in ("truncated", "chunkcut", "drop", *SLOW_BYTES):
            return self.dribble(quirk, json.dumps(plain).encode())
        if self.writes is not None:
            return self.reply(200, chat(self.writes))
        return self.reply(200, REPLIES.get(quirk, REPLIES["ok"])(good, bad))

    def reply(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def dribble(self, quirk: str, data: bytes) -> None:
        """A reply that breaks off, or one that comes slowly, byte by byte at first."""
        self.close_connection = quirk not in SLOW_BYTES
        if quirk == "drop":
            return
        self.send_response(200)
        if quirk == "truncated":
            self.send_header("Content-Length", str(len(data) + 400))
            self.end_headers()
            self.wfile.write(data[:200])
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if quirk == "chunkcut":
            self.wfile.write(b'40\r\n{"id": "c"')
            return
        for _ in range(SLOW_BYTES[quirk]):
            self.wfile.write(b"1\r\n \r\n")
            time.sleep(0.02)
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")


if __name__ == "__main__":
    served = FakeJudge(int(sys.argv[1]), sys.argv[2])
    print(served.url, flush=True)
    served.serve_forever()
