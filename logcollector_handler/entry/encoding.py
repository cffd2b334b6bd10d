"""Any Python values as JSON that the server takes: within a number of bytes, without secrets, and never an error.

Usually everything fits. A first walk finds that out, and ends as soon as it has seen more than fits. Then a second one
divides the bytes as `shares` says, so that small fields stay whole beside large ones, and leaves a mark (`marks`) where
something was cut. `wire.fitting` cuts an entry to its exact limit, in another thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .marks import MARK_BYTES, MORE, cut, items_left_out, left_out, number_left_out, uncut
from .model import ORIGIN
from .redact import Redactor
from .shares import ITEM_SHARE, LEAST, Shares, guessed_size
from .text import clean_text, key_text, shortened, unused
from .values import INT64, SCALARS
from .walk import NAMED, QUOTES, FullError, Walk, encode, numbers

#: How much of a text behind the place where it is cut is looked at for secrets, in characters.
_READ_ON: Final = 2 * 1024
#: How U+0000 looks in JSON. A text that holds a backslash before these letters looks the same; cleaning it then
#: changes nothing.
_NUL: Final = b"\\u0000"


def encode_fields(fields: dict[str, Any], secret: Redactor, max_bytes: int) -> bytes:
    """The fields as a JSON object, usually of at most `max_bytes`. Never raises an Exception.

    Names must be exact `str`. The values of fields with a secret name must be masked already; `secret` tells the
    secret names at any depth below.
    """
    walk: Walk | None = None
    plain = fields
    try:
        for name, value in fields.items():
            kind = type(value)
            if (kind in SCALARS or (kind is int and value in INT64)) and not secret.is_address(name):
                continue
            if walk is None:
                walk = Walk(secret)
                plain = dict(fields)
            plain[name] = walk.named(name, value, max_bytes - walk.used, 0)
        encoded = encode(plain)
    except (FullError, Exception):  # noqa: BLE001 - more than fits, or a text holds a lone surrogate
        encoded = _NUL
    if len(encoded) <= max_bytes and _NUL not in encoded:
        return encoded
    return encode(plain_fields(fields, secret, max_bytes))


def plain_fields(fields: Mapping[str, Any], secret: Redactor, max_bytes: int) -> dict[str, Any]:
    """The fields as JSON knows them, in about `max_bytes`, secrets masked. Never raises an Exception."""
    pairs = list(fields.items())
    try:
        return Walk(secret).fields(pairs, 0, max_bytes, 0)
    except FullError:
        return _SharingWalk(secret).fields(pairs, 0, max_bytes, 0)


def plain_value(value: Any, secret: Redactor, max_bytes: int) -> Any:
    """The value as JSON knows it, in about `max_bytes`, secrets in it masked. Never raises an Exception."""
    try:
        return Walk(secret).value(value, max_bytes, 1)
    except FullError:
        return _SharingWalk(secret).value(value, max_bytes, 1)


class _SharingWalk(Walk):
    """Cuts what does not fit, and never raises."""

    def __init__(self, secret: Redactor) -> None:
        super().__init__(secret)
        # Most containers in one that is too large are whole: for these there is no need to divide room.
        self._whole = Walk(secret)
        self._whole._path = self._path

    def _container(self, value: Any, room: int, depth: int) -> Any:
        before = self._whole.used
        self._whole._in_address = self._in_address
        try:
            made = self._whole._container(value, room, depth)
        except FullError:
            return super()._container(value, room, depth)
        self.used += self._whole.used - before
        return made

    def fields(self, pairs: list[tuple[Any, Any]], missing: int, room: int, depth: int) -> dict[str, Any]:
        """A JSON object of as many fields as fit, with a mark if that is not all of them."""
        names = [key_text(key) for key, _ in pairs]
        sizes = [
            len(name) + NAMED + guessed_size(value, len(pairs)) for name, (_, value) in zip(names, pairs, strict=True)
        ]
        first = [] if depth else [index for index, name in enumerate(names) if name in ORIGIN]
        shares = Shares(sizes, room - MARK_BYTES, first)
        converted: dict[int, tuple[str, Any]] = {}
        for index in shares.order:
            name, (_, value) = names[index], pairs[index]
            if name == MORE and (number := number_left_out(value)):
                missing += number
                continue
            offer = shares.offer(index)
            if not offer:
                missing += 1
                continue
            before = self.used
            shown = shortened(name, max(offer // 2, offer - sizes[index] + len(name)))
            self.used += len(shown) + NAMED
            converted[index] = shown, self.named(name, value, offer - len(shown) - NAMED, depth)
            shares.use(self.used - before)
        made: dict[str, Any] = {}
        for _, (name, value) in sorted(converted.items()):
            made[unused(name, made)] = value
        if missing:
            self.used += MARK_BYTES
            made[unused(MORE, made)] = left_out(missing)
        return made

    def items(self, items: list[Any], missing: int, room: int, depth: int) -> list[Any]:
        """A JSON array: of a few items as of fields, of many items the first ones, with a mark for the others."""
        if items and (number := number_left_out(items[-1])):
            items, missing = items[:-1], missing + number
        made: list[Any] = []
        end = self.used + room - MARK_BYTES
        if encoded := numbers(items):
            made = items if len(encoded) <= room else items[: encoded[: max(0, room - MARK_BYTES)].count(b",")]
            self.used += min(len(encoded), room)
        elif missing or len(items) * ITEM_SHARE > room:
            for item in items:
                left = end - self.used
                if left < MARK_BYTES and left < guessed_size(item, len(items)):
                    break
                made.append(self.value(item, left, depth + 1))
                self.used += 1
        else:
            shares = Shares([guessed_size(item, len(items)) for item in items], room - MARK_BYTES)
            made = [None] * len(items)
            for index in shares.order:
                before = self.used
                made[index] = self.value(items[index], shares.offer(index) or LEAST, depth + 1)
                self.used += 1
                shares.use(self.used - before)
        missing += len(items) - len(made)
        if missing:
            self.used += MARK_BYTES
            made = [*made, items_left_out(missing)]
        return made

    def _text(self, text: str, room: int, *, printed: bool = False) -> str:
        if len(text) + QUOTES > room and (printed or self._in_address):
            # Masked before it is cut: what is left of a password at the end is not seen to be one.
            whole, missing, unit = uncut(text)
            read = whole[: room + _READ_ON]
            missing += len(whole) - len(read)
            text = self._secret.masked(clean_text(read)) + (cut(missing, unit) if missing else "")
        return super()._text(text, room, printed=printed)

    def _cut(self, text: str, room: int) -> str:
        return shortened(text, max(0, room - QUOTES))

    def _cut_bytes(self, beginning: bytes, missing: int) -> str:
        return beginning.decode("utf-8", "backslashreplace") + cut(missing, "bytes")
