"""What is read of a vault for the look ahead: over Resource Manager, and of the vault itself."""

from typing import Any

import pytest

from sandbox.faults import Answer, Fault, server_error_html
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import NewKey
from shared.adapters.arm.vaults import ArmVaults, query
from shared.adapters.key_vault.vaults import AzureVaults
from shared.domain import errors
from shared.domain.keys import Key, KeyVersion
from shared.domain.vault_settings import RotationPolicy
from tests.adapters.conftest import Served

ARM = "management.azure.com"
HOST = "kv-one.vault.azure.net"
HSM = "hsm-one.managedhsm.azure.net"
KEY = Key(HOST, "cmk")
ID = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-keys"
    "/providers/Microsoft.KeyVault/vaults/kv-one"
)


def shown(uri: str = f"https://{HOST}/", **properties: object) -> dict[str, Any]:
    return {"id": ID, "properties": {"tenantId": "t1", "vaultUri": uri, **properties}}


def graph_shows(served: Served, *rows: dict[str, Any]) -> None:
    answer = Answer(200, {"data": list(rows), "resultTruncated": "false"})
    served.azure.faults.add(Fault(host=ARM, path="*/resources", answer=answer))


def arm_shows(served: Served, status: int, body: dict[str, Any]) -> None:
    served.azure.faults.add(Fault(host=ARM, path=ID, answer=Answer(status, body)))


def row(identifier: str = ID, **properties: object) -> dict[str, Any]:
    return {**shown(**properties), "id": identifier, "tenantId": "T1"}  # type: ignore[arg-type]


def test_a_vault_is_found_by_its_whole_host_and_then_read_afresh(served: Served) -> None:
    similar = {
        **row(f"{ID}2"),
        "properties": {"vaultUri": "https://kv-one.vault.azure.net.example"},
    }
    graph_shows(served, similar, row(enablePurgeProtection=True))
    arm_shows(served, 200, shown(enableRbacAuthorization=True))
    settings = ArmVaults(served.arm).settings(HOST)
    assert settings.rbac
    assert not settings.purge_protection, "as it is now, not as the inventory has it"
    assert settings.home_tenant == settings.tenant == "t1"
    asked, read = served.azure.front_door.traffic()
    assert (read.method, read.path, read.query) == ("GET", ID, "api-version=2023-07-01")
    assert b"microsoft.keyvault/vaults" in asked.request_body
    assert b'"subscriptions"' not in asked.request_body, "wherever we may read"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="nothing"),
        pytest.param([{**row(), "properties": {}}], id="no uri"),
        pytest.param([{**row(), "properties": {"vaultUri": "https://kv-one2.x/"}}], id="another"),
    ],
)
def test_a_vault_that_the_inventory_does_not_show_is_not_guessed(
    served: Served, rows: list[dict[str, Any]]
) -> None:
    graph_shows(served, *rows)
    with pytest.raises(errors.NotFoundError, match=HOST):
        ArmVaults(served.arm).settings(HOST)
    assert [call.method for call in served.azure.front_door.traffic()] == ["POST"]


@pytest.mark.parametrize("wrong", ["//evil.example/vaults/v", f"{ID}?x=1", ""])
def test_an_id_that_is_no_resources_gets_no_request(served: Served, wrong: str) -> None:
    graph_shows(served, row(wrong))
    with pytest.raises(errors.InvalidResourceIdError):
        ArmVaults(served.arm).settings(HOST)
    assert [call.method for call in served.azure.front_door.traffic()] == ["POST"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(
            404, {"error": {"code": "ResourceNotFound"}}, errors.GoneError, id="deleted since"
        ),
        pytest.param(
            403, {"error": {"code": "AuthorizationFailed"}}, errors.AccessDeniedError, id="denied"
        ),
        pytest.param(200, {}, errors.UnreadableError, id="nothing"),
        pytest.param(
            200, shown("https://kv-two.vault.azure.net/"), errors.UnreadableError, id="another"
        ),
        pytest.param(
            200, shown(tenantId=None), errors.UnreadableError, id="without what every vault has"
        ),
        pytest.param(503, {}, errors.UnavailableError, id="down"),
        pytest.param(429, {}, errors.ThrottledError, id="throttled"),
    ],
)
def test_what_arm_says_of_a_vault_is_told_apart(
    served: Served, status: int, body: dict[str, Any], error: type[errors.KeyturnError]
) -> None:
    graph_shows(served, row())
    arm_shows(served, status, body)
    with pytest.raises(error):
        ArmVaults(served.arm).settings(HOST)


