"""Laws of the vault: what was sealed opens for its own row alone, and nothing of it shows on the way (I13)."""

from __future__ import annotations

import base64
import pickle
import traceback
from random import Random
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config_readers import master_keys
from core.ids import AccountId, UserId
from core.redact import Secret
from schema.vault import NONCE_BYTES, OpenedKeys, Owner, SealedKeys, Vault, VaultError

TEXTS = st.text(min_size=1, max_size=80)
USERS = st.text(min_size=1, max_size=40).map(UserId)
ACCOUNTS = st.uuids().map(AccountId)
OWNERS = st.builds(Owner, user_id=USERS, account_id=ACCOUNTS)
SEEDS = st.integers(0, 2**32)
KEY, SECRET = "canary-key-of-the-vault-0001", "canary-secret-of-the-vault-0001"
OWNER = Owner(user_id=UserId("ann"), account_id=AccountId(UUID(int=1)))


def master(name: str, seed: int) -> str:
    return f"{name}:{base64.b64encode(Random(seed).randbytes(32)).decode()}"


def vault_of(*listed: str, seed: int = 0) -> Vault:
    return Vault(master_keys(",".join(listed)), Random(seed).randbytes)


def sealed_by(vault: Vault, owner: Owner = OWNER, key: str = KEY, secret: str = SECRET) -> SealedKeys:
    return vault.seal(owner, key=Secret(key), secret=Secret(secret))


def shown(opened: OpenedKeys) -> tuple[str, str]:
    return opened.key.reveal(), opened.secret.reveal()


@given(OWNERS, TEXTS, TEXTS, SEEDS)
def test_i13_what_was_sealed_opens_to_what_it_was(owner: Owner, key: str, secret: str, seed: int) -> None:
    vault = vault_of(master("m1", 1), seed=seed)
    assert shown(vault.open(sealed_by(vault, owner, key, secret))) == (key, secret)


@given(st.data(), OWNERS, SEEDS)
def test_i13_any_changed_byte_is_refused(data: st.DataObject, owner: Owner, seed: int) -> None:
    vault = vault_of(master("m1", 1), seed=seed)
    sealed = sealed_by(vault, owner)
    field = data.draw(st.sampled_from(["wrapped_key", "sealed_key", "sealed_secret"]))
    whole = getattr(sealed, field)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    shorter = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for changed in (flipped, shorter, whole + b"\0"):
        with pytest.raises(VaultError, match="not what was sealed"):
            vault.open(msgspec.structs.replace(sealed, **{field: changed}))


@given(OWNERS, OWNERS, st.uuids())
def test_i13_nothing_opens_under_another_user_connection_or_key_id(
    owner: Owner, other: Owner, another_id: UUID
) -> None:
    vault = vault_of(master("m1", 1), master("m2", 2))
    sealed = sealed_by(vault, owner)
    moved = [
        {"master_key_id": "m2"},
        *({"user_id": each} for each in (other.user_id,) if each != owner.user_id),
        *({"account_id": each} for each in (other.account_id,) if each != owner.account_id),
        *({"data_key_id": each} for each in (another_id,) if each != sealed.data_key_id),
    ]
    for change in moved:
        with pytest.raises(VaultError, match="not what was sealed"):
            vault.open(msgspec.structs.replace(sealed, **change))


def test_i13_nothing_opens_in_another_field_or_row() -> None:
    vault = vault_of(master("m1", 1))
    one, two = sealed_by(vault), sealed_by(vault, key="k" * 20, secret="s" * 20)
    swapped = msgspec.structs.replace(one, sealed_key=one.sealed_secret, sealed_secret=one.sealed_key)
    grafts = [
        msgspec.structs.replace(one, **{name: getattr(two, name)}) for name in ("sealed_key", "wrapped_key")
    ]
    for wrong in (swapped, *grafts):
        with pytest.raises(VaultError):
            vault.open(wrong)


@given(st.text(max_size=8), st.text(max_size=8))
def test_i13_where_one_part_of_what_binds_ends_is_bound_too(left: str, right: str) -> None:
    """The same letters, divided otherwise between user and key id, bind otherwise."""
    vault = vault_of(master("m1", 1))
    owner = Owner(user_id=UserId(left + right), account_id=OWNER.account_id)
    sealed = sealed_by(vault, owner)
    if right:
        with pytest.raises(VaultError):
            vault.open(msgspec.structs.replace(sealed, user_id=UserId(left)))


@given(OWNERS, SEEDS)
def test_a_rewrap_changes_the_wrapping_alone_and_opens_without_the_old_key(owner: Owner, seed: int) -> None:
    old = vault_of(master("m1", 1), seed=seed)
    both = vault_of(master("m2", 2), master("m1", 1), seed=seed + 1)
    new = vault_of(master("m2", 2), seed=seed + 2)
    before = sealed_by(old, owner)
    after = both.rewrap(before)
    assert (after.master_key_id, after.data_key_id) == ("m2", before.data_key_id)
    assert (after.sealed_key, after.sealed_secret) == (before.sealed_key, before.sealed_secret)
    assert shown(new.open(after)) == shown(both.open(before)) == (KEY, SECRET)
    with pytest.raises(VaultError, match="'m1' is not in RUNNER_MASTER_KEYS"):
        new.open(before)
    with pytest.raises(VaultError, match="'m2' is not in RUNNER_MASTER_KEYS"):
        old.open(after)


def test_i13_every_ciphertext_has_a_nonce_and_every_sealing_a_data_key_of_its_own() -> None:
    asked: list[int] = []
    random = Random(3)

    def counted(size: int) -> bytes:
        asked.append(size)
        return random.randbytes(size)

    vault = Vault(master_keys(master("m1", 1)), counted)
    sealed = [sealed_by(vault) for _ in range(50)]
    sealed += [vault.rewrap(each) for each in sealed]
    texts = [part for each in sealed for part in (each.wrapped_key, each.sealed_key, each.sealed_secret)]
    assert len({text[:NONCE_BYTES] for text in texts}) == 50 * 4  # the fields of a rewrap are the ones before
    assert asked.count(NONCE_BYTES) == 50 * 4
    assert len({each.data_key_id for each in sealed}) == 50


def test_i13_neither_vault_nor_error_nor_opened_keys_show_a_secret() -> None:
    vault = vault_of(master("m1", 1))
    sealed = sealed_by(vault)
    opened = vault.open(sealed)
    key_text = master("m1", 1).partition(":")[2]
    with pytest.raises(VaultError) as refusal:
        vault.open(msgspec.structs.replace(sealed, user_id=UserId("bob")))
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None
    told = "".join(traceback.format_exception(refusal.value))
    for text in (repr(vault), repr(opened), f"{opened}", repr(sealed), told):
        assert not any(part in text for part in (KEY, SECRET, key_text))
    for thing in (vault, opened):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    with pytest.raises(TypeError):
        msgspec.json.encode(opened)
