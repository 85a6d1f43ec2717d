"""ARM's routes, checks and envelopes, through the unmodified Azure client."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from azure.core.rest import HttpRequest, HttpResponse

from sandbox.arm.rbac import Rbac
from sandbox.identity import APP_PRINCIPAL
from sandbox.testing import ARM, Rig, rig

READ = {"Microsoft.Storage/storageAccounts/read"}


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="production")
def _production(served: Rig, request: pytest.FixtureRequest) -> str:
    """A subscription of the test's own, with full rights and one account named ``staone``."""
    subscription = served.estate.subscription(request.node.name)
    served.estate.storage_account("staone", subscription=subscription, key=None, group="rg-One")
    served.allow_all(subscription)
    return subscription


def account(subscription: str, name: str = "staone", group: str = "rg-One") -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.Storage/storageAccounts/{name}"
    )


def test_ids_are_found_in_any_case_and_shown_as_they_were_written(
    served: Rig, production: str
) -> None:
    answer = served.send("GET", account(production).lower().replace("staone", "STAONE"))

    assert answer.status == 200
    assert answer.body["id"] == account(production)


def test_a_request_without_api_version_is_refused_before_its_token_is_looked_at(
    served: Rig, production: str
) -> None:
    answer = bare(served, HttpRequest("GET", ARM + account(production)))

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "MissingApiVersionParameter")
    assert "(?api-version=) is required" in error["message"]


def bare(served: Rig, request: HttpRequest) -> HttpResponse:
    """Send a request below the client's policies, which would put in a good token."""
    transport = served.client._pipeline._transport  # noqa: SLF001 - the SDK's own transport
    answer: HttpResponse = transport.send(request)
    return answer


def test_an_unknown_api_version_is_refused_with_those_that_are_served(
    served: Rig, production: str
) -> None:
    answer = served.send("GET", account(production), version="2015-06-15")
    listing = served.send("GET", "/subscriptions", version="2015-06-15")

    assert (answer.status, answer.code) == (400, "NoRegisteredProviderFound")
    assert "'2015-06-15'" in answer.message
    assert "2024-01-01" in answer.message
    assert (listing.status, listing.code) == (400, "InvalidApiVersionParameter")
    assert "2022-12-01" in listing.message


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        pytest.param(account("9" * 8), 404, "SubscriptionNotFound", id="subscription"),
        pytest.param(account("{own}", group="rg-none"), 404, "ResourceGroupNotFound", id="group"),
        pytest.param(account("{own}", "stanone"), 404, "ResourceNotFound", id="resource"),
        pytest.param(
            account("{own}").replace("storageAccounts", "tables"), 404, "InvalidResourceType"
        ),
    ],
)
def test_what_does_not_exist_is_refused_by_its_own_code(
    served: Rig, production: str, path: str, status: int, code: str
) -> None:
    answer = served.send("GET", path.replace("{own}", production))

    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_a_caller_without_the_action_gets_the_recorded_refusal(
    served: Rig, production: str
) -> None:
    served.estate.arm.rbac.revoke(APP_PRINCIPAL, f"/subscriptions/{production}")
    served.estate.arm.rbac.allow(APP_PRINCIPAL, READ, f"/subscriptions/{production}")

    answer = served.send("PATCH", account(production), {"tags": {}})

    assert served.send("GET", account(production)).status == 200
    assert (answer.status, answer.code) == (403, "AuthorizationFailed")
    assert answer.message == (
        f"The client '{APP_PRINCIPAL}' with object id '{APP_PRINCIPAL}' does not have "
        "authorization to perform action 'Microsoft.Storage/storageAccounts/write' over scope "
        f"'{account(production)}' or the scope is invalid. If access was recently granted, "
        "please refresh your credentials."
    )


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        pytest.param("", {"all"}, id="a subscription"),
        pytest.param("/resourceGroups/rg-net", {"all", "group"}, id="a group"),
        pytest.param(
            "/resourceGroups/RG-net/providers/Microsoft.Network/virtualNetworks/net/subnets/one",
            {"all", "group", "subnet"},
            id="a child resource that is not served",
        ),
        pytest.param(
            "/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/net/subnets/two",
            {"all", "group"},
            id="another one",
        ),
    ],
)
def test_permissions_are_told_at_every_scope_from_what_holds_there(
    served: Rig, production: str, scope: str, held: set[str]
) -> None:
    whole, allow = f"/subscriptions/{production}", served.estate.arm.rbac.allow
    served.estate.arm.rbac.revoke(APP_PRINCIPAL, whole)
    path = f"{whole}{scope}/providers/Microsoft.Authorization/permissions"
    assert served.send("GET", path, version="2022-04-01").code == "AuthorizationFailed"

    net = f"{whole}/resourceGroups/rg-net"
    allow(APP_PRINCIPAL, {"Microsoft.Authorization/permissions/read", "all"}, whole)
    allow(APP_PRINCIPAL, {"group"}, net)
    subnet = "providers/Microsoft.Network/virtualNetworks/net/subnets/one"
    allow(APP_PRINCIPAL, {"subnet"}, f"{net}/{subnet}")

    told = served.send("GET", path, version="2022-04-01").body["value"]
    actions = {action for each in told for action in each["actions"]}
    assert actions == {"microsoft.authorization/permissions/read", *held}


