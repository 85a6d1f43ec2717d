"""The look ahead, once per rotation: what it finds, what it costs, and that it holds nothing up."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from sandbox.azure import LocalAzure
from sandbox.faults import Answer, Fault, server_error_html
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import Network, NewKey, Vault
from shared.domain.json_paths import Json
from shared.domain.rows import Foresight
from shared.domain.steps import Preflight
from shared.domain.verdicts import Outcome, Verdict
from shared.usecases.run_step import MOST_ATTEMPTS
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import report_of


def opened(bench: Bench) -> str:
    """Open the rotation of a key that one account uses; return its id."""
    key = bench.key()
    bench.account("stahead", key)
    bench.new_version(key)
    return bench.open(key)


def looked(bench: Bench, rotation: str) -> dict[str, Json]:
    """Run the step that was queued; return the findings by code."""
    (step,) = bench.sent(Preflight)
    bench.run(step)
    return {finding["code"]: finding for finding in report_of(bench, rotation)["preflight"]}


def is_looked(bench: Bench, rotation: str) -> bool:
    return bench.rows.load(Foresight, rotation, "preflight") is not None


def test_a_rotation_is_looked_ahead_at_once_and_its_report_says_what_was_found(
    bench: Bench,
) -> None:
    rotation = opened(bench)
    assert report_of(bench, rotation)["preflight"] is None, "nobody has looked yet"
    before = len(bench.azure.front_door.traffic())

    findings = looked(bench, rotation)

    traffic = bench.azure.front_door.traffic()[before:]
    asked = [c for c in traffic if c.status != 401]
    assert findings["never_expires"]["severity"] == "note"
    assert findings["not_looked_at"]["text"].startswith("not looked at: the key's rotation policy")
    assert sum("ResourceGraph" in c.path for c in asked) == 1
    assert sum(c.host == f"{VAULT}.vault.azure.net" for c in asked) == 2
    assert len(asked) <= 4

    bench.run(Preflight(rotation=rotation))

    assert bench.azure.front_door.traffic()[before:] == traffic, "a second step looks at nothing"


def test_a_second_look_at_the_same_time_changes_nothing(bench: Bench) -> None:
    rotation = opened(bench)
    (step,) = bench.sent(Preflight)
    met: list[Foresight] = []

    def meanwhile(method: str, arguments: tuple[Any, ...]) -> bool:
        if method == "insert" and isinstance(arguments[0], Foresight) and not met:
            met.append(arguments[0])
            bench.run(step)
        return False

    with bench.dying(before=meanwhile):
        bench.run(step)

    kept = bench.row(Foresight, rotation, "preflight")
    assert met
    assert kept.at >= met[0].at
    assert bench.due(Preflight) is None, "nothing was put back"


def test_a_key_that_cannot_wrap_is_told_before_its_consumers_fail(bench: Bench) -> None:
    key = bench.key()
    bench.account("stsigns", key)
    made = NewKey(key_ops=("sign", "verify"))
    target = bench.azure.estate.vaults.vault(VAULT).create_key("cmk", made)
    rotation = bench.open(key)

    findings = looked(bench, rotation)

    assert findings["operations_lack"]["severity"] == "blocker"
    assert bench.rotation(rotation).target == target
    assert report_of(bench, rotation)["summary"].endswith("; 1 blocker foreseen")


def test_a_blocker_stops_no_rotation(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stgoeson", key)
    target = bench.later_version(key)
    unusable = bench.later_version(key)
    bench.enable(unusable, enabled=False)
    rotation = bench.open(key)

    findings = looked(bench, rotation)

    text = findings["current_version_unusable"]["text"]
    report = report_of(bench, rotation)
    assert findings["current_version_unusable"]["severity"] == "blocker"
    assert report["currentVersionProblem"] in text
    assert "disabled" in text
    bench.search(rotation)
    assert bench.finish(rotation).counts == {Verdict.VERIFIED: 1}
    assert bench.in_use(account) == target


def test_a_rotation_whose_look_ahead_never_comes_ends_all_the_same(bench: Bench) -> None:
    rotation = opened(bench)
    bench.search(rotation)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert report_of(bench, rotation)["preflight"] is None
    before = len(bench.azure.front_door.traffic())

    bench.run(Preflight(rotation=rotation))

    assert not is_looked(bench, rotation), "what has ended needs no look ahead"
    assert len(bench.azure.front_door.traffic()) == before


@pytest.mark.parametrize("came", [False, True], ids=["lost", "done"])
def test_the_closing_scan_sends_for_a_look_that_was_lost_and_for_no_other(
    bench: Bench,
    *,
    came: bool,
) -> None:
    rotation = opened(bench)
    if came:
        looked(bench, rotation)
    bench.search(rotation)
    bench.settle(rotation)
    bench.pass_time(minutes=2)
    bench.forget_sent()

    bench.supervise(rotation)

    again = [] if came else [Preflight(rotation=rotation)]
    assert bench.sent(Preflight) == again
    for step in again:
        bench.run(step)
    assert is_looked(bench, rotation)


def test_what_may_pass_by_itself_is_waited_for(bench: Bench) -> None:
    rotation = opened(bench)
    busy = Answer(503, b"", {"Retry-After": "90"})
    bench.azure.faults.add(Fault(path="*/rotationpolicy", answer=busy))
    (step,) = bench.sent(Preflight)

    bench.run(step)

    again = bench.sent(Preflight)[-1]
    due = bench.due(Preflight)
    assert again.attempt == 1
    assert due is not None
    assert due >= bench.clock.now() + timedelta(seconds=80)
    assert not is_looked(bench, rotation)
    bench.run(again)
    assert is_looked(bench, rotation)


def test_what_never_passes_is_given_up_with_a_finding_that_says_so(bench: Bench) -> None:
    rotation = opened(bench)
    bench.azure.faults.add(Fault(path="*/rotationpolicy", times=None, answer=server_error_html()))
    last = Preflight(rotation=rotation, attempt=MOST_ATTEMPTS)
    with pytest.raises(Exception, match="503"):
        bench.run(last)

    bench.burial.run(last)
    bench.burial.run(last)

    (finding,) = report_of(bench, rotation)["preflight"]
    assert (finding["severity"], finding["code"]) == ("warning", "not_looked_at")
    assert "failed five times" in finding["text"]


def test_a_look_ahead_that_dies_is_taken_up_again(bench: Bench) -> None:
    rotation = opened(bench)
    (step,) = bench.sent(Preflight)
    with bench.dying(before=lambda method, _: method == "insert"):
        bench.run_and_die(step)
    assert not is_looked(bench, rotation)

    bench.run(step)

    assert is_looked(bench, rotation)


def test_nothing_is_looked_at_for_a_rotation_that_there_is_not(bench: Bench) -> None:
    bench.run(Preflight(rotation="nowhere"))
    assert bench.azure.front_door.traffic() == []


# -- the vault's own settings --------------------------------------------------------------------


@pytest.fixture
def placed(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench whose vault lies in its subscription; the app may read how it is set up."""
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        subscription = azure.estate.subscription("Bench")
        azure.estate.vault(VAULT, subscription=subscription)
        bench = in_memory(Bench(azure))
        scope = f"/subscriptions/{subscription}"
        azure.estate.arm.rbac.allow(APP_PRINCIPAL, ("Microsoft.KeyVault/vaults/read",), scope)
        vault_of(bench).grant(APP_PRINCIPAL, {"getRotationPolicy"})
        yield bench


