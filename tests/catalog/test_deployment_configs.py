"""Deployment config files as a kind: where they are, what is sent, and what their codes mean."""

from datetime import timedelta

import pytest

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.domain.kinds import Plane
from shared.domain.plans import references_to, request_body
from shared.domain.proofs import Level
from tests.catalog.bodies import config
from tests.domain.values import KEY, OLD, TARGET

KIND = DEPLOYMENT_CONFIG


def test_a_config_file_is_a_blob_and_never_more_than_configured() -> None:
    assert KIND.plane is Plane.BLOB
    assert KIND.level is Level.CONFIGURED
    assert KIND.pinned.length <= timedelta(minutes=5)
    assert KIND.versionless is None


def test_a_config_file_takes_the_keys_that_its_deployment_takes() -> None:
    assert (KIND.key_types, KIND.key_bits) == (CONTAINER_GROUP.key_types, CONTAINER_GROUP.key_bits)


def test_the_whole_text_is_sent_and_it_is_the_proof() -> None:
    body = config(OLD, TARGET, OLD)
    sent = request_body(KIND, body, references_to(KIND, body, KEY), TARGET)
    assert set(sent) == {"text"}
    assert not KIND.proof.check(body, TARGET).holds
    assert KIND.proof.check({**body, **sent}, TARGET).holds


@pytest.mark.parametrize(
    "code",
    [
        "AuthorizationPermissionMismatch",
        "AuthorizationFailure",
        "BlobImmutableDueToPolicy",
        "BlobImmutableDueToLegalHold",
        "LeaseIdMissing",
        "ContainerNotFound",
    ],
)
def test_what_keeps_a_blob_from_being_written_is_explained(code: str) -> None:
    assert KIND.advice[code]
