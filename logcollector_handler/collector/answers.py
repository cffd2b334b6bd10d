"""Answers in JSON, as all of the collector's are but the page and the stream."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


def json_answer(content: dict[str, Any], status: int = 200) -> Response:
    """The content as JSON."""
    headers = {"x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def error_answer(status: int, reason: str, **more: Any) -> Response:
    """Why something was refused or could not be done."""
    return json_answer({"status": "error", "error": reason, **more}, status)
