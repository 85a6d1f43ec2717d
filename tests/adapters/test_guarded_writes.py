"""Resource Manager: what guards a write, what becomes of a long one, and who owns a group."""

from datetime import timedelta

import pytest

from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.arm.resources import ArmResources
from shared.adapters.key_vault.vaults import AzureVaults
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain import errors
from shared.domain.json_paths import Json
from shared.domain.keys import Key
from shared.ports import Accepted, Progress
from tests.adapters.conftest import Served

ARM = "management.azure.com"
VAULT = "kv-one.vault.azure.net"
KEY = Key(VAULT, "cmk")
OPERATION = f"https://{ARM}/subscriptions/s/providers/Microsoft.Storage/operations/o?api-version=1"
RIGHTS = (
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Storage/storageAccounts/read",
    "Microsoft.Storage/storageAccounts/write",
)
TAGS: Json = {"tags": {"a": "b"}}


@pytest.fixture(name="subscription")
def _subscription(served: Served) -> str:
    subscription = served.azure.estate.subscription("one")
    served.azure.estate.arm.rbac.allow(APP_PRINCIPAL, RIGHTS, f"/subscriptions/{subscription}")
    return subscription


def account(served: Served, subscription: str, group: str = "rg-storage") -> str:
    made = served.azure.estate.storage_account(
        "stone", subscription=subscription, key=None, group=group
    )
    return made.id


def write(resources: ArmResources, resource: str, body: Json, etag: str = "") -> Accepted:
    return resources.write(STORAGE_ACCOUNT, resource, body, request_id="r", etag=etag)


def test_a_write_is_guarded_by_the_etag_that_was_read(served: Served, subscription: str) -> None:
    served.azure.estate.storage.etags = True
    resource, resources = account(served, subscription), ArmResources(served.arm)
    first = resources.read(STORAGE_ACCOUNT, resource).etag
    assert first

    write(resources, resource, TAGS, first)

    assert served.azure.front_door.traffic()[-1].request_headers["if-match"] == first
    second = resources.read(STORAGE_ACCOUNT, resource).etag
    assert second != first
    with pytest.raises(errors.ChangedError, match="412"):
        write(resources, resource, {"tags": {}}, first)
    assert resources.read(STORAGE_ACCOUNT, resource).etag == second


@pytest.mark.parametrize(
    ("headers", "operation"),
    [
        pytest.param({}, "", id="a final answer"),
        pytest.param({"Location": "https://l"}, "https://l", id="Location alone"),
        pytest.param({"Azure-AsyncOperation": "https://a"}, "https://a", id="the operation"),
        pytest.param(
            {"Azure-AsyncOperation": "https://a", "Location": "https://l"},
            "https://a",
            id="both: the one that says why it failed",
        ),
    ],
)
def test_where_a_long_write_goes_on_is_kept(
    served: Served, subscription: str, headers: dict[str, str], operation: str
) -> None:
    resource = account(served, subscription)
    served.azure.faults.add(Fault(method="PATCH", answer=Answer(202, b"", headers)))
    assert write(ArmResources(served.arm), resource, TAGS).operation == operation


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(Answer(200, {"status": "Succeeded"}), "", id="it succeeded"),
        pytest.param(Answer(200, {"status": "InProgress"}), "", id="it goes on"),
        pytest.param(Answer(202, b""), "", id="it goes on, says Location"),
        pytest.param(
            Answer(200, {"status": "Failed", "error": {"code": "NoKey", "message": "gone"}}),
            "the write failed: NoKey: gone",
            id="it failed with 200, as is recorded",
        ),
        pytest.param(
            Answer(200, {"status": "Canceled", "error": {"code": "NoKey", "message": "by you"}}),
            "the write canceled: NoKey: by you",
            id="somebody stopped it",
        ),
        pytest.param(
            Answer(400, {"error": {"code": "NoKey", "message": "gone"}}),
            "answered 400 NoKey: gone",
            id="it failed, says Location",
        ),
    ],
)
def test_a_long_write_says_why_it_failed_whatever_its_status(
    served: Served, answer: Answer, says: str
) -> None:
    served.azure.faults.add(Fault(host=ARM, path="*/operations/o", answer=answer))
    failure = ArmResources(served.arm).progress(OPERATION).failure
    if says:
        assert isinstance(failure, errors.RejectedError)
        assert says in str(failure)
        assert failure.code == "NoKey"
    else:
        assert failure is None


