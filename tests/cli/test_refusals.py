"""Whatever goes wrong is one sentence with what to do, never a stack."""

import pytest

from sandbox.faults import Answer, Fault
from tests.cli.desk import ME, Desk, Ran
from tests.cli.estates import VAULT, Small

KEY = f"{VAULT}/cmk-payments"
GUID = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
READS = (
    ("inventory",),
    ("versions", KEY),
    ("plan", KEY),
    ("verify", KEY),
    ("doctor", "--vault", VAULT),
    ("policy", "init"),
)
READING = pytest.mark.parametrize("args", READS, ids=lambda args: args[0])


def sentence(ran: Ran) -> str:
    """Return the one line in which the command said why it failed."""
    assert "Traceback" not in ran.err
    (line,) = ran.err.splitlines()
    assert line.startswith("keyturn: ")
    return line


@READING
def test_a_login_that_has_expired_says_to_log_in(desk: Desk, args: tuple[str, ...]) -> None:
    desk.let_login_expire()
    ran = desk.run(*args)
    assert ran.code == 4
    assert sentence(ran).startswith("keyturn: sign in first: az login")


@READING
def test_nobody_signed_in_says_to_log_in(desk: Desk, args: tuple[str, ...]) -> None:
    desk.sign_out()
    ran = desk.run(*args)
    assert ran.code == 4
    assert "az login" in sentence(ran)


def test_no_azure_cli_says_so(desk: Desk) -> None:
    ran = desk.run("inventory", env={"PATH": "/nowhere"})
    assert ran.code == 4
    assert "Azure CLI not found on path" in sentence(ran)


@pytest.mark.parametrize("args", READS[:4] + READS[5:], ids=lambda args: args[0])
def test_no_network_says_to_check_it(desk: Desk, args: tuple[str, ...]) -> None:
    ran = desk.run(*args, env={"HTTPS_PROXY": "http://127.0.0.1:9"})
    assert ran.code == 6
    assert sentence(ran).endswith("check the network, and try again")


def test_the_doctor_finds_that_there_is_no_network(desk: Desk) -> None:
    ran = desk.run("doctor", "--vault", VAULT, env={"HTTPS_PROXY": "http://127.0.0.1:9"})
    assert ran.code == 3
    assert "no answer" in ran.out
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["versions", "plan", "verify"])
def test_an_unknown_key_is_not_found(desk: Desk, command: str) -> None:
    ran = desk.run(command, f"{VAULT}/no-such-key")
    assert ran.code == 5
    assert "no-such-key" in sentence(ran)


@pytest.mark.parametrize("command", ["versions", "plan", "verify"])
def test_a_key_that_one_may_not_read_is_not_allowed(desk: Desk, found: Small, command: str) -> None:
    desk.azure.estate.vault("kv-forbidden", subscription=found.research)
    ran = desk.run(command, "kv-forbidden/cmk")
    assert ran.code == 4
    assert sentence(ran).endswith("ask for that right; `keyturn doctor` says how")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("versions", "cmk"), "'cmk' is no key"),
        (("versions", "https://evil.example/keys/cmk"), "is no key"),
        (("versions", "kv.evil.example/cmk"), "is no key"),
        (("inventory", "--vault", "kv.evil.example"), "no vault of AzureCloud"),
        (("inventory", "--if-disabled", "newest"), "'newest' is no version"),
        (("inventory", "--subscription", "Nowhere"), "you see no subscription of the name"),
        (("inventory", "--config-source", "http://evil.example/c"), "--config-source"),
        (("policy", "init", "--config-source", "http://evil.example/c"), "--config-source"),
        (("inventory", "--vault", "kv-a", "--key", "kv-b/k"), "'kv-b/k' lies in another vault"),
        (
            ("status", "--app", "https://example.com", "--function-key-stdin"),
            "--function-key-stdin: nothing came on stdin",
        ),
        (("inventory", "--subscription", "a", "--management-group", "b"), "not both"),
        (("inventory", "--subscription", f"{GUID},Nowhere"), "of the name 'Nowhere'"),
        (("status",), "KEYTURN_APP"),
        (("status", "--app", "https://example.com", "--audience", "https://["), "--audience"),
        (("status", "--app", "http://example.com"), "not https"),
        (("status", "--app", "https://user:secret@example.com"), "is no URL of an app"),
        (("status", "--app", "https://example.com"), "KEYTURN_FUNCTION_KEY"),
    ],
)
def test_what_is_typed_wrong_is_said(desk: Desk, args: tuple[str, ...], said: str) -> None:
    ran = desk.run(*args)
    assert ran.code == 2
    assert said in sentence(ran)


def test_no_token_goes_to_a_host_that_is_no_vault(desk: Desk) -> None:
    before = len(desk.azure.front_door.traffic())
    desk.run("versions", "https://evil.example/keys/cmk")
    assert len(desk.azure.front_door.traffic()) == before


def test_an_inventory_that_refuses_is_told_in_its_own_words(desk: Desk) -> None:
    said = {"error": {"code": "BadRequest", "message": "Query is invalid."}}
    desk.azure.faults.add(
        Fault(method="POST", path="*ResourceGraph*", answer=Answer(400, said), times=None)
    )
    ran = desk.run("inventory")
    assert ran.code == 1
    assert "Query is invalid" in sentence(ran)


def test_debug_has_the_stack_and_no_token(desk: Desk) -> None:
    ran = desk.run_apart("versions", f"{VAULT}/no-such-key", "--debug")
    assert ran.code == 5
    assert "Traceback" in ran.err
    assert "keyturn: could not read" in ran.err
    assert "eyJ" not in ran.err


def test_a_resource_that_cannot_be_read_is_a_line_and_not_the_end(desk: Desk) -> None:
    said = {"error": {"code": "AuthorizationFailed", "message": f"{ME} may not."}}
    path = "*/storageAccounts/stledger"
    desk.azure.faults.add(Fault(method="GET", path=path, answer=Answer(403, said), times=None))
    rows = {row["name"]: row for row in desk.run("verify", KEY, "-o", "json").json()}
    assert len(rows) == 6
    assert rows["stledger"]["proven"] is False
    assert "may not" in str(rows["stledger"]["seen"])