@pytest.mark.parametrize("vault", ["", "kv' or true", "kv\n", "KV", "kv|count"])
def test_a_vault_that_would_change_the_query_is_refused(vault: str) -> None:
    with pytest.raises(errors.NotAllowedError, match="not the host of a vault"):
        query(vault)


# -- the vault itself ----------------------------------------------------------------------------


def vaults(served: Served) -> AzureVaults:
    return AzureVaults(frozenset({HOST}), served.credential)


@pytest.mark.parametrize(
    ("made_for", "expected"),
    [
        pytest.param(("wrapKey", "unwrapKey"), {"wrapkey", "unwrapkey"}, id="wrapping"),
        pytest.param(("sign",), {"sign"}, id="signing"),
        pytest.param((), set(), id="nothing"),
    ],
)
def test_what_a_key_may_be_used_for_is_read_with_its_version(
    served: Served, made_for: tuple[str, ...], expected: set[str]
) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get", "list"})
    made = KeyVersion.parse(vault.create_key("cmk", NewKey(key_ops=made_for)))
    version = vaults(served).version(made)
    assert version.operations is not None
    assert set(version.operations) == expected
    assert version.recovery == "Recoverable"
    (listed,) = vaults(served).versions(KEY)
    assert listed.operations is None, "a listing does not say"


def test_how_a_key_could_be_lost_is_read_with_its_version(served: Served) -> None:
    vault = served.azure.estate.vaults.create("kv-one", purge_protection=False, retention_days=7)
    vault.grant(APP_PRINCIPAL, {"get"})
    made = KeyVersion.parse(vault.create_key("cmk"))
    assert vaults(served).version(made).recovery == "CustomizedRecoverable+Purgeable"


@pytest.mark.parametrize(
    ("set_to", "expected"),
    [
        pytest.param(None, RotationPolicy(rotates="", expires_after=""), id="never edited"),
        pytest.param(
            {
                "lifetimeActions": [
                    {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}},
                    {"trigger": {"timeBeforeExpiry": "P7D"}, "action": {"type": "Notify"}},
                ],
                "attributes": {"expiryTime": "P2Y"},
            },
            RotationPolicy(rotates="P90D after the one before", expires_after="P2Y"),
            id="after creation",
        ),
        pytest.param(
            {
                "lifetimeActions": [
                    {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Rotate"}}
                ],
                "attributes": {"expiryTime": "P1Y"},
            },
            RotationPolicy(rotates="P30D before the one before expires", expires_after="P1Y"),
            id="before expiry",
        ),
    ],
)
def test_a_rotation_policy_is_read(
    served: Served, set_to: dict[str, Any] | None, expected: RotationPolicy
) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get", "getRotationPolicy"})
    vault.create_key("cmk")
    if set_to:
        vault.set_rotation_policy("cmk", set_to)
    assert vaults(served).policy(KEY) == expected


def test_a_policy_that_may_not_be_read_is_none_that_does_nothing(served: Served) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get"})
    vault.create_key("cmk")
    ours = vaults(served)
    with pytest.raises(errors.AccessDeniedError):
        ours.policy(KEY)
    served.azure.faults.add(Fault(path="*/rotationpolicy", answer=server_error_html()))
    with pytest.raises(errors.UnavailableError):
        ours.policy(KEY)


def test_a_vault_and_a_managed_hsm_each_get_a_token_of_their_own(served: Served) -> None:
    hsm = served.azure.estate.managed_hsm("hsm-one")
    both = {Key(HOST, "cmk"): served.azure.estate.vault("kv-one"), Key(HSM, "cmk"): hsm}
    ours = AzureVaults(frozenset({HOST, HSM}), served.credential)
    for vault in both.values():
        vault.grant(APP_PRINCIPAL, {"get", "list", "rotate", "getRotationPolicy"})
        vault.create_key("cmk")
    for key, vault in [*both.items()] * 2:
        made = ours.rotate(key)
        assert ours.current(key).id == made.id == KeyVersion.parse(vault.find("cmk").kid)
        assert [*ours.keys(key.vault)] == [key]
        assert len(ours.versions(key)) == len(vault.versions("cmk"))
        assert ours.policy(key).rotates == ""
    assert ours.current(Key(HSM, "cmk")).key_type == "RSA-HSM"
    assert ours.current(Key(HSM, "cmk")).bits == 2048


def test_a_vault_off_the_list_tells_no_policy(served: Served) -> None:
    with pytest.raises(errors.NotAllowedError):
        vaults(served).policy(Key("kv-two.vault.azure.net", "cmk"))
    assert served.azure.front_door.traffic() == []
