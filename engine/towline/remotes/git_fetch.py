"""Lists refs and fetches with the git executable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.errors import LimitExceeded, RemoteRefused
from towline.remotes.cache import MANY_PACKS, Cache
from towline.remotes.fetcher import FetchRequest, PackTooLarge, RefMissing, Unexplained
from towline.remotes.git_process import GitExit, closed_environment, run_git
from towline.remotes.url import PEELED, Scheme, WantedRef

if TYPE_CHECKING:
    from towline.model import Revision

_HTTP_OK = 200
_NO_LIMIT = 2**60
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SETTINGS = {
    "protocol.version": "2",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "advice.fetchShowForcedUpdates": "false",
    "core.askPass": "",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # One pack file, so that the limit on file sizes applies to the whole fetch.
    "fetch.unpackLimit": "1",
    "transfer.fsckObjects": "false",  # `towline.remotes.trees` checks them
    "transfer.bundleURI": "false",
    "submodule.recurse": "false",
    # Little memory: one delta at a time, no large files in memory, packs mapped in pieces.
    "pack.threads": "1",
    "core.bigFileThreshold": "16m",
    "core.deltaBaseCacheLimit": "16m",
    "core.packedGitWindowSize": "16m",
    "core.packedGitLimit": "64m",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
}


class GitFetcher:
    """A `Fetcher` that runs the git executable."""

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        self._executable = executable
        self._cache = cache
        self._caller = environment
        self._environment = closed_environment(environment)

    def refs(self, names: Sequence[str], request: FetchRequest) -> Mapping[str, str]:
        patterns = [*names, *(name + PEELED for name in names)]
        ended = self._run(["ls-remote", "--", request.url.address, *patterns], request)
        lines = ended.output.decode("utf-8", "replace").splitlines()
        fields = (line.partition("\t") for line in lines)
        return request.refs((name, oid) for oid, _, name in fields)

    def head(self, request: FetchRequest) -> str | None:
        ended = self._run(["ls-remote", "--symref", "--", request.url.address, "HEAD"], request)
        match = re.search(rb"^ref: (\S+)\tHEAD$", ended.output, re.MULTILINE)
        return match[1].decode("utf-8", "replace") if match else None

    def fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        names = (wanted.commit,) if wanted.commit is not None else wanted.names
        tips = [self._cache.tip_name(request.url.address, name) for name in names]
        if [self._cache.tip(tip) is not None for tip in tips] == [False, True]:
            # It was a tag at the last fetch: ls-remote costs less than a failed fetch of a branch.
            chosen = wanted.choose(self.refs(names, request))
            if chosen is None:
                raise RefMissing
            if chosen == (names[1], self._cache.tip(tips[1])):
                return chosen[1]
            names = (chosen[0],)
        for name in names:
            with suppress(RefMissing):
                return self._fetch_one(name, request)
        raise RefMissing

    def _fetch_one(self, name: str, request: FetchRequest) -> Revision:
        tip = self._cache.tip_name(request.url.address, name)
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
        unlimited = request._replace(limits=replace(request.limits, pack_bytes=_NO_LIMIT))
        with suppress(Unexplained, LimitExceeded):  # an old git has no --geometric
            self._run(["repack", "-d", "-q", "--geometric=2"], unlimited)

    def _update_tip(self, tip: str, target: str) -> Revision:
        found = self._cache.tip(target)
        if found is None:
            raise Unexplained("git fetched no ref")
        if target != tip:
            from towline.remotes.objects import GitReader, fetched_commit

            reader = GitReader(self._executable, self._cache, self._caller)
            found = fetched_commit(reader, found)
        self._cache.set_tip(tip, found)
        return found

    def _run(
        self, command: Sequence[str], request: FetchRequest, *, commit: bool = False
    ) -> GitExit:
        with ExitStack() as stack:
            folder = stack.enter_context(self._cache.working_directory())
            variables = self._variables(request)
            log = None
            if request.url.scheme is Scheme.SSH:
                from towline.remotes.ssh import git_ssh_command, ssh_log

                log = stack.enter_context(ssh_log(self._cache.path / "objects/pack"))
                variables["GIT_SSH_COMMAND"] = git_ssh_command(self._caller, request, log)
            pack_bytes = self._cache.unfinished_bytes
            ended = run_git([self._executable, *command], variables, folder, request, pack_bytes)
            ssh_messages = "" if log is None else log.read()
        request.traffic.requests += ended.requests
        fetching, most = command[0] == "fetch", request.limits.pack_bytes
        if ended.code != 0 and fetching and self._cache.unfinished_bytes() >= most:
            raise PackTooLarge  # the kernel stopped index-pack there
        not_smart = ended.status == _HTTP_OK and not ended.smart
        if ended.code == 0 and not not_smart:
            return ended
        from towline.remotes.git_failures import NOT_SMART, failure

        if not_smart:
            raise request.error(RemoteRefused, NOT_SMART)
        raise failure(ended, request, ssh_messages, commit=commit)

    def _variables(self, request: FetchRequest) -> dict[str, str]:
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
        return variables


def _settings(request: FetchRequest) -> Iterator[tuple[str, str]]:
    yield from _SETTINGS.items()
    yield "http.lowSpeedTime", str(request.limits.idle_seconds)
    if request.addresses and request.url.is_http and ":" not in request.url.host:
        shown = ",".join(f"[{each}]" if ":" in each else each for each in request.addresses)
        yield "http.curloptResolve", f"{request.url.host}:{request.url.origin.port}:{shown}"
    if request.credential is not None and request.url.is_http:
        # For the origin alone; in a variable, since every user can read a command line.
        origin = request.url.address[: -len(request.url.path)]
        yield f"http.{origin}/.extraHeader", f"Authorization: {request.credential.basic}"
