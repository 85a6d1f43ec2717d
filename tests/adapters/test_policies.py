"""The policy is read whole, again every minute, and every problem of it is named with its place."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.estate import Account
from sandbox.faults import Fault, server_error_html
from shared.adapters.policies import (
    MOST_BYTES,
    NoPolicy,
    ReadPolicy,
    parse,
    read_blob,
    read_file,
)
from shared.adapters.storage.containers import connect_as
from shared.domain.errors import PolicyError, UnavailableError
from shared.domain.file_sources import BlobName
from shared.domain.policy import Mode, Policy
from tests.adapters.conftest import Served
from tests.domain import policies
from tests.domain.values import NOW

OBSERVE = "defaults: {mode: observe}"
APPROVE = "defaults: {mode: approve}"


@dataclass
class Hand:
    """A clock that is put forward by hand."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@dataclass
class Shelf:
    """Where a policy lies; counts how often it is read."""

    content: bytes | Exception = b""
    reads: int = 0
    clock: Hand = field(default_factory=Hand)

    def read(self) -> bytes:
        self.reads += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content

    def policy(self) -> ReadPolicy:
        return ReadPolicy("keyturn.yaml", self.read, self.clock)


def problems(text: str | bytes) -> list[str]:
    """Return what is wrong with a policy."""
    with pytest.raises(PolicyError) as found:
        parse("keyturn.yaml", text.encode() if isinstance(text, str) else text)
    for problem in found.value.problems:
        assert problem in str(found.value)
    assert str(found.value).startswith("the policy keyturn.yaml cannot be used: ")
    return list(found.value.problems)


# -- when it is read ------------------------------------------------------------------------------


def test_without_a_policy_the_defaults_hold() -> None:
    assert NoPolicy().current() == Policy()


def test_it_is_read_again_once_it_is_a_minute_old_and_not_before() -> None:
    shelf = Shelf(OBSERVE.encode())
    policy = shelf.policy()
    assert policy.current().defaults.mode is Mode.OBSERVE  # type: ignore[attr-defined] # made from the fields of Rules
    shelf.content = APPROVE.encode()
    shelf.clock.at += timedelta(seconds=59)
    assert policy.current().defaults.mode is Mode.OBSERVE  # type: ignore[attr-defined] # likewise
    assert shelf.reads == 1
    shelf.clock.at += timedelta(seconds=1)
    assert policy.current().defaults.mode is Mode.APPROVE  # type: ignore[attr-defined] # likewise
    assert shelf.reads == 2


def test_what_has_not_changed_is_not_parsed_again() -> None:
    shelf = Shelf(OBSERVE.encode())
    policy = shelf.policy()
    first = policy.current()
    shelf.clock.at += timedelta(minutes=1)
    assert policy.current() is first
    assert shelf.reads == 2


def test_one_that_was_good_and_is_broken_since_is_not_gone_on_with() -> None:
    shelf = Shelf(OBSERVE.encode())
    policy = shelf.policy()
    policy.current()
    shelf.content = b"defaults: {mode: perhaps}"
    shelf.clock.at += timedelta(minutes=1)
    for _ in range(2):
        with pytest.raises(PolicyError) as found:
            policy.current()
        assert found.value.problems == (
            "#/defaults/mode: 'perhaps' is not one of ['approve', 'auto', 'observe']",
        )
        assert found.value.retry_after == timedelta(minutes=5)
    assert shelf.reads == 2, "what is wrong stays so for its minute"
    shelf.content = APPROVE.encode()
    shelf.clock.at += timedelta(minutes=1)
    assert policy.current().defaults.mode is Mode.APPROVE  # type: ignore[attr-defined] # made from the fields of Rules


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no such file"), UnavailableError("the account is away")]
)
def test_one_that_cannot_be_read_stops_what_begins_and_is_looked_for_again_at_once(
    error: Exception,
) -> None:
    shelf = Shelf(OBSERVE.encode())
    policy = shelf.policy()
    policy.current()
    shelf.content = error
    shelf.clock.at += timedelta(minutes=1)
    with pytest.raises(PolicyError) as found:
        policy.current()
    assert found.value.problems == (f"it cannot be read: {error}",)
    assert found.value.retry_after == timedelta(minutes=5)
    shelf.content = OBSERVE.encode()
    assert policy.current().defaults.mode is Mode.OBSERVE  # type: ignore[attr-defined] # made from the fields of Rules


def test_a_bug_is_not_taken_for_a_policy_that_cannot_be_read() -> None:
    with pytest.raises(ZeroDivisionError):
        Shelf(ZeroDivisionError()).policy().current()


def test_each_caller_gets_an_error_of_its_own() -> None:
    policy = Shelf(b"nonsense: 1").policy()
    found = []
    for _ in range(2):
        with pytest.raises(PolicyError) as error:
            policy.current()
        found.append(error.value)
    assert found[0] is not found[1], "a traceback grows with each raise"


