"""A list of objects over HTTP, each of which is a file."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx2

from towline.content.pointers import parse_pointer
from towline.errors import (
    InvalidTree,
    RedirectRefused,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
)
from towline.remotes.credentials import TOKEN_USERNAME
from towline.remotes.fetcher import MAX_REDIRECTS, FetchRequest
from towline.remotes.git_failures import CUT, SILENT, http_error, untrusted

from .config import HttpApiConfig
from .documents import document, parse
from .ports import SourceFile

_MOST_PAGES = 10_000
_MISSING = object()


@contextmanager
def open_source(config: HttpApiConfig, request: FetchRequest) -> Iterator[HttpApi]:
    """Open the list at the address of a request."""
    limits = request.limits
    timeout = httpx2.Timeout(limits.idle_seconds, connect=limits.connect_seconds)
    with httpx2.Client(
        verify=ssl.create_default_context(),
        timeout=timeout,
        trust_env=False,
        headers={"User-Agent": "towline", **_credential(config, request)},
    ) as client:
        yield HttpApi(config, request, client)


def _credential(config: HttpApiConfig, request: FetchRequest) -> dict[str, str]:
    given = request.credential
    if given is None:
        return {}
    if config.token_header.lower() != "authorization":
        return {config.token_header: given.password}
    is_token = given.username in ("", TOKEN_USERNAME)
    return {"Authorization": f"Bearer {given.password}" if is_token else given.basic}


@dataclass
class HttpApi:
    """A `Source` over a list of objects."""

    config: HttpApiConfig
    request: FetchRequest
    client: httpx2.Client
    received: int = 0
    """Bytes of all answers."""

    @property
    def name(self) -> str:
        """The author of the commits."""
        return self.request.url.address

    def entries(self) -> Iterator[SourceFile]:
        """Yield an entry for each object of each page."""
        page = 0
        address: str | None = str(
            httpx2.URL(self.request.url.address).copy_merge_params(self.config.parameters)
        )
        seen = set[str]()
        while address is not None:
            if address in seen or page >= _MOST_PAGES:
                raise self._malformed("its pages never end")
            seen.add(address)
            page += 1
            answer, headers = self._get(address)
            found = self._parsed(answer)
            for number, item in enumerate(self._items(found)):
                yield self._entry(item, f"object {number + 1} of page {page}")
            address = self._next(found, headers, address)

    def read(self, entries: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Yield the contents that are at addresses of their own."""
        for entry in entries:
            yield entry, self._get(self._within(self.name, entry.where))[0]

    # --- pages --------------------------------------------------------------------------------

    def _parsed(self, answer: bytes) -> Any:
        try:
            if self.config.format == "json":
                return parse(answer)
            return [parse(line) for line in answer.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise self._malformed(f"its list is not {self.config.format}") from None

    def _items(self, found: Any) -> list[Any]:
        items = found if self.config.format == "ndjson" else _at(found, self.config.items)
        if not isinstance(items, list):
            where = self.config.items or "the document"
            raise self._malformed(f"there is no array at {where} of its list")
        return items

    def _next(self, found: Any, headers: Mapping[str, str], address: str) -> str | None:
        match self.config.paging:
            case "none":
                return None
            case "link":
                target = httpx2.Response(200, headers=dict(headers)).links.get("next", {})
                value: Any = target.get("url")
            case _:
                value = _at(found, self.config.next_field)
        if value in (None, _MISSING, ""):
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self._malformed(f"at {self.config.next_field} of its list is not text")
        if self.config.paging == "cursor":
            cursor = {self.config.cursor_parameter: str(value)}
            return str(httpx2.URL(address).copy_merge_params(cursor))
        return self._within(address, str(value))

    def _entry(self, item: Any, what: str) -> SourceFile:
        if not isinstance(item, dict):
            raise self._malformed(f"{what} is not a JSON object")
        config = self.config
        key = _value(item, config.id_field, what)
        entry = SourceFile(path=f"{key}{config.extension}", version="")
        if config.content_url_field:
            version = _value(item, config.cursor_field, what) if config.cursor_field else ""
            where = _value(item, config.content_url_field, what)
            return entry._replace(version=version, where=where)
        value: Any = item
        if config.content_field:
            value = item.get(config.content_field, _MISSING)
            if value is _MISSING:
                raise InvalidTree(problems=(f"{what} has no {config.content_field!r}",))
        try:
            content = value.encode() if isinstance(value, str) else document(value)
        except (UnicodeEncodeError, RecursionError):
            raise InvalidTree(problems=(f"{what} is not text, or nested too deeply",)) from None
        return entry._replace(content=content)

    # --- requests -----------------------------------------------------------------------------

    def _get(self, address: str) -> tuple[bytes, Mapping[str, str]]:
        """Return the body and the headers of an answer, after redirects within the host."""
        for _ in range(MAX_REDIRECTS + 1):
            with self._failures(), self.client.stream("GET", address) as response:
                if not response.has_redirect_location:
                    return self._body(response), response.headers
                address = self._within(address, response.headers["Location"])
        raise self.request.error(RedirectRefused, "it redirects too many times")

    def _body(self, response: httpx2.Response) -> bytes:
        if response.status_code != 200:
            raise http_error(
                response.status_code, self.request, response.headers.get("Retry-After")
            )
        limits, body = self.request.limits, bytearray()
        for part in response.iter_bytes():
            self.request.check()
            body += part
            self.received += len(part)
            if self.received > limits.pack_bytes:
                raise limits.exceeded("pack_bytes", self.received, "answers of the source")
        return bytes(body)

    def _within(self, base: str, target: str) -> str:
        """Return the address of a redirect, a page or a content, on the same host and port."""
        address = urljoin(base, target)
        if not self._is_ours(address):
            raise self.request.error(
                RedirectRefused, "it refers to another host, which is not followed"
            )
        return address

    def _is_ours(self, address: str) -> bool:
        ours = httpx2.URL(self.name)
        try:
            parts = httpx2.URL(address)
        except (httpx2.InvalidURL, ValueError):
            return False
        same = (parts.scheme, parts.host, parts.port) == (ours.scheme, ours.host, ours.port)
        return same and not parts.userinfo

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what the library raises into the errors of a remote."""
        try:
            yield
        except httpx2.TimeoutException:
            raise self.request.error(RemoteTimeout, SILENT) from None
        except httpx2.ConnectError as error:
            reason = str(error)
            if "SSL" in reason or "certificate" in reason:
                raise untrusted(reason, self.request) from None
            raise self.request.error(RemoteUnavailable, "it cannot be reached") from None
        except httpx2.HTTPError:
            raise self.request.error(RemoteUnavailable, CUT) from None

    def _malformed(self, detail: str) -> RemoteRefused:
        return self.request.error(RemoteRefused, detail)


def _at(found: Any, pointer: str) -> Any:
    for name in parse_pointer(pointer):
        if not isinstance(found, dict) or name not in found:
            return _MISSING
        found = found[name]
    return found


def _value(item: Mapping[str, Any], field: str, what: str) -> str:
    value = item.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidTree(problems=(f"{what} has no {field!r} that is a text or a whole number",))
    return str(value)
