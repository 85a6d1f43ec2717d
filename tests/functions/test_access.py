"""Who calls: what App Service says in its header, and when it is believed."""

import base64
import json

import pytest

from functions.access import PRINCIPAL, WITH_KEY, NobodyError, principal_of
from shared.domain.callers import NOBODY, Caller, Role
from tests.functions.api import Claims, header

TENANT = "5d0f8e4a-4b1f-4a57-9d35-0f6c6d5f0a01"
OBJECT = "0b6f4b0e-0d0a-4f6e-9a55-3b9f3f0c7d11"
IDS: Claims = [("tid", TENANT), ("oid", OBJECT)]
_SCHEMA = "http://schemas.microsoft.com/identity/claims"
V1: Claims = [(f"{_SCHEMA}/tenantid", TENANT), (f"{_SCHEMA}/objectidentifier", OBJECT)]
V1_ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


def seen(text: str) -> tuple[Caller, set[Role]]:
    """Return who is seen behind a header, with App Service authentication on."""
    principal = principal_of({PRINCIPAL: text}, app_service_auth=True)
    return principal.caller, set(principal.roles)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        pytest.param([*IDS, ("preferred_username", "a@b.c")], "a@b.c", id="a user, v2"),
        pytest.param(
            [*V1, ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn", "a@b.c")],
            "a@b.c",
            id="a user, v1",
        ),
        pytest.param([*IDS, ("azp", "an-app")], "an-app", id="an application, v2"),
        pytest.param([*IDS, ("appid", "an-app")], "an-app", id="an application, v1"),
        pytest.param([*IDS, ("name", "A B"), ("upn", "a@b.c")], "a@b.c", id="the best name"),
        pytest.param(IDS, OBJECT, id="no name"),
    ],
)
def test_a_caller_is_named_by_tenant_and_object_whatever_the_claims_are_called(
    claims: Claims, name: str
) -> None:
    caller, roles = seen(header(claims))
    assert caller == Caller(id=f"{TENANT}/{OBJECT}", name=name)
    assert roles == set()


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        pytest.param([], set(), id="none"),
        pytest.param([("roles", "Keyturn.Operator")], {Role.OPERATOR}, id="v2"),
        pytest.param([(V1_ROLE, "Keyturn.Approver")], {Role.APPROVER}, id="v1"),
        pytest.param(
            [("roles", "Keyturn.Auditor"), ("roles", "Keyturn.Approver")],
            {Role.AUDITOR, Role.APPROVER},
            id="several",
        ),
        pytest.param([("roles", "keyturn.operator"), ("roles", "Owner")], set(), id="unknown"),
        pytest.param([("roles", "Keyturn.Operator,Keyturn.Approver")], set(), id="a list in one"),
        pytest.param([("groups", "Keyturn.Operator"), ("scp", "Keyturn.Operator")], set(), id="no"),
    ],
)
def test_roles_are_those_of_the_roles_claims_that_we_know(claims: Claims, roles: set[Role]) -> None:
    assert seen(header([*IDS, *claims]))[1] == roles


def _raw(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="no header"),
        pytest.param("junk", id="no base64"),
        pytest.param(header(IDS)[:-3], id="cut off"),
        pytest.param("*" + header(IDS), id="base64 with something else in it"),
        pytest.param(base64.b64encode(b"\xff\xfe").decode(), id="no text"),
        pytest.param(base64.b64encode(b"[" * 100_000).decode(), id="nested without end"),
        pytest.param(_raw([]), id="a list"),
        pytest.param(_raw({"auth_typ": "aad"}), id="no claims"),
        pytest.param(_raw({"auth_typ": "aad", "claims": {"oid": OBJECT}}), id="no list of claims"),
        pytest.param(_raw({"auth_typ": "aad", "claims": ["oid", 7, None]}), id="claims of junk"),
        pytest.param(
            _raw({"auth_typ": "aad", "claims": [{"typ": "oid", "val": 7}, {"typ": "tid"}]}),
            id="claims without a text",
        ),
        pytest.param(header(IDS, auth_typ="google"), id="another provider"),
        pytest.param(header(IDS, auth_typ=None), id="no provider"),
        pytest.param(header([("tid", TENANT)]), id="no object"),
        pytest.param(header([("oid", OBJECT)]), id="no tenant"),
        pytest.param(header([("tid", TENANT), ("oid", "")]), id="an empty object"),
        pytest.param(header([*IDS[:1], ("OID", OBJECT)]), id="a claim in another casing"),
    ],
)
def test_whom_nobody_can_name_is_nobody(text: str) -> None:
    with pytest.raises(NobodyError, match="sign in"):
        seen(text)


@pytest.mark.parametrize("text", ["", "junk", header([*IDS, ("roles", "Keyturn.Approver")])])
def test_without_app_service_authentication_the_header_says_nothing(text: str) -> None:
    principal = principal_of({PRINCIPAL: text}, app_service_auth=False)
    assert principal == WITH_KEY
    assert principal.caller == NOBODY
    assert not principal.may(Role.APPROVER)


@pytest.mark.parametrize(
    ("has", "may"),
    [
        ([], []),
        ([Role.AUDITOR], [Role.AUDITOR]),
        ([Role.OPERATOR], [Role.AUDITOR, Role.OPERATOR]),
        ([Role.APPROVER], [Role.AUDITOR, Role.APPROVER]),
        (list(Role), list(Role)),
    ],
)
def test_a_role_lets_read_and_do_what_is_its_own(has: list[Role], may: list[Role]) -> None:
    text = header([*IDS, *(("roles", role.value) for role in has)])
    principal = principal_of({PRINCIPAL: text}, app_service_auth=True)
    assert [role for role in Role if principal.may(role)] == may
