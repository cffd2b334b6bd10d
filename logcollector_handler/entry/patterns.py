"""`redact_patterns`: what is masked in texts by how it looks, whatever the name of its field.

A pattern is a regular expression; all of what it matches is masked. `common` stands for the ready ones below. Each of
these has a hint, which is quick to ask: whether it is worth looking for the pattern in a text. Most texts have nothing
of the kind.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .pairs import PASSWORD_IN_URL
from .redact import MASK

#: In a list of patterns, all the ready ones.
COMMON: Final = "common"


class _Pattern(NamedTuple):
    found: re.Pattern[str]
    #: What stands in the place of a match.
    shown: Callable[[re.Match[str]], str]
    #: A text without any of these has no match, nor has JSON without them a text with one.
    needles: Sequence[str] = ()
    #: The same, told by a quicker pattern.
    hint: Callable[[str], object] | None = None


class Patterns:
    """Masks what the patterns match.

    Args:
        given: regular expressions, and `common`.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self._patterns = [each for pattern in given for each in (_ready() if pattern == COMMON else [_own(pattern)])]
        # Of all patterns together: the needles, the hints, and whether one has neither.
        self._needles = [needle for each in self._patterns for needle in each.needles]
        self._hints = [each.hint for each in self._patterns if each.hint is not None]
        self._always = any(not each.needles and each.hint is None for each in self._patterns)

    def masked(self, text: str) -> str:
        """The text, with what the patterns match masked."""
        for found, shown, needles, hint in self._patterns:
            if _has(text, needles) if needles else hint is None or hint(text):
                text = found.sub(shown, text)
        return text

    def can_match(self, text: str) -> bool:
        """Whether a part of the text may be matched, also when the text is JSON and the part a text in it."""
        if self._always or _has(text, self._needles):
            return True
        return any(hint(text) for hint in self._hints)


def problem(pattern: str) -> str | None:
    """What is wrong with a pattern; None if it is `common` or a regular expression that can be used."""
    if pattern == COMMON:
        return None
    try:
        matches_nothing = re.search(pattern, "")
    except Exception as error:  # noqa: BLE001 - an `re.error`, or a warning that was made an error
        return str(error)
    return "it matches empty text" if matches_nothing else None


def _own(pattern: str) -> _Pattern:
    return _Pattern(re.compile(pattern), _mask)


def _has(text: str, needles: Sequence[str]) -> bool:
    for needle in needles:  # noqa: SIM110 - `any` with a generator takes three times as long
        if needle in text:
            return True
    return False


#: Letters in the shortest text that a ready pattern matches: `a@b.no`.
SHORTEST_MATCH: Final = 6

# The ready ones. None of them takes time that grows faster than the text: what may be repeated without a limit begins
# where no sign of its kind stands before it.

#: Keys of well-known services, each with texts one of which is in all of them.
_KEYS: Final = {
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])": ("AKIA", "ASIA"),  # AWS
    r"gh[oprsu]_[A-Za-z0-9]{30,255}": ("gho_", "ghp_", "ghr_", "ghs_", "ghu_"),
    r"github_pat_\w{22,255}": ("github_pat_",),
    r"glpat-[\w-]{20,255}": ("glpat-",),
    r"xox[abeoprs]-[\w-]{10,255}": ("xox",),  # Slack
    r"xapp-[\w-]{10,255}": ("xapp-",),
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,255}": ("k_live_", "k_test_"),  # Stripe
    r"whsec_[\w+/=]{16,255}": ("whsec_",),
    r"AIza[\w-]{35}": ("AIza",),  # Google
    r"ya29\.[\w-]{20,2048}": ("ya29.",),
    r"GOCSPX-[\w-]{20,255}": ("GOCSPX-",),
    r"sk-(?<![\w-]sk-)(?=[\w-]{0,255}\d)[\w-]{20,255}": ("sk-",),  # OpenAI, Anthropic
    r"SG\.[\w-]{16,64}\.[\w-]{16,128}": ("SG.",),  # SendGrid
    r"npm_[A-Za-z0-9]{30,255}": ("npm_",),
    r"pypi-[\w-]{16,2048}": ("pypi-",),
    r"hf_[A-Za-z0-9]{30,255}": ("hf_",),
    r"hvs\.[\w-]{20,2048}": ("hvs.",),  # Vault
    r"\d{8,10}:AA[\w-]{33}": (":AA",),  # Telegram
    r"hooks\.slack\.com/services/[\w/]{20,255}": ("hooks.slack.com/",),
}
_JWT: Final = r"(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}"
_PEM: Final = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_AUTHORIZATION: Final = r"""((?i:authorization)["']{0,2}\s{0,2}[:=,]\s{0,2}["']?(?:[A-Za-z]{3,20}\s{1,4})?)[^\s"',]+"""
_SCHEME: Final = r"(?<![A-Za-z])((?i:(bearer|basic)) {1,4})([\w.~+/-]{4,}=*)"
_MAIL: Final = r"(?<![\w.%+-])[\w.%+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}"

