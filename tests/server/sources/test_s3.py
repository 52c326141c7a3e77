"""Buckets of a server that speaks S3, as snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
from moto.server import ThreadedMotoServer

from tests.server.sources.list_server import Answer, ListServer
from tests.server.sources.pulling import V1, Puller
from tests.server.sources.reading import Reader
from towline.errors import (
    AuthenticationFailed,
    InvalidTree,
    LimitExceeded,
    PermissionDenied,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
)
from towline.limits import Limits
from towline.remotes.credentials import Credential
from towline_server.errors import AddressRefused

KEY = Credential("an-access-key", "s3cr3t-of-mine")


@dataclass
class Bucket:
    """A bucket of a server, and what was read from it."""

    url: str
    client: Any

    def put(self, **files: bytes) -> None:
        for name, content in files.items():
            key = f"prefix/{name.replace('__', '/')}"
            self.client.put_object(Bucket="bucket", Key=key, Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket="bucket", Key=f"prefix/{name}")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto: str) -> Iterator[Bucket]:
    client = boto3.client(
        "s3",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id=KEY.username,
        aws_secret_access_key=KEY.password,
    )
    client.create_bucket(Bucket="bucket")
    yield Bucket(f"{moto}/bucket/prefix", client)
    client.close()
    httpx2.post(f"{moto}/moto-api/reset").raise_for_status()


@pytest.fixture
def reader(bucket: Bucket, tmp_path: Path) -> Reader:
    return Reader("s3", bucket.url, tmp_path / "c.git", credential=KEY)


def test_each_object_is_a_file(bucket: Bucket, reader: Reader):
    bucket.put(a=b"1", f__b=b"\x00\xff", **{"größe *?.json": b""})
    bucket.client.put_object(Bucket="bucket", Key="prefixed", Body=b"beside")
    bucket.client.put_object(Bucket="bucket", Key="prefix/folder/", Body=b"")
    assert reader.files() == {"a": b"1", "f/b": b"\x00\xff", "größe *?.json": b""}
    first = reader.fetch()
    bucket.put(a=b"1")
    assert reader.fetch() == first
    bucket.delete("a")
    reader.config = {"include": ["f/**"]}
    assert reader.files() == {"f/b": b"\x00\xff"}


def test_only_objects_that_changed_are_read(
    bucket: Bucket, reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    from towline_server.sources.s3 import S3

    read: list[str] = []
    original = S3._content

    async def counted(self: S3, entry: Any) -> bytes:
        read.append(entry.path)
        return await original(self, entry)

    monkeypatch.setattr(S3, "_content", counted)
    bucket.put(**{f"n{number}": b"1" for number in range(20)})
    reader.fetch()
    assert len(read) == 20
    read.clear()
    bucket.put(n7=b"2")
    assert reader.files()["n7"] == b"2"
    assert read == ["n7"]


def test_a_bucket_of_many_pages(bucket: Bucket, reader: Reader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    bucket.put(a=b"", b=b"", c=b"", d=b"", e=b"")
    assert len(reader.files()) == 5
    reader.limits = Limits(tree_entries=4)
    with pytest.raises(LimitExceeded):
        reader.fetch()


def test_an_object_that_is_too_large_is_named(bucket: Bucket, reader: Reader):
    bucket.put(large=b"x" * 11)
    reader.limits = Limits(asset_bytes=10)
    with pytest.raises(LimitExceeded, match="large"):
        reader.fetch()


def test_names_are_judged(bucket: Bucket, reader: Reader):
    bucket.put(a=b"", a__b=b"", **{"x//y": b"", ".git/config": b""})
    with pytest.raises(InvalidTree) as refused:
        reader.fetch()
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", PermissionDenied),
        (403, "InvalidAccessKeyId", AuthenticationFailed),
        (403, "SignatureDoesNotMatch", AuthenticationFailed),
        (404, "NoSuchBucket", RemoteRefused),
        (503, "SlowDown", RateLimited),
        (500, "InternalError", RemoteUnavailable),
    ],
)
def test_failures(
    server: ListServer, tmp_path: Path, status: int, code: str, kind: type[RemoteError]
):
    body = f"<Error><Code>{code}</Code><Message>{KEY.password}</Message></Error>".encode()
    query = "/bucket?list-type=2&prefix=&encoding-type=url"
    server.answers[query] = Answer(body, status=status)
    reader = Reader("s3", f"{server.url}/bucket", tmp_path / "c.git", credential=KEY)
    with pytest.raises(RemoteError) as failed:
        reader.fetch()
    assert type(failed.value) is kind, server.requests
    assert KEY.password not in failed.value.message


def test_a_server_that_is_not_there(tmp_path: Path):
    reader = Reader("s3", "http://127.0.0.1:1/bucket", tmp_path / "c.git")
    with pytest.raises(RemoteUnavailable):
        reader.fetch()


def test_a_private_address_is_refused(bucket: Bucket, reader: Reader):
    reader.networks = ()
    with pytest.raises(AddressRefused):
        reader.fetch()


def test_a_bucket_is_pulled_as_a_repository_is(bucket: Bucket, puller: Puller):
    credential = {"username": KEY.username, "password": KEY.password}
    refused = {"url": bucket.url.removesuffix("/bucket/prefix"), "provider": "s3"}
    assert puller.ask("POST", f"{V1}/connections", 400, refused)["field"] == "url"
    bucket.put(a=b"1\n", b=b"1\n")
    puller.bind(url=bucket.url, provider="s3", credential=credential)
    assert puller.pull()["outcome"] == "changed"
    puller.edit("a", b"ours\n")
    bucket.put(a=b"theirs\n")
    bucket.delete("b")
    assert puller.pull()["reason_code"] == "unresolved_conflicts"
    asset = puller.ask("GET", f"{puller.project}/conflicts")["conflicts"][0]["parties"][0]
    where = f"{puller.project}/conflicts/{asset['asset_id']}/resolution"
    puller.ask("PUT", where, 200, {"side": "theirs"})
    assert puller.pull()["outcome"] == "changed"
    assert puller.contents() == {"a": b"theirs\n"}
    puller.ask("POST", f"{puller.project}/undo")
    assert puller.contents() == {"a": b"ours\n", "b": b"1\n"}


def test_a_sync_pulls_a_bucket(bucket: Bucket, puller: Puller):
    credential = {"username": KEY.username, "password": KEY.password}
    bucket.put(a=b"1\n", b=b"1\n")
    connection = puller.bind(url=bucket.url, provider="s3", credential=credential)

    def change() -> None:
        bucket.put(a=b"2\n")
        bucket.delete("b")

    puller.sync_changes(connection, "s3", change)
    assert puller.contents() == {"a": b"2\n"}
