"""Deployment config files as a kind: where they are, what is sent, and what their codes mean."""

from datetime import timedelta

import pytest

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.storage_errors import EXPLANATIONS
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
        "BlobArchived",
        "BlobUsesCustomerSpecifiedEncryption",
        "InvalidBlobType",
        "AccountIsDisabled",
        "KeyVaultAccessTokenCannotBeAcquired",
        "KeyVaultEncryptionKeyNotFound",
        "KeyVaultVaultNotFound",
    ],
)
def test_what_keeps_a_blob_from_being_read_or_written_is_explained(code: str) -> None:
    assert KIND.advice[code]


@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        ("ContainerNotFound", "KEYTURN_CONFIG_SOURCES"),
        ("BlobImmutableDueToPolicy", "register that container"),
        ("BlobImmutableDueToLegalHold", "register that container"),
    ],
)
def test_the_way_out_is_a_configs_and_not_the_one_of_a_blob_that_is_only_a_trial(
    code: str, way_out: str
) -> None:
    assert way_out in KIND.advice[code]
    assert way_out not in EXPLANATIONS[code].advice
