"""``GET /api/keys/{vault}/{key}/plan``: what a rotation would do, and then does."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions import cursors
from functions.problems import RequestError
from sandbox.faults import Fault
from shared.domain.policy import Mode
from shared.domain.rows import Place as Where
from shared.domain.rows import Rotation, Scope, Search
from shared.domain.verdicts import Verdict
from shared.usecases import plan_key
from shared.usecases.plan_key import Place
from tests.domain.values import NOW
from tests.functions.api import CalledApi
from tests.usecases.bench import Bench
from tests.usecases.memory import MemoryRows
from tests.usecases.rotations import REFUSED, carry_out, point, verdicts

URL = "/api/keys/kv-bench/cmk/plan"
DOES: Mapping[str, set[Verdict]] = {
    "repoint": {Verdict.VERIFIED},
    "nudge": {Verdict.VERIFIED},
    "verify": {Verdict.ALREADY, Verdict.VERIFIED, Verdict.LATE, Verdict.STUCK},
    "manual": {Verdict.MANUAL},
    "outrun": {Verdict.SUPERSEDED},
    "unknown": {Verdict.UNKNOWN},
}
"""What may become of what is planned, where every service does as it should."""


def actions(called: CalledApi, query: str = "") -> dict[str, str]:
    """Return the planned action of each resource, by name; none may be there twice."""
    items = called.items(f"{URL}{query}")
    assert len({item["resource"] for item in items}) == len(items)
    return {item["name"]: item["action"] for item in items}


def mixed(bench: Bench) -> str:
    """Make a key that all sorts of accounts are on, and a newer version of it."""
    key = bench.key()
    for name in ("stone", "sttwo"):
        bench.account(name, key)
    bench.account("stfree", key, "absent")
    tagged = bench.account("sttagged", key)
    approve = bench.account("stapprove", key)
    bench.patch(tagged, {"tags": {"keyturn-mode": "observe"}})
    bench.patch(approve, {"tags": {"Keyturn-Mode": "approve"}})
    managed = bench.account("stmanaged", key)
    group = managed.id.rpartition("/providers/")[0]
    bench.azure.estate.arm.resource_groups.set_managed_by(group, "/subscriptions/x/owner")
    target = bench.new_version(key)
    bench.account("stthere", target)
    return key


def test_what_is_planned_is_what_a_rotation_then_does(keyed: CalledApi) -> None:
    bench = keyed.bench
    bench.policies.set_defaults(versionless="nudge")
    key = mixed(bench)
    planned = actions(keyed)
    assert planned == {
        "stone": "repoint",
        "sttwo": "repoint",
        "stfree": "nudge",
        "sttagged": "manual",
        "stapprove": "repoint",
        "stmanaged": "manual",
        "stthere": "verify",
    }
    rotation = bench.open(key)
    assert keyed.call(
        "POST", f"/api/rotations/{rotation}/pause", {"reason": "to be approved"}
    ).status == 202
    approve(bench, rotation)
    carry_out(bench, rotation)
    done = verdicts(bench, rotation)
    assert set(done) == set(planned)
    assert {name: (action, done[name]) for name, action in planned.items()
            if done[name] not in DOES[action]} == {}