# -- where it lies --------------------------------------------------------------------------------


def test_it_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keyturn.yaml"
    clock = Hand()
    policy = ReadPolicy(str(file), read_file(file), clock)
    with pytest.raises(PolicyError, match=r"it cannot be read: .*No such file"):
        policy.current()
    file.write_text(OBSERVE)
    assert policy.current() == parse("", OBSERVE.encode())
    file.write_text(APPROVE)
    clock.at += timedelta(minutes=1)
    assert policy.current() == parse("", APPROVE.encode())


BLOB = BlobName.parse("https://stpolicy.blob.core.windows.net/policies/prod/keyturn.yaml")


@pytest.fixture(name="account")
def _account(served: Served) -> Account:
    """An account with a container for the policy, which we may only read."""
    subscription = served.azure.estate.subscription("one")
    account = served.azure.estate.storage_account("stpolicy", subscription=subscription, key=None)
    served.azure.blobs.client(account).create_container("policies")
    served.azure.blobs.allow(account, {"read"}, container="policies")
    return account


def in_blob(served: Served) -> ReadPolicy:
    return ReadPolicy(BLOB.url, read_blob(BLOB, connect_as(served.credential)), Hand())


@pytest.mark.usefixtures("account")
def test_it_may_be_a_blob(served: Served) -> None:
    served.azure.blobs.put("stpolicy", "policies", "prod/keyturn.yaml", OBSERVE.encode())
    assert in_blob(served).current() == parse("", OBSERVE.encode())


@pytest.mark.usefixtures("account")
def test_a_blob_that_is_not_there_is_named(served: Served) -> None:
    with pytest.raises(PolicyError, match=r"it cannot be read: .*BlobNotFound") as found:
        in_blob(served).current()
    assert BLOB.url in str(found.value)


def test_a_blob_that_we_may_not_read_is_told(served: Served) -> None:
    subscription = served.azure.estate.subscription("one")
    account = served.azure.estate.storage_account("stpolicy", subscription=subscription, key=None)
    served.azure.blobs.client(account).create_container("policies")
    served.azure.blobs.put("stpolicy", "policies", "prod/keyturn.yaml", OBSERVE.encode())
    with pytest.raises(PolicyError, match=r"it cannot be read: .*answered 403"):
        in_blob(served).current()


@pytest.mark.usefixtures("account")
def test_an_answer_that_is_none_is_told(served: Served) -> None:
    served.azure.faults.add(
        Fault(path=f"/policies/{BLOB.path}", times=None, answer=server_error_html())
    )
    with pytest.raises(PolicyError, match="it cannot be read: "):
        in_blob(served).current()


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "answered 416"),
        (MOST_BYTES, "it is empty"),
        (MOST_BYTES + 1, "more than 262144 bytes"),
        (3 * 1024 * 1024, "more than 262144 bytes"),
    ],
)
def test_a_blob_that_says_nothing_or_too_much_is_none(served: Served, size: int, said: str) -> None:
    served.azure.blobs.put("stpolicy", "policies", "prod/keyturn.yaml", b"#" * size)
    with pytest.raises(PolicyError, match=said):
        in_blob(served).current()


# -- what is wrong with it ------------------------------------------------------------------------


def test_every_problem_is_named_with_its_place() -> None:
    found = problems(
        """\
version: 2
manage: [everything]
default: {}
defaults:
  mode: maybe
  failureLimit: 0
  recheckHours: 24.5
  recreateContainerGroups: "yes"
rules:
- keys: []
  approvalHours: 1000
- mode: auto
- keys: [kv/cmk]
  subscriptions: [Production]
  windows:
  - {days: [monday], opens: 9:00, closes: "25:00"}
"""
    )
    assert sorted(problem.partition(": ")[0] for problem in found) == [
        "#",
        "#/defaults/failureLimit",
        "#/defaults/mode",
        "#/defaults/recheckHours",
        "#/defaults/recreateContainerGroups",
        "#/manage/0",
        "#/rules/0/approvalHours",
        "#/rules/0/keys",
        "#/rules/1",
        "#/rules/2/subscriptions/0",
        "#/rules/2/windows/0/closes",
        "#/rules/2/windows/0/days/0",
        "#/rules/2/windows/0/opens",
        "#/version",
    ]
    assert "#/rules/1: 'keys' is a required property" in found
    assert any("'default' was unexpected" in problem for problem in found)


def test_of_very_many_problems_the_first_fifty_are_named_and_the_rest_counted() -> None:
    with pytest.raises(PolicyError) as found:
        parse("p", b"manage: [" + b"x, " * 80 + b"x]")
    assert len(found.value.problems) == 50
    assert str(found.value).endswith("(and 31 more)")


