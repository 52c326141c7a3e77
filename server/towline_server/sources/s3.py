"""The objects below a prefix of a bucket, each of which is a file, on any server with S3's API."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import aiobotocore.session
import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
    SSLError,
)
from fsspec.asyn import sync
from s3fs import S3FileSystem

from towline.errors import AuthenticationFailed, RemoteError, RemoteTimeout, RemoteUnavailable
from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_failures import CUT, SILENT, http_error, untrusted

from .config import S3Config
from .ports import SourceFile

_AT_ONCE = 8
_UNAUTHENTICATED = (
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
)
"""Codes of answers that say 403, or 400, and are about the credential."""


@contextmanager
def open_source(config: S3Config, request: FetchRequest) -> Iterator[S3]:
    """Open the bucket at the address of a request: ``https://host/bucket/prefix``."""
    url, limits, given = request.url, request.limits, request.credential
    session = aiobotocore.session.AioSession()
    for file in ("config_file", "credentials_file"):  # of this machine
        session.set_config_variable(file, os.devnull)
    opened = S3FileSystem(
        anon=given is None,
        key=None if given is None else given.username,
        secret=None if given is None else given.password,
        endpoint_url=url.address.removesuffix(url.path),
        client_kwargs={"region_name": config.region, "verify": _authorities()},
        config_kwargs={
            "connect_timeout": limits.connect_seconds,
            "read_timeout": limits.idle_seconds,
            "retries": {"max_attempts": 2},
            "s3": {"addressing_style": "path"},
        },
        session=session,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    opened.retries = 2
    bucket, _, prefix = unquote(url.path).strip("/").partition("/")
    try:
        yield S3(config, request, opened, bucket, f"{prefix}/" if prefix else "")
    finally:
        opened.close_session(opened.loop, opened._s3creator)  # noqa: SLF001 - it has no other end


def _authorities() -> str | bool:
    """Return the file of the authorities that are trusted, as OpenSSL finds it."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or True


@dataclass
class S3:
    """A `Source` over the objects below a prefix."""

    config: S3Config
    request: FetchRequest
    opened: Any
    bucket: str
    prefix: str

    @property
    def name(self) -> str:
        """The author of the commits."""
        return self.request.url.address

    def entries(self) -> Iterator[SourceFile]:
        """Yield an entry for each object; one that ends in a slash is a folder's."""
        following: dict[str, str] = {}
        while True:
            page = self._call(self._page(following))
            for each in page.get("Contents", ()):
                key = str(each["Key"])
                path = key.removeprefix(self.prefix)
                if self.config.includes(path) and not (key.endswith("/") and each["Size"] == 0):
                    version = f"{str(each['ETag']).strip(chr(34))}-{each['Size']}"
                    yield SourceFile(path=path, version=version, where=key, size=int(each["Size"]))
            if not page.get("IsTruncated"):
                return
            following = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, entries: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Yield the contents of objects, several of which are read at once."""
        for first in range(0, len(entries), _AT_ONCE):
            some = entries[first : first + _AT_ONCE]
            yield from zip(some, self._call(self._contents(some)), strict=True)

    async def _page(self, following: dict[str, str]) -> Any:
        return await self.opened._call_s3(  # noqa: SLF001 - how s3fs is extended
            "list_objects_v2", Bucket=self.bucket, Prefix=self.prefix, **following
        )

    async def _contents(self, entries: Sequence[SourceFile]) -> list[bytes]:
        reads = [asyncio.ensure_future(self._content(entry)) for entry in entries]
        await asyncio.wait(reads)
        failures = [read.exception() for read in reads]
        if failed := next(filter(None, failures), None):
            raise failed
        return [read.result() for read in reads]

    async def _content(self, entry: SourceFile) -> bytes:
        found = await self.opened._call_s3(  # noqa: SLF001 - how s3fs is extended
            "get_object", Bucket=self.bucket, Key=entry.where
        )
        content = bytearray()
        async with found["Body"] as body:
            while part := await body.read(2**16):
                content += part
                if len(content) > self.request.limits.asset_bytes:
                    break  # the snapshot refuses it
        return bytes(content)

    def _call(self, work: Any) -> Any:
        """Return what a coroutine returns, or raise an error of the remote."""
        left = self.request.limits.total_seconds
        try:
            return sync(self.opened.loop, _returned, work, timeout=left)
        except (OSError, BotoCoreError, ClientError, aiohttp.ClientError) as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> RemoteError:
        answered = error if isinstance(error, ClientError) else error.__cause__
        if isinstance(answered, ClientError):
            return self._refusal(answered)
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
            return self.request.error(RemoteTimeout, SILENT)
        if isinstance(error, SSLError):
            return untrusted(str(error), self.request)
        return self.request.error(RemoteUnavailable, CUT)

    def _refusal(self, answered: ClientError) -> RemoteError:
        code = str(answered.response.get("Error", {}).get("Code", ""))
        about = answered.response.get("ResponseMetadata", {})
        if code in _UNAUTHENTICATED:
            detail = f"the credential was refused ({code})"
            return AuthenticationFailed(url=self.name, detail=detail, refused=True)
        if code == "NoSuchKey":
            return self.request.error(RemoteUnavailable, "an object was deleted while it was read")
        status = 429 if code == "SlowDown" else int(about.get("HTTPStatusCode", 500))
        retry_after = about.get("HTTPHeaders", {}).get("retry-after")
        return http_error(status, self.request, retry_after)


async def _returned(work: Any) -> Any:
    return await work
