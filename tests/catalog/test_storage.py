"""Storage accounts: the entry fits what was recorded."""

import json
from datetime import timedelta
from typing import Any

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.json_paths import look_up, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.plans import references_to, request_body
from shared.domain.resources import Reference
from tests.catalog.bodies import IDENTITY
from tests.catalog.entries import DATA, with_data
from tests.domain.values import TARGET, account

CLIENT = "5c1f7c1e-0d43-4a6c-9c3a-2f0d8f2c6b11"
RECORDING = DATA / "recordings" / "storage-accounts" / "customer_managed_key.json"


def test_the_figures_for_storage_are_microsofts_but_for_a_written_version() -> None:
    assert STORAGE_ACCOUNT.pinned.length == timedelta(hours=1)
    assert STORAGE_ACCOUNT.pinned.source == ""
    assert STORAGE_ACCOUNT.versionless
    assert STORAGE_ACCOUNT.versionless.length == timedelta(days=1)
    assert "customer-managed-keys-overview" in STORAGE_ACCOUNT.versionless.source
    assert STORAGE_ACCOUNT.key_bits == {2048, 3072, 4096}
    assert STORAGE_ACCOUNT.write.verb == "PATCH"


def test_an_account_can_be_nudged_and_tried_with_a_blob() -> None:
    assert STORAGE_ACCOUNT.may_nudge
    assert STORAGE_ACCOUNT.has_blobs
    assert "file shares" in STORAGE_ACCOUNT.title


def test_an_account_that_uses_a_key_of_another_tenant_goes_on_doing_so() -> None:
    identity = {"userAssignedIdentity": IDENTITY, "federatedIdentityClientId": CLIENT}
    body = account(identity=identity)
    sent = request_body(
        STORAGE_ACCOUNT, body, references_to(STORAGE_ACCOUNT, body, TARGET.key), TARGET
    )
    assert look_up(sent, "properties.encryption.identity") == identity
    assert text_at(sent, "properties.encryption.keyvaultproperties.keyversion") == TARGET.version


def exchanges() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RECORDING.read_text())["exchanges"]
    return found


def account_bodies() -> list[dict[str, Any]]:
    return [
        e["response"]["body"]
        for e in exchanges()
        if isinstance(e["response"]["body"], dict)
        and e["response"]["body"].get("type") == STORAGE_ACCOUNT.resource_type
    ]


@with_data
def test_a_recorded_account_is_read_as_it_was_recorded() -> None:
    forms = set()
    for body in account_bodies():
        encryption = body["properties"]["encryption"]
        raw = encryption.get("keyvaultproperties")
        if encryption["keySource"] != "Microsoft.Keyvault":
            assert STORAGE_ACCOUNT.shape.read(body) == ()
            forms.add("none")
            continue
        key = Key.parse(f"{raw['keyvaulturi'].rstrip('/')}/keys/{raw['keyname']}")
        written = raw.get("keyversion")
        pinned = KeyVersion(key, written) if written else None
        assert STORAGE_ACCOUNT.shape.read(body) == (Reference("account", key, pinned),)
        in_use = KeyVersion.parse(raw["currentVersionedKeyIdentifier"])
        assert STORAGE_ACCOUNT.version_in_use(body) == in_use
        assert STORAGE_ACCOUNT.proof.check(body, in_use).holds
        other = KeyVersion(in_use.key, "0" * 32)
        assert not STORAGE_ACCOUNT.proof.check(body, other).holds
        forms.add({None: "absent", "": "empty"}.get(written, "pinned"))
    assert forms == {"none", "absent", "empty", "pinned"}


@with_data
def test_our_write_is_the_recorded_one_and_nothing_beside_the_encryption() -> None:
    """The recorded PATCH that pins a version, and the account as it was before it.

    The recorded one repeats sku, tags and network rules too; ours leaves them alone.
    """
    tried = 0
    before: dict[str, Any] = {}
    for exchange in exchanges():
        sent, answer = exchange["request"]["body"], exchange["response"]["body"]
        is_account = (
            isinstance(answer, dict) and answer.get("type") == STORAGE_ACCOUNT.resource_type
        )
        if not is_account:
            continue
        version = text_at(sent, "properties.encryption.keyvaultproperties.keyversion")
        if exchange["request"]["method"] == "PATCH" and version and before:
            (reference,) = STORAGE_ACCOUNT.shape.read(before)
            target = KeyVersion(reference.key, version)
            references = references_to(STORAGE_ACCOUNT, before, reference.key)
            ours = request_body(STORAGE_ACCOUNT, before, references, target)
            assert ours == {"properties": {"encryption": look_up(sent, "properties.encryption")}}
            tried += 1
        before = answer if STORAGE_ACCOUNT.shape.read(answer) else {}
    assert tried >= 1
