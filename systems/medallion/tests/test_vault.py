"""Credentials: encrypted at rest, rotated, and clear about a key that is lost."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

import penstock as ps
from medallion.settings import Settings
from medallion.vault import Vault, credential, keep, new_key, rotate
from systems.medallion.tests.world import World

SECRET = {"client_id": "me", "client_secret": "hush-hush-4711", "refresh_token": "1//token-4711"}


def vault(*keys: str) -> Vault:
    return Vault(Settings(credentials_key=SecretStr(",".join(keys))))


def test_what_is_sealed_opens_and_says_nothing_before() -> None:
    key = new_key()
    sealed = vault(key).seal("acme", SECRET)
    assert "hush" not in sealed
    assert vault(key).open("acme", sealed) == SECRET
    assert vault(key).seal("acme", SECRET) != sealed


def test_a_new_first_key_encrypts_and_the_old_one_still_opens() -> None:
    old, new = new_key(), new_key()
    sealed = vault(old).seal("acme", SECRET)
    renewed = vault(new, old).renew("acme", sealed)
    assert vault(new).open("acme", renewed) == SECRET
    with pytest.raises(ps.AuthFailed):
        vault(new).open("acme", sealed)


def test_a_lost_key_is_told_with_the_way_out() -> None:
    sealed = vault(new_key()).seal("acme", SECRET)
    with pytest.raises(ps.AuthFailed, match=r"'acme' was encrypted with a key that MEDALLION_CREDENTIALS_KEY does not"):
        vault(new_key()).open("acme", sealed)
    with pytest.raises(ps.SettingError, match=r"MEDALLION_CREDENTIALS_KEY is not set.*new-key"):
        vault().open("acme", sealed)


def test_a_key_that_is_none_is_told_and_not_shown() -> None:
    with pytest.raises(ps.SettingError, match=r"the key number 2 is none") as caught:
        vault(new_key(), "my-secret-password").seal("acme", SECRET)
    assert "my-secret-password" not in str(caught.value)
    assert "my-secret-password" not in repr(Settings(credentials_key=SecretStr("my-secret-password")))


def test_a_secret_opens_under_no_other_name() -> None:
    key = new_key()
    with pytest.raises(ps.AuthFailed, match="holds what was stored as 'acme'"):
        vault(key).open("other", vault(key).seal("acme", SECRET))


async def test_the_database_alone_says_nothing_and_keys_are_rotated(world: World) -> None:
    old, new = new_key(), new_key()
    async with world.client() as client, client.connection() as conn:
        await keep(conn, vault(old), "acme", SECRET)
        await keep(conn, vault(old), "other", {"access_token": "t"})
    assert "hush" not in str(world.rows("select * from medallion.credentials"))
    world.execute("insert into medallion.organizations (name) values ('Acme')")
    world.execute("update medallion.credentials set org_id = 1 where name = 'acme'")
    async with world.client() as client, client.connection() as conn:
        assert await rotate(conn, vault(new, old)) == 2
        assert await credential(conn, vault(new), "acme", 1) == SECRET
        with pytest.raises(ps.AuthFailed, match="Organization 2 has no credential 'acme'"):
            await credential(conn, vault(new), "acme", 2)


async def test_a_rotation_that_cannot_open_all_changes_none(world: World) -> None:
    old, new = new_key(), new_key()
    async with world.client() as client, client.connection() as conn:
        await keep(conn, vault(old), "a", SECRET)
        await keep(conn, vault(new_key()), "b", SECRET)
    before = world.rows("select name, secret from medallion.credentials order by name")
    with pytest.raises(ps.AuthFailed, match="'b'"):
        async with world.client() as client, client.connection() as conn:
            await rotate(conn, vault(new, old))
    assert world.rows("select name, secret from medallion.credentials order by name") == before