def vault_of(bench: Bench) -> Vault:
    return bench.azure.estate.vaults.vault(VAULT)


def severities(findings: dict[str, Json]) -> dict[str, str]:
    return {code: finding["severity"] for code, finding in findings.items()}


def test_of_a_vault_that_is_as_it_should_be_there_are_only_notes(placed: Bench) -> None:
    rotation = opened(placed)
    before = len(placed.azure.front_door.traffic())

    findings = looked(placed, rotation)

    asked = [c for c in placed.azure.front_door.traffic()[before:] if c.status != 401]
    assert severities(findings) == dict.fromkeys(("rbac", "never_expires", "never_rotates"), "note")
    assert [(c.method, c.host.partition(".")[0]) for c in asked] == [
        ("GET", VAULT),
        ("GET", VAULT),
        ("POST", "management"),
        ("GET", "management"),
    ]
    assert "foreseen" not in report_of(placed, rotation)["summary"]


def _unprotected(vault: Vault) -> None:
    vault.purge_protection = False


def _without_soft_delete(vault: Vault) -> None:
    vault.soft_delete = False


def _shut(vault: Vault) -> None:
    vault.network = Network(default="Deny", addresses=("20.61.0.0/16",))


def _shut_to_services(vault: Vault) -> None:
    vault.network = Network(default="Deny", trusted_services=False, addresses=("20.61.0.0/16",))


def _private(vault: Vault) -> None:
    vault.network = Network(public=False, addresses=("20.61.0.0/16",))


def _under_policies(vault: Vault) -> None:
    vault.rbac = False


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(_unprotected, ("purge_protection_off", "blocker"), id="purge protection"),
        pytest.param(_without_soft_delete, ("soft_delete_off", "blocker"), id="soft-delete"),
        pytest.param(_shut, ("firewall_shut", "note"), id="a firewall"),
        pytest.param(
            _shut_to_services, ("trusted_services_shut_out", "blocker"), id="shut to services"
        ),
        pytest.param(_private, ("public_access_off", "note"), id="no public access"),
        pytest.param(_under_policies, ("access_policies", "note"), id="access policies"),
    ],
)
def test_what_the_vault_is_now_is_what_is_found(
    placed: Bench, change: Callable[[Vault], None], expected: tuple[str, str]
) -> None:
    rotation = opened(placed)
    change(vault_of(placed))

    findings = looked(placed, rotation)

    code, severity = expected
    assert severities(findings)[code] == severity
    assert ("blocker" in severities(findings).values()) == (severity == "blocker")


def test_a_vault_that_the_inventory_shows_and_that_is_gone_is_a_blocker(placed: Bench) -> None:
    rotation = opened(placed)
    gone = Answer(404, {"error": {"code": "ResourceNotFound", "message": "it was not found"}})
    placed.azure.faults.add(Fault(method="GET", path=vault_of(placed).resource_id, answer=gone))

    assert severities(looked(placed, rotation))["vault_gone"] == "blocker"


def test_a_vault_that_we_may_not_see_over_arm_is_said_to_be_not_looked_at(bench: Bench) -> None:
    rotation = opened(bench)
    vault_of(bench).grant(APP_PRINCIPAL, {"getRotationPolicy"})

    findings = looked(bench, rotation)

    assert findings["not_looked_at"]["severity"] == "warning"
    assert "the vault's firewall" in findings["not_looked_at"]["text"]
    assert f"{VAULT}.vault.azure.net" in findings["not_looked_at"]["text"]