@pytest.mark.parametrize(
    ("answer", "is_running"),
    [
        pytest.param(Answer(202, b""), True, id="Location, until the end"),
        pytest.param(Answer(200, {"id": "/x", "properties": {}}), False, id="Location, the end"),
        pytest.param(Answer(204, b""), False, id="Location, the end without a body"),
        pytest.param(Answer(200, {"status": "InProgress"}), True, id="in progress"),
        pytest.param(Answer(202, {"status": "Updating"}), True, id="a word of the service's own"),
        pytest.param(Answer(202, {"status": "Succeeded"}), False, id="succeeded, whatever with"),
        pytest.param(Answer(200, {"status": "failed", "error": {"code": "E"}}), False, id="failed"),
        pytest.param(Answer(404, {"error": {"code": "NotFound"}}), False, id="no record any more"),
    ],
)
def test_only_what_has_not_come_to_its_end_goes_on(
    served: Served,
    answer: Answer,
    is_running: bool,  # noqa: FBT001 - a table
) -> None:
    served.azure.faults.add(Fault(host=ARM, path="*/operations/o", times=None, answer=answer))
    assert ArmResources(served.arm).progress(OPERATION).is_running is is_running


def test_a_very_long_reason_is_cut(served: Served) -> None:
    error = {"code": "X", "message": "y" * 100_000}
    failed = Answer(200, {"status": "Failed", "error": error})
    served.azure.faults.add(Fault(host=ARM, path="*/operations/o", answer=failed))
    assert len(str(ArmResources(served.arm).progress(OPERATION).failure)) <= 500


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(Answer(500, b""), errors.UnavailableError, id="5xx"),
        pytest.param(Answer(429, b""), errors.ThrottledError, id="throttled"),
    ],
)
def test_an_operation_that_cannot_be_read_has_not_failed(
    served: Served, answer: Answer, error: type[errors.KeyturnError]
) -> None:
    served.azure.faults.add(Fault(host=ARM, path="*/operations/o", answer=answer))
    with pytest.raises(error):
        ArmResources(served.arm).progress(OPERATION)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_failed_write_of_which_arm_tells_no_more_has_failed_all_the_same(
    served: Served, status: int
) -> None:
    """It is asked only of a resource that shows a failure itself; such records do not last."""
    answer = Answer(status, {"error": {"code": "NoLonger", "message": "known"}})
    served.azure.faults.add(Fault(host=ARM, path="*/operations/o", times=None, answer=answer))
    failure = ArmResources(served.arm).progress(OPERATION).failure
    assert isinstance(failure, errors.RejectedError)
    assert "ARM tells no more" in str(failure)
    assert "NoLonger" in str(failure)


def test_an_operation_at_another_host_gets_no_token(served: Served) -> None:
    failure = ArmResources(served.arm).progress("https://evil.example/operations/o").failure
    assert "link of another host" in str(failure)
    assert served.azure.front_door.traffic() == []


def test_what_owns_a_group_is_asked_once_for_all_that_is_in_it(
    served: Served, subscription: str
) -> None:
    estate, owner = served.azure.estate, f"/subscriptions/{subscription}/x/workspace"
    estate.group(subscription, "rg-managed", managed_by=owner)
    managed = account(served, subscription, "rg-managed")
    resources = ArmResources(served.arm)
    assert resources.managed_by(managed) == owner
    assert resources.managed_by(managed.upper()) == owner
    assert served.seen(ARM) == 1
    assert resources.managed_by(account(served, subscription)) == ""
    assert served.seen(ARM) == 2


