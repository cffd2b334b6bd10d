"""`redact_patterns` on a text: the ready patterns one by one, patterns of one's own, and hostile texts."""

from __future__ import annotations

import base64
import itertools
import re
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler.entry.patterns import COMMON, SHORTEST_MATCH, Patterns, problem
from logcollector_handler.entry.redact import MASK

common = Patterns([COMMON])

PEM = "-----BEGIN {0}PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKc=\n-----END {0}PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
#: Texts that are secrets as a whole.
SECRETS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    *(f"gh{kind}_{'a1B2' * 9}" for kind in "pousr"),
    f"github_pat_11ABCDEFG0{'abcDEF12' * 3}_{'a1' * 29}",
    "glpat-abcDEF123_-ghiJKL456",
    "xoxb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx",
    "xoxp-1234567890-abcdef",
    "xapp-1-A0123456789-1234567890123-abcdef",
    # In parts, so that nobody takes them for keys of somebody.
    "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc",
    "rk_" + "test_4eC39HqLyjWDarjtT1zdp7dc",
    "whsec_" + "abcdefghijklmnop12345678",
    "AIza" + "SyD-abcdefghijklmnopqrstuvwxyz12345",
    "ya29.a0AfH6SMBx-abcdefghijklmnop",
    "GOCSPX-abcdefghijklmnopqrstuvwxyz12",
    "sk-" + "abc123" * 8,
    "sk-proj-abc_123-def456ghi789",
    "sk-ant-api03-abcdef-123456",
    "SG.abcdefghijklmnopqrst.abcdefghijklmnopqrstuvwxyz",
    "npm_" + "aB1" * 12,
    "pypi-AgEIcHlwaS5vcmcabcdef",
    "hf_" + "aBcDeF" * 6,
    "hvs.CAESIabcdefghijklmnopqrst",
    "123456789:AAabcdefghijklmnopqrstuvwxyz-_12345",
    JWT,
    f"{JWT}.{'a' * 20}.b-c_d",
    PEM.format(""),
    PEM.format("RSA "),
    PEM.format("ENCRYPTED "),
    PEM.format("").replace("\n", "\\n"),
    "joe@example.com",
    "a@b.no",
    "joe.doe+tag@mail.example.co.uk",
    "jürgen@müller.de",
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111 11111111-1111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "3782 822463 10005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6200000000000005",
    "6304000000000000",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_wherever_it_stands(secret: str) -> None:
    assert common.masked(secret) == MASK
    assert common.can_match(secret)
    for before, after in itertools.product(
        ["", " ", "is ", "a=", "key: '", '{"a": "', "(", "at\n"], ["", " ", "' ", '"}', ")", "\n"]
    ):
        assert common.masked(f"{before}{secret}{after}") == f"{before}{MASK}{after}"
    assert common.masked(f"{secret}, {secret}") == f"{MASK}, {MASK}"


#: Texts of which a part is masked.
PARTS = {
    "Authorization: Bearer hunter2": "Authorization: Bearer ***",
    "authorization: basic dTpw": "authorization: basic ***",
    "Authorization: Token 9944b09199c6": "Authorization: Token ***",
    "Authorization: hunter2": "Authorization: ***",
    "{'Authorization': 'Bearer hunter2', 'a': 1}": "{'Authorization': 'Bearer ***', 'a': 1}",
    "('authorization', 'hunter2')": "('authorization', '***')",
    "BEARER abc.def-ghi": "BEARER ***",
    "bearer abcdefghijklmnop": "bearer ***",
    "got Basic dXNlcjpwYXNz.": "got Basic ***",
    "got Basic dXNlcjpwYXNzMQ==": "got Basic ***",
    "postgres://shop:hunter2@db/shop": "postgres://shop:***@db/shop",
    "http://me:hunter2@host:80/a": "http://me:***@host:80/a",
    "mail to <joe@example.com>.": "mail to <***>.",
    "mailto:joe@example.com?subject=a": "mailto:***?subject=a",
    "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijkl": "https://***",
    "x 12 4111 1111 1111 1111 123": "x 12 *** 123",
    "4111 1111 1111 1111 5555 5555 5555 4444": "*** ***",
    "card_4111111111111111, card-4111111111111111": "card_***, card-***",
    "4111111111111111.": "***.",
    f"begin {PEM.format('')[:40]}": "begin ***",
}


@pytest.mark.parametrize("text", PARTS)
def test_the_part_of_a_text_that_is_secret_is_masked(text: str) -> None:
    assert common.masked(text) == PARTS[text]
    assert common.can_match(text)


