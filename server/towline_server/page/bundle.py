"""The script and the style of the page: one file each, named by its content, so cached for good."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from towline.frozen import frozen
from towline_server.errors import NotFound

router = APIRouter()

_FOLDER = Path(__file__).parent / "static"
_PARTS = {
    "page.css": ("page.css",),
    "page.js": ("vendor/htmx.min.js", "vendor/htmx-ext-sse.min.js", "page.js"),
}
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@frozen(kw_only=True)
class Bundle:
    """A file as it is served: as it is, or compressed."""

    name: str
    media_type: str
    content: bytes
    compressed: bytes

    @property
    def url(self) -> str:
        """Its address."""
        return f"/ui/static/{self.name}"


@lru_cache(maxsize=1)
def bundles() -> Mapping[str, Bundle]:
    """Return every bundle by its plain name, such as ``page.css``."""
    return {name: _bundle(name, parts) for name, parts in _PARTS.items()}


def _bundle(name: str, parts: tuple[str, ...]) -> Bundle:
    content = b"\n".join((_FOLDER / part).read_bytes().strip() for part in parts) + b"\n"
    stem, _, suffix = name.partition(".")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Bundle(
        name=f"{stem}-{digest}.{suffix}",
        media_type=_TYPES[f".{suffix}"],
        content=content,
        compressed=gzip.compress(content, mtime=0),
    )


@router.get("/ui/static/{name}")
async def static(request: Request, name: str) -> Response:
    """Serve a bundle by the name that has its digest."""
    found = next((each for each in bundles().values() if each.name == name), None)
    if found is None:
        raise NotFound(what="file")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{found.name}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.compressed, headers=headers, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)
