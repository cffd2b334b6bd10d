"""Test vectors: what a logging call becomes as an entry, in Python and in JavaScript alike.

The cases are written here; `python -m tests.javascript.vectors` makes their entries with the Python handler and writes
`vectors.json`, which `vectors.test.mjs` compares with those of the JavaScript client. Values that JSON does not know
are written as `{"$": kind, …}`; `decode` says what the kinds are.

What differs by nature (bigint, symbols, functions, DOM nodes, dates, how a record that is too long is cut) is in
`values.test.mjs`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from logcollector_handler.call_site import Site, log
from logcollector_handler.entry.model import LEVEL_NUMBERS, level_called
from logcollector_handler.entry.patterns import Patterns
from logcollector_handler.entry.redact import DEFAULT_REDACT
from logcollector_handler.wire.format import Format
from logcollector_handler.wire.masked import MaskedFormat
from tests.entry.making import FORMAT, Catcher, builder

FILE: Final = Path(__file__).with_name("vectors.json")
#: What both languages are given beside the fields, with the logger "shop", process 1 and thread "main".
SITE: Final = Site("shop", "/srv/shop.py", 7, "buy")
CREATED_AT: Final = 1700000000.5

_UUID: Final = "0123abcd-4567-89ab-cdef-0123456789ab"
#: Fields by the name of the case; the message is the name, the level INFO.
CASES: Final[dict[str, dict[str, Any]]] = {
    "no fields": {},
    "plain fields": {"order": "A-1", "amount": 99.5, "items": 3, "paid": True, "coupon": None},
    "containers": {"list": [1, "two", None, [3.5]], "object": {"a": {"b": [True]}}, "empty": {}, "none": []},
    "numbers that JSON has not": {"a": {"$": "nan"}, "b": [{"$": "inf"}, {"$": "-inf"}], "c": {"d": {"$": "nan"}}},
    "names that JSON escapes": {'"quoted"': 1, "back\\slash": 2, "line\nend": 3, "": 4, "ünï": 5, "\U0001f600": 6},
    "names of prototypes": {"__proto__": 1, "constructor": 2, "toString": {"__proto__": {"hasOwnProperty": 3}}},
    "U+0000 and halves of pairs": {"a": "x\0y", "b": "\ud800", "c": "\udc00 \U0001f600", "d\0": {"e\ud83d": "\0"}},
    "names that are one when cleaned": {"a\0": 1, "a\ud800": 2},
    "a cycle": {"loop": {"$": "cycle"}},
    "the same object twice is no cycle": {"twice": {"$": "twice"}},
    "nested as deep as may be": {"deep": {"$": "deep", "levels": 19}},
    "nested deeper": {"deep": {"$": "deep", "levels": 20}, "list": {"$": "deep list", "levels": 30}},
    "a set": {"set": {"$": "set", "items": [1]}, "in": [{"$": "set", "items": []}]},
    "bytes": {"bytes": {"$": "bytes", "text": "ab\u00fc"}},
    "an error as a value": {"cause": {"$": "error", "type": "TypeError", "message": "no such thing"}},
    "keys that are no text": {"map": {"$": "map", "pairs": [[1, "a"], ["b", 2]]}},
    "every column": {
        "log_type": "WORKER",
        "service": "billing",
        "environment": "staging",
        "service_version": "v9",
        "function_name": "f",
        "file_path": "/f.py",
        "trace_id": "ab" * 16,
        "user_id": "u",
        "session_id": "s",
        "error_type": "E",
        "stack_trace": "at f",
        "path": "/pay",
        "method": "POST",
        "action_type": "pay",
        "duration_ms": 12.5,
    },
    "numbers in text columns": {"user_id": 12345, "session_id": 7.5, "path": 5, "trace_id": 99, "service": 3},
    "enums in another case": {"method": " post ", "log_type": "frontend", "environment": "Prod"},
    "aliases": {"environment": "testing"},
    "enums with other values": {"method": "BREW", "log_type": "TOASTER", "environment": "moon"},
    "columns that cannot hold it": {"user_id": [1], "path": {"a": 1}, "service": None, "method": 5, "trace_id": True},
    "nothing in columns": {"user_id": None, "duration_ms": None, "method": None},
    "durations": {"duration_ms": 1.23456},
    "a duration as text": {"duration_ms": " 12.5 "},
    "a duration that is none": {"duration_ms": "soon"},
    "a duration in empty text": {"duration_ms": ""},
    "a duration that is hexadecimal": {"duration_ms": "0x10"},
    "a duration that is too long": {"duration_ms": 1e7},
    "a duration just under the limit": {"duration_ms": 9999999.999},
    "a duration that rounds up to the limit": {"duration_ms": 9999999.9996},
    "an endless duration": {"duration_ms": {"$": "inf"}},
    "a duration that is true": {"duration_ms": True},
    "too long for its column": {
        "path": {"$": "repeat", "text": "p", "count": 501},
        "service": {"$": "repeat", "text": "s", "count": 101},
        "error_type": {"$": "repeat", "text": "\U0001f600", "count": 201},
    },
    "as long as its column": {
        "path": {"$": "repeat", "text": "\U0001f600", "count": 500},
        "service_version": {"$": "repeat", "text": "v", "count": 50},
    },
    "identifiers that are too long": {
        "user_id": {"$": "repeat", "text": "u", "count": 256},
        "session_id": {"$": "repeat", "text": "s", "count": 101},
        "trace_id": {"$": "repeat", "text": "t", "count": 33},
    },
    "a trace id in the form of a UUID": {"trace_id": _UUID},
    "another trace id with dashes": {"trace_id": "0123-4567"},
    "U+0000 in columns": {"path": "/a\0b", "user_id": "\ud800", "method": "GET\0"},
    "metadata is merged": {"metadata": {"a": 1, "b": {"c": 2}}, "d": 3},
    "metadata that is no object": {"metadata": [1, 2]},
    "one name in the fields and in metadata": {"a": 1, "metadata": {"a": 2, "line": 3}},
    "the same in the fields and in metadata": {"a": "x", "metadata": {"a": "x"}},
    "names that every record has": {"line": "mine", "process": 2, "thread": "mine", "logger": "mine"},
    "columns of the record": {"created_at": 5, "truncated": 1},
    "secrets": {"password": "x", "db_password": 1, "apiKey": ["k"], "user": {"token": "t", "tokens": 5, "name": "n"}},
    "names that only look secret": {"has_password": True, "next_page_token": "p", "token_count": 3, "primary_key": 1},
    "secrets with something behind": {"password_hash": "h", "API-KEY-VALUE": "v", "mypassword": "m", "Cookie": "c"},
    "secrets in columns": {"path": "/pay?token=abc&a=1", "user_id": "u"},
    "secrets in URLs": {"url": "https://u:hunter2@shop/?code=abc&x=1#y", "note": "?token=abc"},
    "secrets in metadata": {"metadata": {"password": "x", "a": [{"secret": 1}]}},
}
#: The settings `redact` and `redact_patterns`, each with the fields of its case.
REDACTED: Final[dict[str, tuple[dict[str, list[str]], dict[str, Any]]]] = {
    "names of one's own": (
        {"redact": ["loyaltyNumber", "token"]},
        {"loyalty_number": 1, "loyaltyNumbers": 2, "password": "stays", "my_tokens": "t", "atoken": 3, "tokens": 5},
    ),
    "names of one's own in URLs": ({"redact": ["cart"]}, {"url": "/?cart=5&token=abc&cart_id=6", "body": "cart=7"}),
    "no names": ({"redact": []}, {"password": "x", "url": "https://u:hunter2@shop/?token=abc"}),
    "patterns of one's own": (
        {"patterns": [r"\bcust-\d+\b", r"(?<=pin )\d+", "^s+$"]},
        {"a": "cust-77, pin 1234", "cust-5": {"b": ["cust-6 cust-x"]}, "user_id": "cust-9", "n": 5, "path": "ssss"},
    ),
    "patterns in numbers and columns": (
        {"patterns": ["^9+$"]},
        {
            "n": 999,
            "f": 9.5,
            "list": [99, 8],
            "user_id": 999,
            "duration_ms": 9,
            "service": "9",
            "session_id": "9" * 100,
        },
    ),
    "names that are one when masked": ({"patterns": ["[0-9]+"]}, {"a1": 1, "a2": 2}),
    "both": ({"redact": ["x"], "patterns": ["common"]}, {"x": 1, "password": "p", "mail": "a@shop.example"}),
    "cards": (
        {"patterns": ["common"]},
        {
            "visa": "4111 1111 1111 1111",
            "amex": "paid by 3782-822463-10005, thanks",
            "number": 5555555555554444,
            "no card": "4111 1111 1111 1112",
            "id": "00000000-4111-1111-1111-111111111111",
            "two": "4111111111111111 5555555555554444",
            "order first": "12 4111 1111 1111 1111",
        },
    ),
    "keys": (
        {"patterns": ["common"]},
        {
            "aws": "AKIAIOSFODNN7EXAMPLE and AKIAIOSFODNN7EXAMPLEX",
            "github": "ghp_" + "a1" * 18,
            "openai": "sk-proj-" + "a1" * 20,
            "words": "task-force-for-the-risk-of-the-desk-1234567890",
            "stripe": "sk_live_" + "4eC39HqLyjWD",
            "slack": "https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXX",
            "telegram": "110201543:AA" + "H" * 33,
            "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_",
            "pem": "x -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- y",
            "open pem": "-----BEGIN PRIVATE KEY-----\nabc",
        },
    ),
    "credentials": (
        {"patterns": ["common"]},
        {
            "header": "Authorization: Digest abc, x",
            "json": '{"authorization": "Token abc"}',
            "bearer": "BEARER a1b2c3 and bearer token of bearer bonds",
            "long": "Bearer " + "a" * 16,
            "basic": "basic dTpw, basic auth, Basic training",
            "url": "postgres://shop:hunter2@db/shop http://host:80/a@b",
            "mail": "an.na+x@mail.shop.example, Änna@köln.example; a@b",
        },
    ),
}
LEVELS: Final = ("trace", "DEBUG", "info", "WARNING", "warn", "Error", "err", "CRITICAL", " fatal ")


def decode(value: Any) -> Any:
    """The value that a case means."""
    if isinstance(value, list):
        return [decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    match value.get("$"):
        case None:
            return {name: decode(each) for name, each in value.items()}
        case "nan" | "inf" | "-inf" as kind:
            return float(kind)
        case "repeat":
            return value["text"] * value["count"]
        case "bytes":
            return value["text"].encode()
        case "set":
            return set(value["items"])
        case "map":
            return dict(value["pairs"])
        case "error":
            return type(value["type"], (Exception,), {})(value["message"])
        case "cycle":
            loop: dict[str, Any] = {"list": []}
            loop["self"] = loop
            loop["list"].append(loop)
            return loop
        case "twice":
            shared = {"a": 1}
            return [shared, shared]
        case "deep" | "deep list" as kind:
            deep: Any = "bottom"
            for _ in range(value["levels"]):
                deep = {"in": deep} if kind == "deep" else [deep]
            return deep
    raise ValueError(f"there is no kind {value['$']!r}")


def entry(
    level: str,
    message: str,
    fields: dict[str, Any],
    redact: Sequence[str] = DEFAULT_REDACT,
    patterns: Sequence[str] = (),
) -> dict[str, Any]:
    """The entry that the Python handler makes."""
    masked = cast(Format, MaskedFormat(FORMAT, Patterns(patterns)))
    catcher = Catcher()
    logger = logging.getLogger("shop")
    logger.setLevel(1)
    logger.propagate = False
    logger.addHandler(catcher)
    name = level_called(level)
    assert name is not None
    log(logger, SITE, LEVEL_NUMBERS[name], message, decode(fields))
    (record,) = catcher.records
    logger.removeHandler(catcher)
    record.__dict__.update(created=CREATED_AT, process=1, threadName="main")
    (run,) = masked.encode([builder(redact=redact, common=masked.common).build(record)], 1 << 20)
    made: dict[str, Any] = json.loads(bytes(run.encoded))
    return made


def make() -> list[dict[str, Any]]:
    """All vectors."""
    cases = [("INFO", name, fields) for name, fields in CASES.items()]
    cases += [(level, f"level {level}", {}) for level in LEVELS]
    cases += [("INFO", message, {}) for message in ("", "x\0\ud800y", "%s %d {}", "\U0001f600" * 10)]
    plain = [
        {"level": level, "message": message, "fields": fields, "entry": entry(level, message, fields)}
        for level, message, fields in cases
    ]
    redacted = [
        {"level": "INFO", "message": name, "fields": fields, "entry": entry("INFO", name, fields, **given), **given}
        for name, (given, fields) in REDACTED.items()
    ]
    return plain + redacted


def text() -> str:
    """The content of the file."""
    lines = ",\n".join(json.dumps(vector) for vector in make())
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    FILE.write_text(text())
