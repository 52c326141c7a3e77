"""Talks to a remote through the git executable."""

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
from towline.remotes.arrivals import arrived
from towline.remotes.cache import MANY_PACKS, Cache
from towline.remotes.fetcher import FetchRequest, PackTooLarge
from towline.remotes.git_environment import closed_environment, ssh_options
from towline.remotes.git_failures import SHA256, RefMissing, Unexplained, failure, not_smart
from towline.remotes.git_process import GitExit, run_git
from towline.remotes.git_read import GitReader
from towline.remotes.refs import WantedRef
from towline.remotes.ssh_log import ssh_log
from towline.remotes.url import Scheme

_NO_LIMIT = 2**60
_COMMIT = re.compile(r"[0-9a-f]{40}")


class GitFetcher:
    """Fetches with the git executable."""

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        self._executable = executable
        self._cache = cache
        self._caller = environment
        self._environment = closed_environment(environment)

    def refs(self, wanted: WantedRef, talk: FetchRequest) -> Mapping[str, str]:
        ended = self._run(["ls-remote", "--", talk.url.address, *wanted.patterns], talk)
        found = _listed(ended.output, talk)
        if not any(name in found for name in wanted.names):
            # Only an empty repository answers this with nothing: told apart on the way out alone.
            return self._all_refs(talk)
        return {name: oid for name, oid in found.items() if name in wanted.patterns}

    def head(self, talk: FetchRequest) -> str | None:
        ended = self._run(["ls-remote", "--symref", "--", talk.url.address, "HEAD"], talk)
        match = re.search(rb"^ref: (\S+)\tHEAD$", ended.output, re.MULTILINE)
        return match[1].decode("utf-8", "replace") if match else None

    def fetch(self, wanted: WantedRef, talk: FetchRequest, depth: int | None) -> Revision:
        if wanted.commit is not None:
            return self._fetch_commit(wanted, wanted.commit, talk, depth)
        if self._was_tag(wanted, talk):
            # It is a tag to all we know: asking first costs less than trying a branch in vain.
            name, revision = wanted.choose(talk.url.shown, self.refs(wanted, talk))
            if self._cache.tip(self._tip(talk, name)) == revision:
                return revision
            return self._fetch_one(name, talk, depth)
        for name in wanted.names:
            try:
                return self._fetch_one(name, talk, depth)
            except RefMissing:
                continue
        raise wanted.missing(talk.url.shown, empty=not self._all_refs(talk))

    def _fetch_commit(
        self, wanted: WantedRef, commit: Revision, talk: FetchRequest, depth: int | None
    ) -> Revision:
        try:
            return self._fetch_one(commit, talk, depth)
        except RefMissing:
            raise wanted.missing(talk.url.shown, empty=False) from None

    def _all_refs(self, talk: FetchRequest) -> dict[str, str]:
        ended = self._run(["ls-remote", "--", talk.url.address], talk)
        return _listed(ended.output, talk)

    def _was_tag(self, wanted: WantedRef, talk: FetchRequest) -> bool:
        known = [self._cache.tip(self._tip(talk, name)) is not None for name in wanted.names]
        return known == [False, True]

    def _tip(self, talk: FetchRequest, name: str) -> str:
        return self._cache.tip_name(talk.url.address, name)

    def _fetch_one(self, name: str, talk: FetchRequest, depth: int | None) -> Revision:
        tip = self._tip(talk, name)
        # Git writes no tag object under refs/heads/; what may be one is peeled first.
        is_commit = name == "HEAD" or name.startswith("refs/heads/")
        target = tip if is_commit else tip.replace("refs/heads/", "refs/", 1)
        command = [
            *("fetch", "--no-tags", "--no-write-fetch-head", "--no-show-forced-updates"),
            *("--no-recurse-submodules", "--no-auto-maintenance", "--update-shallow"),
            *((f"--depth={depth}",) if depth is not None else ()),
            *("--", talk.url.address, f"+{name}:{target}"),
        ]
        before = self._cache.packs()
        old = self._cache.tip(target)
        self._run(command, talk, commit=_COMMIT.fullmatch(name) is not None)
        new = {pack: size for pack, size in self._cache.packs().items() if pack not in before}
        talk.traffic.bytes_down += sum(new.values())
        if sum(new.values()) > talk.limits.pack_bytes:
            self._cache.drop(new, target, old)
            raise PackTooLarge
        if len(before) + len(new) > MANY_PACKS:
            self._gather_packs(talk)
        return self._landed(tip, target)

    def _gather_packs(self, talk: FetchRequest) -> None:
        """Make few packs of many, losing nothing: a base may be on no branch any more."""
        roomy = replace(talk, limits=replace(talk.limits, pack_bytes=_NO_LIMIT))
        with suppress(Unexplained, LimitExceeded):  # an old git cannot, and need not
            self._run(["repack", "-d", "-q", "--geometric=2"], roomy)

    def _landed(self, tip: str, target: str) -> Revision:
        found = self._cache.tip(target)
        if found is None:
            raise Unexplained("git fetched nothing")
        if target != tip:
            found = arrived(partial(GitReader, self._executable, self._cache, self._caller), found)
        self._cache.set_tip(tip, found)
        return found

    def _run(self, command: Sequence[str], talk: FetchRequest, *, commit: bool = False) -> GitExit:
        with self._cache.entered() as folder, ssh_log(self._cache) as log:
            variables = self._variables(talk, log.path)
            arrived = self._cache.unfinished_bytes
            ended = run_git([self._executable, *command], variables, folder, talk, arrived)
            own_words = log.read()
        talk.traffic.requests += ended.requests
        if ended.code != 0 and self._cache.unfinished_bytes() >= talk.limits.pack_bytes:
            raise PackTooLarge  # the kernel stopped index-pack there
        if ended.status == HTTPStatus.OK and not ended.smart:
            raise not_smart(talk)
        if ended.code != 0:
            raise failure(ended, talk, own_words, commit=commit)
        return ended

    def _variables(self, talk: FetchRequest, log: str) -> dict[str, str]:
        settings = list(_settings(talk))
        variables = {
            **self._environment,
            "GIT_ALLOC_LIMIT": str(talk.limits.object_bytes),
            "GIT_DIR": ".",
            "GIT_ALLOW_PROTOCOL": talk.url.scheme.value,
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for number, (key, value) in enumerate(settings):
            variables[f"GIT_CONFIG_KEY_{number}"] = key
            variables[f"GIT_CONFIG_VALUE_{number}"] = value
        if talk.url.scheme is Scheme.SSH:
            variables["GIT_SSH_COMMAND"] = self._ssh(talk, log)
        return variables

    def _ssh(self, talk: FetchRequest, log: str) -> str:
        command = self._caller.get("GIT_SSH_COMMAND") or "ssh"
        options = [*ssh_options(talk.limits), *_pinned(talk)]
        return " ".join([command, "-v", "-E", quote(log), *(f"-o {option}" for option in options)])


def _pinned(talk: FetchRequest) -> Iterator[str]:
    """Makes ssh connect to the first address; its key is known under the host's own name."""
    if talk.addresses:
        yield f"HostName={talk.addresses[0]}"
        yield f"HostKeyAlias={talk.url.host}"


def _settings(talk: FetchRequest) -> Iterator[tuple[str, str]]:
    yield "protocol.version", "2"
    yield "core.hooksPath", "/dev/null"
    yield "core.fsmonitor", "false"
    yield "advice.fetchShowForcedUpdates", "false"
    yield "core.askPass", ""
    yield "credential.helper", ""
    yield "gc.auto", "0"
    yield "maintenance.auto", "false"
    # Everything into one pack file, so that the limit on file sizes holds for all of it.
    yield "fetch.unpackLimit", "1"
    yield "transfer.fsckObjects", "false"  # trees are checked by our own parser
    yield "transfer.bundleURI", "false"
    yield "submodule.recurse", "false"
    # Little memory: one delta at a time; large files are not held; packs are mapped in pieces.
    yield "pack.threads", "1"
    yield "core.bigFileThreshold", "16m"
    yield "core.deltaBaseCacheLimit", "16m"
    yield "core.packedGitWindowSize", "16m"
    yield "core.packedGitLimit", "64m"
    yield "http.followRedirects", "false"
    yield "http.lowSpeedLimit", "1"
    yield "http.lowSpeedTime", str(talk.limits.idle_seconds)
    if talk.addresses and talk.url.is_http and ":" not in talk.url.host:
        shown = ",".join(f"[{each}]" if ":" in each else each for each in talk.addresses)
        yield "http.curloptResolve", f"{talk.url.host}:{talk.url.origin.port}:{shown}"
    if talk.credential is not None and talk.url.is_http:
        # Bound to the origin; in a variable, since everybody can read a command line.
        origin = talk.url.address[: -len(talk.url.path)]
        yield f"http.{origin}/.extraHeader", f"Authorization: {talk.credential.basic}"


def _listed(output: bytes, talk: FetchRequest) -> dict[str, str]:
    lines = output.decode("utf-8", "replace").splitlines()
    found = {name: oid for oid, _, name in (line.partition("\t") for line in lines)}
    if any(len(oid) != 40 for oid in found.values()):
        raise UnsupportedRemote(url=talk.url.shown, detail=SHA256)
    return found