def test_a_long_value_is_not_repeated_whole() -> None:
    (problem,) = problems(f"version: {'x' * 5000}")
    assert len(problem) < 350


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ('{opens: "01:00", closes: "02:00", zone: Mars/Base}', "/0/zone: there is no time zone"),
        ('{opens: "01:00", closes: "02:00", zone: Europe}', "/0/zone: there is no time zone"),
        ('{opens: "01:00", closes: "02:00", zone: ""}', "/0/zone: there is no time zone ''"),
        ('{opens: "01:00", closes: "02:00", zone: ../../etc/passwd}', "/0/zone: there is no"),
        ('{opens: "01:00", closes: "02:00", zone: "a\\0b"}', "/0/zone: there is no time zone"),
        ('{opens: "01:00", closes: "01:00"}', "/0: it closes when it opens"),
        (
            '{opens: "01:00", closes: "02:00"}, {opens: "01:00", closes: "01:00"}',
            "/1: it closes when it opens",
        ),
    ],
)
def test_a_window_in_an_unknown_zone_or_one_that_never_opens_is_a_problem(
    windows: str, said: str
) -> None:
    (of_all,) = problems(f"defaults: {{windows: [{windows}]}}")
    assert of_all.startswith(f"#/defaults/windows{said}")
    (of_some,) = problems(
        f"rules: [{{keys: [a/b], mode: auto}}, {{keys: [a/b], windows: [{windows}]}}]"
    )
    assert of_some.startswith(f"#/rules/1/windows{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [1\nb: 2\n", "line 2: ", id="a bracket left open"),
        pytest.param("version: 1\n\tmanage: []\n", "line 2: ", id="a tab"),
        pytest.param("version: 1\ndefaults: {}\nversion: 1\n", "line 3: ", id="a name twice"),
        pytest.param(
            "defaults:\n  mode: auto\n  mode: observe\n", "line 3: ", id="a setting twice"
        ),
        pytest.param("version: 1\n---\nversion: 1\n", "line 2: ", id="two documents"),
        pytest.param("a: !!python/name:os.system x\n", "line 1: ", id="a tag"),
        pytest.param("a: &x 1\nb: *x\n", "it has aliases (*name)", id="an alias"),
        pytest.param("a: \x07\n", "", id="a control character"),
        pytest.param("", "it is empty", id="nothing"),
        pytest.param("# version: 1\n", "it is empty", id="nothing but words"),
        pytest.param("null\n", "it is empty", id="null"),
        pytest.param("false\n", "#: False is not of type 'object'", id="false"),
        pytest.param("[]\n", "#: [] is not of type 'object'", id="a list"),
        pytest.param("0\n", "#: 0 is not of type 'object'", id="a number"),
        pytest.param("mode: auto\n", "#: Additional properties", id="a setting at the top"),
        pytest.param("1: 2\n", "#: Additional properties", id="a name that is a number"),
        pytest.param("defaults: 2026-11-23\n", "#/defaults: ", id="a date"),
        pytest.param("defaults: {failureLimit: 5.0}\n", "Expected `int`", id="5.0"),
        pytest.param("version: 1.0\n", "Expected `int`", id="1.0"),
        pytest.param("[" * 200_000, "it has more than 20 levels", id="depths"),
        pytest.param(b"mode: \xff", "it is no UTF-8: invalid start byte at byte 6", id="latin 1"),
        pytest.param(b"#" * (MOST_BYTES + 1), "it has more than 262144 bytes", id="a book"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_line_where_there_is_one(
    text: str | bytes, said: str
) -> None:
    (problem,) = problems(text)
    assert problem.startswith(said)


def test_a_bomb_of_aliases_is_refused_before_it_bursts() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert problems("\n".join(lines)) == ["it has aliases (*name), which a policy may not"]


def test_times_need_no_quotes_and_json_is_fine() -> None:
    plain = "defaults: {windows: [{opens: 22:00, closes: 04:00}]}"
    quoted = '{"defaults": {"windows": [{"opens": "22:00", "closes": "04:00"}]}}'
    with_mark = "\ufeff" + plain
    assert parse("", plain.encode()) == parse("", quoted.encode()) == parse("", with_mark.encode())


def parsed(content: bytes) -> Policy | PolicyError:
    try:
        return parse("p", content)
    except PolicyError as error:
        return error


@given(policies.spoilt())
def test_whatever_stands_in_it_is_a_policy_or_a_list_of_problems(document: object) -> None:
    found = parsed(json.dumps(document).encode())
    assert isinstance(found, Policy) or found.problems


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_the_file_holds_it_is_a_policy_or_a_list_of_problems(content: bytes) -> None:
    found = parsed(content)
    assert isinstance(found, Policy) or found.problems
