"""What holds for every query."""

from __future__ import annotations

from fastapi import Request

from firstaudio.errors import RequestError
from firstaudio.server.problems import shorten


async def once(request: Request) -> None:
    """Refuse a query that says something twice: one of the two would be dropped silently. For `Depends`.

    Raises:
        RequestError: Names the parameter.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise RequestError(f"{shorten(name)} is in the query more than once; send it once", param=name)
        seen.add(name)
