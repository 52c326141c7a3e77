"""Counts what a remote sends to dulwich, and bounds it: before a pack begins, and in all."""

from __future__ import annotations

from dataclasses import dataclass

from towline.remotes.fetcher import HEARD_BYTES, FetchRequest, PackTooLarge, too_many_refs


@dataclass
class Incoming:
    """What one conversation has brought so far."""

    talk: FetchRequest
    heard: bytes = b""
    """The last that the remote sent."""
    count: int = 0
    progress: bytes = b""
    """The last that the remote wrote beside the pack."""
    is_pack: bool = False
    """Whether a pack has begun; what came before is refs and answers to what is known here."""

    def add(self, data: bytes) -> None:
        """Count what arrived.

        Raises:
            LimitExceeded: the refs that it lists are above the limit.
            PackTooLarge: all of it is above the limits.
        """
        self.count += len(data)
        self.talk.traffic.bytes_down += len(data)
        self.heard = (self.heard + data)[-HEARD_BYTES:]
        limits = self.talk.limits
        if not self.is_pack and self.count > limits.refs_bytes:
            raise too_many_refs("refs_bytes", limits.refs_bytes, self.count)
        if self.count > limits.refs_bytes + limits.pack_bytes:
            raise PackTooLarge

    def add_progress(self, data: bytes) -> None:
        """Store the end of what the remote writes beside the pack."""
        self.progress = (self.progress + data)[-HEARD_BYTES:]

    @property
    def refusal(self) -> str | None:
        """The words of an ERR packet, if one came last: dulwich passes over it in protocol 2."""
        _, found, words = self.heard.partition(b"ERR ")
        return words.decode("utf-8", "replace") if found else None
