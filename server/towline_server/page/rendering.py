"""Templates: escaped, strict about names, and sent with the headers of a private page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from .bundle import bundles

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    # Without it, browsers send forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def page(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """Return the response of a template."""
    text = _environment().get_template(template).render(values)
    return HTMLResponse(text, status_code=status, headers=dict(HEADERS))


def fragment(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of a template that is part of a page, such as an event's."""
    return _environment().get_template(template).render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"ago": ago, "utc": utc, "short": short, "quoted": quoted, "words": words}
    made.globals |= {"bundles": bundles(), "query": query}
    # Those of every template, without an import in each.
    for name, file in (("m", "macros.html"), ("f", "forms.html")):
        made.globals[name] = made.get_template(file).module
    return made


def ago(moment: datetime) -> str:
    """Return how long ago a moment is, or how far ahead, in its largest unit."""
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    past, seconds = seconds >= 0, abs(seconds)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            text = f"{seconds // length} {unit}"
            return f"{text} ago" if past else f"in {text}"
    if seconds < 5:
        return "now"
    return f"{seconds} s ago" if past else f"in {seconds} s"


def utc(moment: datetime) -> str:
    """Return a moment to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short(revision: str) -> str:
    """Return the start of a commit id, as Git shows it."""
    return revision[:12]


def quoted(text: str) -> str:
    """Return a text as one part of an address, its slashes escaped too."""
    return quote(text, safe="")


def words(name: str) -> str:
    """Return the name of a state as words: ``modified_here`` is "modified here"."""
    return name.replace("_", " ").replace("-", " ")


def query(given: Mapping[str, Any], **changed: Any) -> str:
    """Return a query with some of its values changed; empty ones and None are left out."""
    values = {
        name: value for name, value in {**given, **changed}.items() if value not in (None, "")
    }
    return f"?{urlencode(values, doseq=True)}" if values else "?"