#: Digits that may be in groups with a space or a dash between, but not those of a word, a fraction or a UUID. The first
#: digit comes first, so that `re` skips all other signs quickly.
_DIGITS: Final = (
    r"[0-9](?<![^\W_][0-9])(?<!\.[0-9])(?<![0-9]-[0-9])(?<![0-9a-fA-F]{4}-[0-9])(?:[ -]?[0-9]){11,}(?![^\W_])"
)
#: How the numbers of cards begin, and how long they are: Visa, Mastercard, Mir, American Express, Diners Club, JCB,
#: and the many that begin with 50, 56 to 59 and 6.
_CARD: Final = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|220[0-4]\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}|(?:50|5[6-9]|6\d)\d{10,17}"
)
_FIRST_DIGITS: Final = "23456"
_SHORTEST_CARD: Final = 12
_LONGEST_CARD: Final = 19
#: Each digit doubled, less nine if that makes two digits.
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
#: A word behind `Bearer` that is longer is taken for a token, though it has small letters only.
_LONGEST_WORD: Final = 15


def _ready() -> list[_Pattern]:
    keys = rf"(?<![A-Za-z0-9])(?:{'|'.join(_KEYS)})"
    return [
        _Pattern(re.compile(_PEM), _mask, ["PRIVATE KEY"]),
        _Pattern(re.compile(_JWT), _mask, ["eyJ"]),
        _Pattern(re.compile(keys), _mask, [needle for each in _KEYS.values() for needle in each]),
        _Pattern(re.compile(_AUTHORIZATION), lambda match: match[1] + MASK, ["uthorization", "UTHORIZATION"]),
        _Pattern(re.compile(_SCHEME), _credentials, ["earer ", "EARER ", "asic ", "ASIC "]),
        _Pattern(PASSWORD_IN_URL, lambda match: f"://{match[1]}:{MASK}@", ["://"]),
        _Pattern(re.compile(_MAIL), _mask, ["@"]),
        _Pattern(re.compile(_DIGITS), _cards, hint=re.compile("[0-9][0-9 -]{11}").search),
    ]


def _mask(match: re.Match[str]) -> str:
    # A match of no letters, as of a look-ahead, hides nothing.
    return MASK if match[0] else ""


def _credentials(match: re.Match[str]) -> str:
    """Scheme and mask; the match as it is if what stands behind the scheme reads like the next word of a sentence."""
    token = match[3].rstrip(".=")
    if match[2].lower() == "basic":
        is_secret = b":" in _decoded(token)
    else:
        is_secret = len(token) > _LONGEST_WORD or not (token.isalpha() and token[1:].islower())
    return f"{match[1]}{MASK}" if is_secret else match[0]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""


def _cards(match: re.Match[str]) -> str:
    """The digits, with what is the number of a card masked: all groups from one to another, or one of them."""
    text = match[0]
    places = [place for place, sign in enumerate(text) if sign.isdigit()]
    digits = "".join([text[place] for place in places])
    # Numbers of digits before which a group begins, and after which one ends.
    begins = [0, *(each for each in range(1, len(places)) if places[each] - places[each - 1] > 1)]
    ends = {*begins, len(places)}
    made, done = "", 0
    for begin in begins:
        if places[begin] < done or digits[begin] not in _FIRST_DIGITS:
            continue
        for end in range(begin + _LONGEST_CARD, begin + _SHORTEST_CARD - 1, -1):
            if end in ends and _CARD.fullmatch(digits, begin, end) and _has_check_digit(digits[begin:end]):
                made += text[done : places[begin]] + MASK
                done = places[end - 1] + 1
                break
    return made + text[done:]


def _has_check_digit(digits: str) -> bool:
    """Whether the last digit is what Luhn's formula makes of the others."""
    doubled = digits[-2::-2].translate(_DOUBLED)
    return sum(map(int, digits[-1::-2] + doubled)) % 10 == 0
