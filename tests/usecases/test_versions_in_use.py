"""Versions in use that are disabled, expired, deleted or unreadable are findings."""

from sandbox.identity import APP_PRINCIPAL
from shared.domain.policy import Mode
from shared.domain.records import Watched
from shared.domain.resources import digest
from shared.domain.rows import Cause, Known
from shared.domain.steps import RotateKey, SweepVault, Watch
from tests.usecases.bench import VAULT, Bench
from tests.usecases.rotations import carry_out, point
from tests.usecases.watched import (
    HOST,
    ROTATE,
    codes,
    key_of,
    made,
    use,
    watch,
    watched,
)


def test_an_expired_version_with_a_newer_one_is_only_a_finding_about_who_is_still_on_it(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(expired=ROTATE, near_expiry=ROTATE, unexpire_days=2)
    old = made(bench, days=-1)
    bench.new_version(key_of(old))
    use(bench, old, "st1", "st2")
    row = watch(bench, old)
    assert (row.problem, codes(row)) == ("", ["in_use_expired"])
    assert "2 consumers (/r/st1, /r/st2)" in row.findings[0].text
    assert bench.sent(RotateKey) == []


def test_a_key_that_was_deleted_is_a_finding_as_long_as_it_has_consumers(bench: Bench) -> None:
    version = made(bench)
    use(bench, version, "st1")
    watch(bench, version)
    bench.azure.estate.vaults.vault(VAULT).delete("cmk")
    bench.forget_sent()
    bench.pass_time(hours=7)
    bench.run(SweepVault(vault=HOST, sweep="s2"))
    (step,) = bench.sent(Watch)
    bench.run(step)
    assert codes(watched(bench, version)) == ["key_gone"]

    known = bench.row(Known, digest(key_of(version)), digest("/r/st1"))
    kept = bench.rows.load(Known, *known.address)
    assert kept
    bench.rows.replace(
        kept, Known(key=known.key, resource="/r/st1", kind="x", location="", holds=False)
    )
    bench.pass_time(hours=7)
    bench.run(step)
    fresh = Watched(key=key_of(version), at=bench.clock.now())
    assert bench.rows.load(Watched, *fresh.address) is None


def test_a_key_that_cannot_be_read_is_unknown_and_not_fine(bench: Bench) -> None:
    version = made(bench, days=20)
    watch(bench, version)
    bench.azure.estate.vaults.vault(VAULT).revoke(APP_PRINCIPAL)
    row = watch(bench, version)
    assert codes(row) == ["not_looked_at"]
    assert "expires on" in row.problem, "what was known of it stays"


def test_what_a_rotation_saw_last_is_in_use_even_after_it_was_put_back(bench: Bench) -> None:
    old = made(bench)
    account = bench.account("stone", key_of(old))
    new = bench.later_version(key_of(old))
    carry_out(bench, bench.open(key_of(old)))
    known = bench.row(Known, digest(key_of(old)), digest(account.id))
    assert [seen[-1] for seen in known.versions.values()] == [new]
    point(bench, account, old)
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    carry_out(bench, bench.open(key_of(old), Cause(trigger="operator", id="o1")))
    known = bench.row(Known, digest(key_of(old)), digest(account.id))
    assert bench.in_use(account) == old
    assert list(known.versions.values()) == [(new, old)]
