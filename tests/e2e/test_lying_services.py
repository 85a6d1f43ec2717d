"""Services that accept a write, show that they did, and do not act: nothing is ever proven."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus

import pytest

from sandbox.azure import LocalAzure
from sandbox.container_estate import ContainerGroup
from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from tests.e2e.every_kind import (
    POLICY,
    SETTINGS,
    container_group,
    content,
    deployment_config,
    name_version,
    prepare,
)
from tests.e2e.stage import Stage, consumer, verdicts

KEPT = Answer(
    HTTPStatus.CREATED,
    headers={"ETag": '"0x8DC"', "Last-Modified": "Tue, 24 Nov 2026 02:00:00 GMT"},
)
"""What the blob service says of a blob that it has kept."""


@dataclass(frozen=True, slots=True)
class Liars:
    """A key, the version that all is on, and what claims to take up another."""

    key: str
    first: str
    accounts: Mapping[str, Account]


def _liars(stage: Stage, name: str) -> Liars:
    key = stage.key()
    account = stage.account(f"st{name}", key)
    scope = stage.azure.estate.encryption_scope(account, "scope", key=key)
    first = stage.in_use(account)
    assert first is not None
    return Liars(key, first, {f"st{name}": account, f"st{name}/scope": scope})


def test_no_kind_that_accepts_and_echoes_but_does_not_act_is_ever_verified(
    fast_stage: Stage,
) -> None:
    stage = fast_stage
    prepare(stage)
    # The answer to the write shows the target everywhere; a GET shows what was before.
    echoing = _liars(stage, "echo")
    cosmos = stage.azure.estate.cosmos_account(
        "cosmos-echo", subscription=stage.subscription, key=echoing.key
    )
    name_version(stage, cosmos, echoing.first)
    cosmos.pace.next_poll_at = stage.azure.clock.now() + timedelta(days=30)
    echoing = replace(echoing, accounts={**echoing.accounts, "cosmos-echo": cosmos})
    for each in echoing.accounts.values():
        each.pace.lying()
    file = deployment_config(stage, "echo/deploy.yaml", echoing.first)
    path = "/configs/echo/deploy.yaml"
    stage.azure.faults.add(Fault(method="PUT", path=path, times=None, answer=KEPT))
    # A GET shows the reference as written; the version in use stays, and what is new never runs.
    standing = _liars(stage, "still")
    for each in standing.accounts.values():
        each.pace.stuck()
    group = container_group(stage, "aci-still", standing.key)
    group.pace.creation = None

    stage.start(SETTINGS, policy={**POLICY, "versionless": "verify"})
    targets = [stage.rotate(each.key) for each in (echoing, standing)]
    reports = [stage.ended(target, within=60) for target in targets]

    assert [report["state"] for report in reports] == ["failed"] * 2
    echoed = verdicts(reports[0])
    # Its window lasts a quarter of a second here: on a slow machine it closes before a look.
    assert echoed.pop("echo/deploy.yaml") in ("reverted", "stuck")
    assert echoed == dict.fromkeys(("stecho", "stecho/scope", "cosmos-echo"), "reverted")
    assert verdicts(reports[1]) == {
        "ststill": "stuck",
        "ststill/scope": "stuck",
        "aci-still": "stuck",
    }
    for liars in (echoing, standing):
        used = {stage.in_use(each) for each in liars.accounts.values()}
        assert used == {liars.first}
    assert content(stage, "echo/deploy.yaml") == file


@pytest.fixture
def racing_stage(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    """A stage whose days last half a minute, too fast for writes: a lease lasts a tenth second."""
    with local_azure(2880) as azure:
        yield Stage(azure)


def test_a_cosmos_account_that_is_content_and_stays_on_the_old_version_is_stuck_after_a_day(
    racing_stage: Stage,
) -> None:
    stage, key = racing_stage, racing_stage.key()
    account = stage.azure.estate.cosmos_account(
        "cosmos-still", subscription=stage.subscription, key=key
    )
    account.pace.stuck()
    first = stage.in_use(account)
    stage.start()

    target = stage.rotate(key)
    report = stage.ended(target, within=90)

    assert (report["state"], report["counts"]) == ("failed", {"stuck": 1})
    assert consumer(report, "cosmos-still")["inUse"] == first == stage.in_use(account)
    assert stage.calls("PATCH") == []


def test_a_group_whose_deletion_is_accepted_and_does_not_happen_is_given_up(
    fast_stage: Stage,
) -> None:
    stage, most = fast_stage, 4
    prepare(stage)
    group = container_group(stage, "aci-echo", stage.key())
    gone = Answer(HTTPStatus.OK, {})
    stage.azure.faults.add(Fault(method="DELETE", path=group.id, times=None, answer=gone))
    first = _in_use(stage, group)
    stage.start(SETTINGS, policy=POLICY)

    target = stage.rotate(first.rpartition("/")[0])
    rotation = stage.opened(target)
    stage.until(
        lambda: (
            "stuck" in verdicts(stage.report(rotation)).values()
            or len(stage.calls("DELETE", group.id)) > most
        ),
        90,
        "its verdict, or one deletion too many",
        every=0.2,
    )

    assert len(stage.calls("DELETE", group.id)) <= most
    assert {*verdicts(stage.report(rotation)).values()} <= {"stuck", "failed", "manual"}
    assert _in_use(stage, group) == first


def _in_use(stage: Stage, group: ContainerGroup) -> str:
    kid = stage.azure.estate.truth.version_in_use(group.id)
    assert kid is not None
    return kid
