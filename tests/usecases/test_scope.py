"""What was searched, and what could not be: to have seen nothing is not to know that nothing is."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.arm.resource_ids import ResourceId
from sandbox.azure import LocalAzure
from sandbox.identity import APP_PRINCIPAL
from shared.catalog.role import SUBSCRIPTIONS_READ
from shared.domain.rows import Scope
from shared.domain.steps import Discover
from shared.domain.verdicts import Outcome, Verdict
from tests.rights import TO_READ_AND_WRITE
from tests.usecases.bench import VAULT, Bench
from tests.usecases.rotations import carry_out, finish, follow, verdicts


@pytest.fixture
def azure(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalAzure]:
    """A local Azure in real time, for a bench that is made by the test."""
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield azure


def _declaring(azure: LocalAzure, subscription: str) -> Bench:
    """Return a bench of which its own subscription and a further one are declared."""
    declared = (azure.estate.subscription("Bench"), subscription)
    return Bench(azure, policy={"subscriptions": declared})


def test_a_subscription_that_is_readable_in_part_fails_the_rotation(bench: Bench) -> None:
    """Resource Graph leaves out what we may not read, and does not say so."""
    half = bench.azure.estate.subscription("Half")
    ours = f"/subscriptions/{half}/resourceGroups/rg-ours"
    bench.azure.estate.arm.rbac.allow(APP_PRINCIPAL, TO_READ_AND_WRITE, ours)
    key = bench.key()
    bench.azure.estate.storage_account("stseen", subscription=half, key=key, group="rg-ours")
    bench.azure.estate.storage_account("sthidden", subscription=half, key=key, group="rg-theirs")
    bench.new_version(key)

    ended = carry_out(bench, bench.open(key))

    assert ended.outcome is Outcome.FAILED
    assert ended.scope is not None
    assert (ended.scope.readable, ended.scope.unreadable, ended.scope.named) == (1, 1, (half,))
    assert verdicts(bench, ended.id) == {"stseen": "verified"}


def test_a_declared_subscription_in_which_nothing_may_be_read_fails_the_rotation(
    azure: LocalAzure,
) -> None:
    seen = azure.estate.subscription("Seen only")
    listing = ("Microsoft.Resources/subscriptions/read",)
    azure.estate.arm.rbac.allow(APP_PRINCIPAL, listing, f"/subscriptions/{seen}")
    bench = _declaring(azure, seen)
    key = bench.key()
    azure.estate.storage_account("sthidden", subscription=seen, key=key)
    bench.new_version(key)

    ended = carry_out(bench, bench.open(key))

    assert ended.outcome is Outcome.FAILED
    assert ended.scope is not None
    assert ended.scope.named == (seen,)


def test_a_subscription_that_becomes_readable_after_its_turn_is_searched_by_the_closing_scan(
    azure: LocalAzure,
) -> None:
    own = azure.estate.subscription("Bench")
    names = (f"Late {number}" for number in range(99))
    late = next(s for name in names if (s := azure.estate.subscription(name)) < own)
    bench = _declaring(azure, late)
    key = bench.key()
    account = azure.estate.storage_account("stlate", subscription=late, key=key)
    target = bench.new_version(key)
    rotation = bench.open(key)
    bench.forget_sent()
    bench.run(Discover(rotation=rotation))
    (following,) = bench.sent(Discover)

    azure.estate.arm.rbac.allow(APP_PRINCIPAL, TO_READ_AND_WRITE, f"/subscriptions/{late}")
    follow(bench, following)
    assert bench.rotation(rotation).scope == Scope(
        readable=1, unreadable=1, named=(late,), lacking=(SUBSCRIPTIONS_READ,)
    )
    ended = finish(bench, rotation)

    assert ended.outcome is Outcome.COMPLETED
    assert ended.scope == Scope(readable=2)
    assert bench.in_use(account) == target


def test_a_subscription_that_is_unreadable_at_the_closing_scan_fails_the_rotation(
    azure: LocalAzure,
) -> None:
    other = azure.estate.subscription("Other")
    bench = _declaring(azure, other)
    bench.readable_subscription("Other")
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert bench.rotation(rotation).scope == Scope(readable=2)

    azure.estate.arm.rbac.revoke(APP_PRINCIPAL, f"/subscriptions/{other}")
    ended = bench.finish(rotation)

    assert ended.outcome is Outcome.FAILED
    assert ended.scope == Scope(
        readable=1, unreadable=1, named=(other,), lacking=(SUBSCRIPTIONS_READ,)
    )


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param(f"http://{VAULT}.vault.azure.net/", id="without TLS"),
        pytest.param(f"{VAULT}.vault.azure.net", id="without a scheme"),
        pytest.param(f"https://{VAULT}.vault.azure.net/keys", id="with a path"),
    ],
)
def test_a_reference_in_a_form_unknown_to_us_ends_unknown(bench: Bench, uri: str) -> None:
    key = bench.key()
    account = bench.account("stodd", key)
    resource = bench.azure.estate.arm.resources.find(ResourceId.parse(account.id))
    assert resource is not None
    resource.body["properties"]["encryption"]["keyvaultproperties"]["keyvaulturi"] = uri
    bench.azure.estate.arm.resources.notify(resource)
    bench.new_version(key)

    ended = carry_out(bench, bench.open(key))

    assert ended.outcome is Outcome.FAILED
    assert ended.counts == {Verdict.UNKNOWN: 1}
    assert bench.writes(account) == 0


@pytest.mark.parametrize("group", ["rg..prod", "rg-größe", "rg-日本", "rg-(a).b_c", "rg-e\u0301te"])
def test_groups_with_odd_names_are_groups(bench: Bench, group: str) -> None:
    key = bench.key()
    odd, plain = (
        bench.azure.estate.storage_account(
            name, subscription=bench.subscription, key=key, group=where
        )
        for name, where in (("stodd", group), ("stplain", "rg-z"))
    )
    target = bench.new_version(key)

    ended = carry_out(bench, bench.open(key))

    assert ended.outcome is Outcome.COMPLETED
    assert [bench.in_use(account) for account in (odd, plain)] == [target, target]
