"""Lists refs and fetches with the git executable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from shlex import quote

from towline.errors import LimitExceeded, UnsupportedRemote
from towline.model import Revision
from towline.remotes.cache import MANY_PACKS, Cache
from towline.remotes.fetcher import FetchRequest, PackTooLarge, RefMissing, Unexplained
from towline.remotes.git_environment import closed_environment, ssh_options
from towline.remotes.git_failures import SHA256, failure, not_smart
from towline.remotes.git_process import GitExit, run_git
from towline.remotes.git_read import GitReader
from towline.remotes.objects import fetched_commit
from towline.remotes.refs import WantedRef
from towline.remotes.ssh_transport import ssh_log
from towline.remotes.url import Scheme

_NO_LIMIT = 2**60
_COMMIT = re.compile(r"[0-9a-f]{40}")


class GitFetcher:
    """A `Fetcher` that runs the git executable."""

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        self._executable = executable
        self._cache = cache
        self._caller = environment
        self._environment = closed_environment(environment)

    def refs(self, wanted: WantedRef, request: FetchRequest) -> Mapping[str, str]:
        ended = self._run(["ls-remote", "--", request.url.address, *wanted.patterns], request)
        found = _parse_refs(ended.output, request)
        if not any(name in found for name in wanted.names):
            # Whether the repository is empty matters for the error alone.
            return self._all_refs(request)
        return {name: oid for name, oid in found.items() if name in wanted.patterns}

    def head(self, request: FetchRequest) -> str | None:
        ended = self._run(["ls-remote", "--symref", "--", request.url.address, "HEAD"], request)
        match = re.search(rb"^ref: (\S+)\tHEAD$", ended.output, re.MULTILINE)
        return match[1].decode("utf-8", "replace") if match else None

    def fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        if self._was_tag(wanted, request):
            # It was a tag at the last fetch: ls-remote costs less than a failed fetch of a branch.
            name, revision = wanted.choose(request.url.shown, self.refs(wanted, request))
            if self._cache.tip(self._tip(request, name)) == revision:
                return revision
            return self._fetch_one(name, request)
        for name in (wanted.commit,) if wanted.commit is not None else wanted.names:
            try:
                return self._fetch_one(name, request)
            except RefMissing:
                continue
        empty = wanted.commit is None and not self._all_refs(request)
        raise wanted.missing(request.url.shown, empty=empty)

    def _all_refs(self, request: FetchRequest) -> dict[str, str]:
        ended = self._run(["ls-remote", "--", request.url.address], request)
        return _parse_refs(ended.output, request)

    def _was_tag(self, wanted: WantedRef, request: FetchRequest) -> bool:
        known = [self._cache.tip(self._tip(request, name)) is not None for name in wanted.names]
        return known == [False, True]

    def _tip(self, request: FetchRequest, name: str) -> str:
        return self._cache.tip_name(request.url.address, name)

    def _fetch_one(self, name: str, request: FetchRequest) -> Revision:
        tip = self._tip(request, name)
        # git writes no tag object below refs/heads/; what may be one is peeled first.
        is_commit = name == "HEAD" or name.startswith("refs/heads/")
        target = tip if is_commit else tip.replace("refs/heads/", "refs/", 1)
        command = [
            *("fetch", "--no-tags", "--no-write-fetch-head", "--no-show-forced-updates"),
            *("--no-recurse-submodules", "--no-auto-maintenance", "--update-shallow"),
            *((f"--depth={request.depth}",) if request.depth is not None else ()),
            *("--", request.url.address, f"+{name}:{target}"),
        ]
        before = self._cache.packs()
        old = self._cache.tip(target)
        self._run(command, request, commit=_COMMIT.fullmatch(name) is not None)
        new = {pack: size for pack, size in self._cache.packs().items() if pack not in before}
        request.traffic.bytes_down += sum(new.values())
        if sum(new.values()) > request.limits.pack_bytes:
            self._cache.drop(new, target, old)
            raise PackTooLarge
        if len(before) + len(new) > MANY_PACKS:
            self._repack(request)
        return self._update_tip(tip, target)

    def _repack(self, request: FetchRequest) -> None:
        """Combine packs without dropping objects: a base may be on no branch any more."""
        unlimited = replace(request, limits=replace(request.limits, pack_bytes=_NO_LIMIT))
        with suppress(Unexplained, LimitExceeded):  # an old git has no --geometric
            self._run(["repack", "-d", "-q", "--geometric=2"], unlimited)

    def _update_tip(self, tip: str, target: str) -> Revision:
        found = self._cache.tip(target)
        if found is None:
            raise Unexplained("git fetched no ref")
        if target != tip:
            found = fetched_commit(
                partial(GitReader, self._executable, self._cache, self._caller), found
            )
        self._cache.set_tip(tip, found)
        return found

    def _run(
        self, command: Sequence[str], request: FetchRequest, *, commit: bool = False
    ) -> GitExit:
        with self._cache.working_directory() as folder, ssh_log(self._cache) as log:
            variables = self._variables(request, log.path)
            pack_bytes = self._cache.unfinished_bytes
            ended = run_git([self._executable, *command], variables, folder, request, pack_bytes)
            ssh_messages = log.read()
        request.traffic.requests += ended.requests
        fetching = command[0] == "fetch"
        if (
            ended.code != 0
            and fetching
            and self._cache.unfinished_bytes() >= request.limits.pack_bytes
        ):
            raise PackTooLarge  # the kernel stopped index-pack there
        if ended.status == HTTPStatus.OK and not ended.smart:
            raise not_smart(request)
        if ended.code != 0:
            raise failure(ended, request, ssh_messages, commit=commit)
        return ended

    def _variables(self, request: FetchRequest, log: str) -> dict[str, str]:
        settings = list(_settings(request))
        variables = {
            **self._environment,
            "GIT_ALLOC_LIMIT": str(request.limits.object_bytes),
            "GIT_DIR": ".",
            "GIT_ALLOW_PROTOCOL": request.url.scheme.value,
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for number, (key, value) in enumerate(settings):
            variables[f"GIT_CONFIG_KEY_{number}"] = key
            variables[f"GIT_CONFIG_VALUE_{number}"] = value
        if request.url.scheme is Scheme.SSH:
            variables["GIT_SSH_COMMAND"] = self._ssh(request, log)
        return variables

    def _ssh(self, request: FetchRequest, log: str) -> str:
        command = self._caller.get("GIT_SSH_COMMAND") or "ssh"
        options = [*ssh_options(request.limits), *_pinned(request)]
        return " ".join([command, "-v", "-E", quote(log), *(f"-o {option}" for option in options)])


def _pinned(request: FetchRequest) -> Iterator[str]:
    """Yield options that connect ssh to the first address, with the host key of its name."""
    if request.addresses:
        yield f"HostName={request.addresses[0]}"
        yield f"HostKeyAlias={request.url.host}"


def _settings(request: FetchRequest) -> Iterator[tuple[str, str]]:
    yield "protocol.version", "2"
    yield "core.hooksPath", "/dev/null"
    yield "core.fsmonitor", "false"
    yield "advice.fetchShowForcedUpdates", "false"
    yield "core.askPass", ""
    yield "credential.helper", ""
    yield "gc.auto", "0"
    yield "maintenance.auto", "false"
    # One pack file, so that the limit on file sizes applies to the whole fetch.
    yield "fetch.unpackLimit", "1"
    yield "transfer.fsckObjects", "false"  # `towline.remotes.trees` checks them
    yield "transfer.bundleURI", "false"
    yield "submodule.recurse", "false"
    # Little memory: one delta at a time, no large files in memory, packs mapped in pieces.
    yield "pack.threads", "1"
    yield "core.bigFileThreshold", "16m"
    yield "core.deltaBaseCacheLimit", "16m"
    yield "core.packedGitWindowSize", "16m"
    yield "core.packedGitLimit", "64m"
    yield "http.followRedirects", "false"
    yield "http.lowSpeedLimit", "1"
    yield "http.lowSpeedTime", str(request.limits.idle_seconds)
    if request.addresses and request.url.is_http and ":" not in request.url.host:
        shown = ",".join(f"[{each}]" if ":" in each else each for each in request.addresses)
        yield "http.curloptResolve", f"{request.url.host}:{request.url.origin.port}:{shown}"
    if request.credential is not None and request.url.is_http:
        # For the origin alone; in a variable, since every user can read a command line.
        origin = request.url.address[: -len(request.url.path)]
        yield f"http.{origin}/.extraHeader", f"Authorization: {request.credential.basic}"


def _parse_refs(output: bytearray, request: FetchRequest) -> dict[str, str]:
    lines = output.decode("utf-8", "replace").splitlines()
    found = {name: oid for oid, _, name in (line.partition("\t") for line in lines)}
    if any(len(oid) != 40 for oid in found.values()):
        raise UnsupportedRemote(url=request.url.shown, detail=SHA256)
    return found