CLEAR = [
    "",
    "order 5 placed for customer 7",
    "2024-01-15 10:20:30,123 INFO 127.0.0.1:8000",
    "the bearer of bad news, bearer authentication failed",
    "basic understanding of basic authentication",
    "authorization of an order",
    "task-management-of-very-long-names-2",
    "a@b, @media, user@localhost, x@1.2",
    "AKIA is short, ghp_short, sk-short, eyJ.eyJ.x, xox-",
    "4111111111111112",
    "1234567890123456",
    "0000000000000000",
    "0.4111111111111111",
    "a4111111111111111 4111111111111111a",
    "41111111-1111-4111-8111-111111111111",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "1700000000000 1700000000000000000",
    "+49 30 1234 5678 901",
    "http://host:8000/path@here",
    "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----",
]


@pytest.mark.parametrize("text", CLEAR)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert common.masked(text) == text


def luhn(digits: str) -> int:
    """The check digit, written as the formula is taught."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return -total % 10


@given(
    number=st.from_regex("4[0-9]{14}|5[1-5][0-9]{13}|3[47][0-9]{12}", fullmatch=True),
    cuts=st.lists(st.integers(1, 14), max_size=4, unique=True),
    sign=st.sampled_from(" -"),
    wrong=st.integers(0, 9),
)
@settings(max_examples=200)
def test_digits_are_a_card_if_the_check_digit_is_right(number: str, cuts: list[int], sign: str, wrong: int) -> None:
    places = [0, *sorted(cuts), len(number) + 1]

    def grouped(check: int) -> str:
        digits = f"{number}{check}"
        return sign.join(digits[start:end] for start, end in itertools.pairwise(places) if digits[start:end])

    right = luhn(number)
    assert common.masked(f"paid by {grouped(right)}.") == f"paid by {MASK}."
    if wrong != right and not cuts:
        assert common.masked(f"paid by {grouped(wrong)}.") == f"paid by {grouped(wrong)}."


def test_own_patterns_mask_all_that_they_match() -> None:
    own = Patterns([r"\bcust-\d+\b", r"(?<=pin )\d+", "(?i)top secret"])
    assert own.masked("cust-7 pin 1234 Top Secret joe@example.com") == "*** pin *** *** joe@example.com"
    assert own.can_match("anything")
    both = Patterns([r"cust-\d+", COMMON])
    assert both.masked("cust-7, joe@example.com") == "***, ***"


def test_a_pattern_that_matches_between_letters_hides_none() -> None:
    assert Patterns([r"\b", "(?=a)"]).masked("a cat") == "a cat"


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", "(?P<a>b)(?P<a>c)", "", "a*", "|a", "^", "(?:)"])
def test_a_pattern_that_cannot_be_used_is_told_from_others(pattern: str) -> None:
    assert problem(pattern)
    assert problem(COMMON) is None
    assert problem("a+") is None


@given(st.text(alphabet=string.ascii_letters + string.digits + "@.-_ :/=", max_size=60))
@settings(max_examples=300)
def test_what_cannot_match_is_not_masked_and_what_is_short_cannot(text: str) -> None:
    if not common.can_match(text) or len(text) < SHORTEST_MATCH:
        assert common.masked(text) == text
    assert common.masked(common.masked(text)) == common.masked(text)


HOSTILE = [
    "a",
    "@",
    "a@",
    "a@a.",
    "1 ",
    "4 ",
    "41-",
    "eyJ",
    "eyJaaaaaaaa.",
    "sk-",
    "xox",
    "a.",
    "://a:",
    "Bearer ",
    "Basic a",
]
HOSTILE += ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "authorization:", "SG.", "ya29.", "%", "0.1"]


@pytest.mark.parametrize("part", HOSTILE)
def test_no_ready_pattern_reads_a_part_of_a_text_twice(part: str) -> None:
    # Time is not measured: a pattern whose steps grow with the square of the length would take minutes here.
    for text in (part * (50_000 // len(part)), "PRIVATE KEY @ eyJ" + part * (50_000 // len(part)) + "!"):
        assert common.masked(text)


def test_the_ready_patterns_work_on_texts_of_any_kind() -> None:
    texts: list[Any] = ["\ud800 joe@example.com", "\0joe@example.com\0", "💳4111111111111111💳"]
    for text in texts:
        masked = common.masked(text)
        assert MASK in masked
        assert not re.search("joe|4111", masked)


def test_basic_credentials_are_known_by_the_colon_in_them() -> None:
    for user in ("u:p", "user:", "aladdin:open sesame", "ü:ö"):
        sent = base64.b64encode(user.encode()).decode()
        assert common.masked(f"Basic {sent}") == f"Basic {MASK}"
    assert common.masked(f"Basic {base64.b64encode(b'no colon').decode()}").startswith("Basic bm8")
