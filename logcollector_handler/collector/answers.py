"""JSON answers. All of the collector's answers are made here, except the page and the stream."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


def json_answer(content: dict[str, Any], status: int = 200) -> Response:
    """An answer with `content` as JSON."""
    headers = {"x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def error_answer(status: int, reason: str, **more: Any) -> Response:
    """An answer that says why a request was refused or failed; `more` are additional fields of it."""
    return json_answer({"status": "error", "error": reason, **more}, status)
