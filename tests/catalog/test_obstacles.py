"""What stands in the way of a move, and no longer does once nothing must be moved."""

import pytest

from shared.catalog import kind_named
from shared.domain.json_paths import Json, put
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import Age, Allowed, Manual, Plan, Repoint, VerifyOnly, plan
from tests.catalog.references import parts, refer
from tests.catalog.samples import sample
from tests.domain.values import NEWER, OLD, TARGET, state


def planned(kind: Kind, body: Json) -> Plan:
    ages = {OLD: Age.OLDER, NEWER: Age.NEWER}
    return plan(kind, body, state(bits=min(kind.key_bits)), ages, Allowed())


def on(version: KeyVersion, kind: Kind) -> Json:
    body = sample(kind.id)
    for place in parts(kind.shape):
        refer(place, body, version.key, version.version)
    return body


@pytest.mark.parametrize(
    ("kind_id", "path", "value"),
    [
        ("backup_vault", "properties.isVaultProtectedByResourceGuard", True),
        ("ml_workspace", "properties.enableServiceSideCMKEncryption", True),
        (
            "disk_encryption_set",
            "properties.encryptionType",
            "ConfidentialVmEncryptedWithCustomerKey",
        ),
    ],
)
def test_what_forbids_a_move_is_no_matter_where_the_target_is_proven(
    kind_id: str, path: str, value: object
) -> None:
    kind = kind_named(kind_id)
    before, after = on(OLD, kind), on(TARGET, kind)
    for body in (before, after):
        put(body, path, value)
    assert isinstance(planned(kind, before), Manual)
    assert isinstance(planned(kind, after), VerifyOnly)


def test_confidential_vms_are_stopped_by_a_person_before_their_set_is_moved() -> None:
    kind = kind_named("disk_encryption_set")
    body = on(OLD, kind)
    assert isinstance(planned(kind, body), Repoint)
    put(body, "properties.encryptionType", "ConfidentialVmEncryptedWithCustomerKey")
    decided = planned(kind, body)
    assert isinstance(decided, Manual)
    assert "stop (deallocate) every confidential VM" in decided.advice
