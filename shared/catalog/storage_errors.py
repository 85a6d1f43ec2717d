"""What the error codes of the blob service mean to somebody who rotates keys."""

from collections.abc import Mapping
from dataclasses import dataclass

_COMMON = "https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes"
_BLOB = "https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes"
_CMK = "https://learn.microsoft.com/azure/storage/common/customer-managed-keys-overview"
_RIGHTS = "https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory"
_NETWORK = "https://learn.microsoft.com/azure/storage/common/storage-network-security"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What an error code means.

    Attributes:
        advice: What a person does about it.
        of_config: The same, where the blob is a deployment config and the way out is another one.
        is_ours: Whether it is about us, or about where we looked, and says nothing of whether the
            account can use its key.
        source: The page that the code, and what it means, are taken from.
    """

    advice: str
    of_config: str = ""
    is_ours: bool
    source: str


_OTHER_COPY = (
    "put a copy that names the new version where deployments read it, and register that container"
)


EXPLANATIONS: Mapping[str, Explanation] = {
    "KeyVaultEncryptionKeyNotFound": Explanation(
        advice=(
            "the account cannot unwrap with its key, and its data cannot be read: enable the old"
            " version again, see that the key is not deleted and that the account's identity may"
            " get, wrap and unwrap, and that the vault's firewall lets trusted services in"
        ),
        is_ours=False,
        source=_CMK,
    ),
    "KeyVaultAccessTokenCannotBeAcquired": Explanation(
        advice=(
            "the account's identity gets no token, and its data cannot be read: see that the"
            " identity named in the account's encryption settings exists and is assigned to the"
            " account, and for a vault of another tenant that the application's federated"
            " credential does"
        ),
        is_ours=False,
        source=_COMMON,
    ),
    "KeyVaultVaultNotFound": Explanation(
        advice=(
            "the account does not find its vault, and its data cannot be read: recover the deleted"
            " vault, and see that its name resolves"
        ),
        is_ours=False,
        source=_COMMON,
    ),
    "AccountIsDisabled": Explanation(
        advice="the account is disabled: see the state of its subscription",
        is_ours=False,
        source=_COMMON,
    ),
    "AuthorizationPermissionMismatch": Explanation(
        advice=(
            "give Keyturn's identity a role with the data actions it lacks, such as Storage Blob"
            " Data Contributor on the container; to keep index tags, Storage Blob Data Owner"
        ),
        is_ours=True,
        source=_RIGHTS,
    ),
    "AuthorizationFailure": Explanation(
        advice="let Keyturn's network through the account's firewall, or by a private endpoint",
        is_ours=True,
        source=_NETWORK,
    ),
    "ContainerNotFound": Explanation(
        advice=(
            "make the container if this account is to be tried, for Keyturn makes none; else"
            " nothing is to be done"
        ),
        of_config="make the container again, or take it out of KEYTURN_CONFIG_SOURCES",
        is_ours=True,
        source=_BLOB,
    ),
    "BlobImmutableDueToPolicy": Explanation(
        advice="name a container without an immutability policy",
        of_config=f"the blob is immutable by a policy: {_OTHER_COPY}",
        is_ours=True,
        source=_BLOB,
    ),
    "BlobImmutableDueToLegalHold": Explanation(
        advice="name a container without a legal hold",
        of_config=f"the blob is immutable by a legal hold: {_OTHER_COPY}",
        is_ours=True,
        source=_BLOB,
    ),
    "LeaseIdMissing": Explanation(
        advice="end the lease on the blob, or ask who holds it, then rotate again",
        is_ours=True,
        source=_BLOB,
    ),
    "BlobArchived": Explanation(
        advice="bring the blob back to an online tier, then rotate again",
        is_ours=True,
        source=_BLOB,
    ),
    "BlobUsesCustomerSpecifiedEncryption": Explanation(
        advice=(
            "the blob is encrypted with a key that each request must bring along: upload it"
            " without one, then rotate again"
        ),
        is_ours=True,
        source=_BLOB,
    ),
    "InvalidBlobType": Explanation(
        advice="upload the file as a block blob, then rotate again",
        is_ours=True,
        source=_BLOB,
    ),
}
"""By code, as in ``x-ms-error-code``."""

CONFIG_ADVICE: Mapping[str, str] = {
    code: known.of_config or known.advice for code, known in EXPLANATIONS.items()
}
"""What a person does where a deployment config could not be read or written, by code."""
