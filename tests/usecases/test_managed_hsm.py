"""Keys of a managed HSM: nothing announces their versions, so the sweep finds them."""

import pytest

from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import Vault
from shared.domain.rows import Cause
from shared.domain.steps import Open, Preflight, SweepVault
from shared.domain.verdicts import Outcome, Verdict
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import report_of

HOST = "hsm-bench.managedhsm.azure.net"


@pytest.fixture
def swept(bench: Bench) -> Bench:
    """A bench whose app manages an HSM; rows are in memory."""
    hsm = bench.azure.estate.managed_hsm("hsm-bench")
    hsm.grant(APP_PRINCIPAL, {"get", "list", "getRotationPolicy"})
    return in_memory(bench, {"KEYTURN_VAULTS": HOST})


def hsm_of(bench: Bench) -> Vault:
    return bench.azure.estate.vaults.vault(HOST)


def sweep(bench: Bench) -> str:
    """Let the timer look, and open what it finds; return the one rotation that is then active."""
    bench.forget_sent()
    bench.run(SweepVault(vault=HOST, sweep="s1"))
    (step,) = bench.sent(Open)
    assert step.cause == Cause(trigger="sweep", id="s1")
    bench.run(step)
    return bench.active(step.key)


def test_the_sweep_finds_a_new_version_and_moves_the_accounts_to_it(swept: Bench) -> None:
    key = hsm_of(swept).create_key("cmk").rpartition("/")[0]
    account = swept.account("sthsm", key)
    other = swept.account("stvault", swept.key())
    before = swept.in_use(other)
    target = hsm_of(swept).rotate("cmk")

    rotation = sweep(swept)
    swept.search(rotation)
    ended = swept.finish(rotation)

    assert (ended.target, ended.key_type) == (target, "RSA-HSM")
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 1})
    assert (swept.in_use(account), swept.in_use(other)) == (target, before)
    assert sweep(swept) == "", "what is handled is left alone"


def test_the_look_ahead_at_an_hsm_says_what_it_cannot_see(swept: Bench) -> None:
    key = hsm_of(swept).create_key("cmk").rpartition("/")[0]
    swept.account("sthsm", key)
    hsm_of(swept).rotate("cmk")
    rotation = sweep(swept)
    before = len(swept.azure.front_door.traffic())
    (step,) = swept.sent(Preflight)

    swept.run(step)

    found = report_of(swept, rotation)["preflight"]
    told = {finding["code"]: finding["severity"] for finding in found}
    assert told == {
        "not_looked_at": "warning",
        "managed_hsm": "note",
        "never_expires": "note",
        "never_rotates": "note",
    }
    traffic = swept.azure.front_door.traffic()[before:]
    assert {call.host for call in traffic} == {HOST}, "there is nothing to be asked of ARM"