def test_a_group_that_may_not_be_read_is_not_taken_for_one_without_an_owner(
    served: Served,
) -> None:
    resource = account(served, served.azure.estate.subscription("hidden"))
    resources = ArmResources(served.arm)
    for _ in range(2):
        with pytest.raises(errors.AccessDeniedError, match="resourceGroups"):
            resources.managed_by(resource)


def vaults(served: Served) -> AzureVaults:
    return AzureVaults(frozenset({VAULT}), served.credential)


def policy(*actions: str) -> Json:
    trigger = {"timeBeforeExpiry": "P30D"}
    return {
        "lifetimeActions": [{"trigger": trigger, "action": {"type": name}} for name in actions],
        "attributes": {"expiryTime": "P90D"},
    }


@pytest.mark.parametrize(
    ("set_to", "rotates"),
    [
        pytest.param(None, False, id="no policy"),
        pytest.param(policy("Notify"), False, id="it only says so"),
        pytest.param(policy("Rotate"), True, id="it rotates"),
        pytest.param(policy("Notify", "Rotate"), True, id="both"),
    ],
)
def test_whether_the_vault_makes_versions_itself_is_read_from_the_policy(
    served: Served,
    set_to: Json | None,
    rotates: bool,  # noqa: FBT001 - a table
) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get", "getRotationPolicy"})
    vault.create_key("cmk")
    if set_to:
        vault.set_rotation_policy("cmk", set_to)
    assert vaults(served).rotates_itself(KEY) is rotates


def test_a_policy_that_may_not_be_read_does_not_rotate_and_one_that_cannot_be_is_waited_for(
    served: Served,
) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get"})
    vault.create_key("cmk")
    vault.set_rotation_policy("cmk", policy("Rotate"))
    ours = vaults(served)
    assert ours.rotates_itself(KEY) is False
    vault.grant(APP_PRINCIPAL, {"getRotationPolicy"})
    served.azure.faults.add(Fault(path="*/rotationpolicy", answer=Answer(503, b"")))
    with pytest.raises(errors.UnavailableError):
        ours.rotates_itself(KEY)
    assert ours.rotates_itself(KEY) is True


def asked_to_move(served: Served, subscription: str, *, fails: bool) -> tuple[Account, str]:
    """Ask an account that takes its time to use a newer version; return where that goes on."""
    vault = served.azure.estate.vault("kv-one")
    made = served.azure.estate.storage_account(
        "stone", subscription=subscription, key=vault.create_key("cmk")
    )
    vault.rotate("cmk")
    made.pace.long_running(timedelta(milliseconds=400), fails=fails)
    resources, resource = ArmResources(served.arm), made.id
    encryption = resources.read(STORAGE_ACCOUNT, resource).body["properties"]["encryption"]
    encryption["keyvaultproperties"]["keyversion"] = vault.find("cmk").version
    return made, write(resources, resource, {"properties": {"encryption": encryption}}).operation


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_write_is_followed_to_its_end(
    served: Served,
    subscription: str,
    fails: bool,  # noqa: FBT001 - a table
) -> None:
    made, operation = asked_to_move(served, subscription, fails=fails)
    resources, resource = ArmResources(served.arm), made.id
    assert operation.startswith(f"https://{ARM}/")
    assert resources.progress(operation) == Progress(is_running=True)
    for _ in range(200):
        state = resources.read(STORAGE_ACCOUNT, resource).body["properties"]["provisioningState"]
        if state != "ResolvingDNS":
            break
    assert not resources.progress(operation).is_running
    failure = resources.progress(operation).failure
    assert (state, failure is not None) == (("Failed", True) if fails else ("Succeeded", False))
    assert failure is None or failure.code == "KeyVaultAuthenticationFailure"