def test_a_subscription_that_the_caller_may_not_read_is_not_listed(
    served: Rig, production: str
) -> None:
    hidden = served.estate.subscription("hidden from the list")

    answer = served.send("GET", "/subscriptions", version="2022-12-01")
    by_name = served.send("GET", f"/subscriptions/{hidden}", version="2022-12-01")

    listed = {each["subscriptionId"] for each in answer.body["value"]}
    assert production in listed
    assert hidden not in listed
    assert (by_name.status, by_name.code) == (403, "AuthorizationFailed")


def test_lists_hold_the_resources_of_their_scope_alone(served: Rig, production: str) -> None:
    served.estate.storage_account("statwo", subscription=production, key=None, group="rg-two")
    provider = "/providers/Microsoft.Storage/storageAccounts"

    whole = served.send("GET", f"/subscriptions/{production}{provider}")
    group = served.send("GET", f"/subscriptions/{production}/resourcegroups/RG-TWO{provider}")

    assert [each["name"] for each in whole.body["value"]] == ["staone", "statwo"]
    assert [each["name"] for each in group.body["value"]] == ["statwo"]


def test_a_list_needs_the_right_at_its_own_scope(served: Rig, production: str) -> None:
    served.estate.arm.rbac.revoke(APP_PRINCIPAL, f"/subscriptions/{production}")
    served.estate.arm.rbac.allow(APP_PRINCIPAL, READ, account(production))

    answer = served.send(
        "GET", f"/subscriptions/{production}/providers/Microsoft.Storage/storageAccounts"
    )

    assert answer.status == 403


def test_what_is_deleted_is_gone_and_deleting_it_again_says_so(
    served: Rig, production: str
) -> None:
    statuses = [
        served.send(method, account(production)).status for method in ("DELETE", "DELETE", "GET")
    ]

    assert statuses == [200, 204, 404]


def test_every_answer_carries_its_ids_and_what_is_left_of_the_quota(
    served: Rig, production: str
) -> None:
    asked = {"x-ms-client-request-id": "mine", "x-ms-return-client-request-id": "true"}

    first = served.send("GET", account(production), headers=asked)
    second = served.send("PATCH", account(production), {"tags": {}})

    assert first.headers["x-ms-client-request-id"] == "mine"
    assert "x-ms-client-request-id" not in second.headers
    for name in ("x-ms-request-id", "x-ms-correlation-request-id"):
        assert str(UUID(first.headers[name])) == first.headers[name]
    assert first.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    assert second.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        pytest.param(None, "AuthenticationFailed", id="none"),
        pytest.param("Bearer nonsense", "InvalidAuthenticationToken", id="nonsense"),
        pytest.param(
            "https://vault.azure.net", "InvalidAuthenticationTokenAudience", id="audience"
        ),
        pytest.param("expired", "ExpiredAuthenticationToken", id="expired"),
    ],
)
def test_a_token_that_is_not_for_arm_is_refused_with_a_challenge(
    served: Rig, authorization: str | None, code: str
) -> None:
    tokens = served.tokens
    made = {
        "https://vault.azure.net": f"Bearer {tokens.issue('https://vault.azure.net')}",
        "expired": f"Bearer {tokens.issue(ARM, lifetime=timedelta(seconds=-5))}",
    }
    headers = {} if authorization is None else {"authorization": authorization}
    if authorization in made:
        headers["authorization"] = made[authorization]
    request = HttpRequest("GET", f"{ARM}/subscriptions?api-version=2022-12-01", headers=headers)

    answer = bare(served, request)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code
    assert served.tokens.tenant_id in answer.headers["www-authenticate"]


def test_a_body_that_is_not_an_object_is_refused(served: Rig, production: str) -> None:
    answer = served.send("PATCH", account(production), ["not", "an", "object"])

    assert (answer.status, answer.code) == (400, "InvalidRequestContent")


def test_an_enforced_quota_answers_429_with_the_time_to_wait() -> None:
    with rig(rate=0.001) as slow:
        production = slow.estate.subscription("throttled")
        slow.estate.storage_account("staone", subscription=production, key=None, group="rg-One")
        slow.allow_all(production)
        slow.estate.arm.quota.enforced = True

        answers = [slow.send("PATCH", account(production), {"tags": {}}) for _ in range(201)]

    assert {answer.status for answer in answers[:200]} == {200}
    assert (answers[200].status, answers[200].code) == (429, "SubscriptionRequestsThrottled")
    assert answers[200].headers["retry-after"] == "1"


def test_actions_may_be_allowed_by_pattern_and_scopes_end_at_a_segment() -> None:
    rbac = Rbac()
    rbac.allow("me", {"*/read"}, "/subscriptions/a/resourceGroups/rg")

    assert rbac.permits("me", "Microsoft.X/y/Read", "/Subscriptions/A/resourcegroups/RG/thing")
    assert not rbac.permits("me", "Microsoft.X/y/write", "/subscriptions/a/resourceGroups/rg")
    assert not rbac.permits("me", "Microsoft.X/y/read", "/subscriptions/a/resourceGroups/rg2")
    assert not rbac.permits("you", "Microsoft.X/y/read", "/subscriptions/a/resourceGroups/rg")
