"""Secrets at rest."""

from __future__ import annotations

import stat

import pytest

from towline_server.auth.sealing import Sealer, load_or_make_key
from towline_server.errors import CredentialUnreadable

FIRST, SECOND = "the first key " * 3, "the second key " * 3


def test_what_is_sealed_opens_for_its_purpose_alone():
    sealer = Sealer([FIRST])
    sealed = sealer.seal("hush-hush", "for one")
    assert sealer.open(sealed, "for one") == "hush-hush"
    assert b"hush" not in sealed
    with pytest.raises(CredentialUnreadable):
        sealer.open(sealed, "for two")


def test_the_same_secret_is_never_sealed_the_same():
    sealer = Sealer([FIRST])
    assert sealer.seal("hush", "x") != sealer.seal("hush", "x")


def test_a_changed_byte_anywhere_is_noticed():
    sealer = Sealer([FIRST])
    sealed = sealer.seal("hush-hush", "x")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(CredentialUnreadable):
            sealer.open(changed, "x")
    for length in range(len(sealed)):
        with pytest.raises(CredentialUnreadable):
            sealer.open(sealed[:length], "x")


def test_keys_are_replaced_by_putting_the_new_one_first():
    old = Sealer([FIRST]).seal("hush", "x")
    both = Sealer([SECOND, FIRST])
    assert both.open(old, "x") == "hush"
    new = both.resealed(old, "x")
    assert new is not None
    assert both.resealed(new, "x") is None
    assert both.resealed(None, "x") is None
    assert Sealer([SECOND]).open(new, "x") == "hush"
    with pytest.raises(CredentialUnreadable):
        Sealer([SECOND]).open(old, "x")


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "data" / "secret.key"
    made = load_or_make_key(path)
    assert len(made) >= 32
    assert load_or_make_key(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]


def test_of_two_servers_that_start_at_once_one_key_counts(tmp_path, monkeypatch):
    path = tmp_path / "secret.key"
    real = type(path).hardlink_to

    def late(self, target):
        self.write_text("the other server's key\n")
        real(self, target)

    monkeypatch.setattr(type(path), "hardlink_to", late)
    assert load_or_make_key(path) == "the other server's key"
