"""Whether a rotation may still write, and under which rules."""

from msgspec.structs import replace

from shared.domain.errors import PolicyError
from shared.domain.keys import Key
from shared.domain.policy import Mode
from shared.domain.rows import KeyHead, Rotation
from shared.domain.verdicts import Outcome, Verdict
from shared.ports import Kept, Policies, Rows


def head_if_active(rows: Rows, rotation: Rotation) -> Kept[KeyHead] | None:
    """Return the key's head if it still names this rotation, and nobody has cancelled it."""
    if rotation.outcome is not None:
        return None
    head = rows.load(KeyHead, *KeyHead(key=rotation.key).address)
    if head is None or head.row.active != rotation.id or head.row.cancelled:
        return None
    return head


def under_policy(policies: Policies, rotation: Rotation) -> Rotation:
    """Return the rotation under the policy of now; no write begins under one that is wrong."""
    key = Key.parse(rotation.key)
    try:
        policy = policies.current()
    except PolicyError as error:
        return replace(rotation, policy_problem=str(error)[:1000])
    rules = policy.rules_for(key)
    if not policy.manages(key):
        rules = replace(rules, mode=Mode.OBSERVE)
    return replace(rotation, policy=policy.digest, rules=rules, policy_problem="")


def why_not_active(rows: Rows, rotation: Rotation) -> tuple[Verdict, str]:
    """Return what becomes of work whose rotation is not active any more."""
    if rotation.outcome not in (None, Outcome.SUPERSEDED, Outcome.CANCELLED):
        return Verdict.UNKNOWN, "its rotation had ended when it was found; rotate again"
    head = rows.load(KeyHead, *KeyHead(key=rotation.key).address)
    cancelled = head.row.cancelled if head and head.row.active == rotation.id else ""
    if cancelled or rotation.outcome is Outcome.CANCELLED:
        return Verdict.CANCELLED, f"the rotation was cancelled: {cancelled}".rstrip(": ")
    if head and head.row.handled == rotation.target:  # this one had been cancelled
        return Verdict.SUPERSEDED, "a further run to the same version took over"
    return Verdict.SUPERSEDED, "a newer version of the key took over"
