"""Deployment config files kept as blobs: what the next deployment encrypts with.

Deployed before, a container group or web service keeps the version that it was deployed with: the
file is moved so that the next deployment uses the new one.
"""

from datetime import timedelta

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.storage_errors import CONFIG_ADVICE
from shared.domain.deployment_configs import DeploymentConfig
from shared.domain.kinds import Completion, Kind, Looks, Plane, Window, Write
from shared.domain.pacing import Budget
from shared.domain.proofs import EchoesTarget, Level

_CONSISTENCY = "https://learn.microsoft.com/azure/storage/blobs/concurrency-manage"
_ERRORS = "https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes"
_SHAPE = DeploymentConfig()

DEPLOYMENT_CONFIG = Kind(
    id="deployment_config",
    title="deployment config file",
    resource_type="deployment_config",
    api_version="",
    plane=Plane.BLOB,
    shape=_SHAPE,
    # The file as a whole, which the shape changes byte for byte; guarded by its ETag.
    write=Write(verb="PUT", send=("text",), never=(), guard="", completion=Completion.SYNC),
    proof=EchoesTarget(_SHAPE),
    level=Level.CONFIGURED,
    in_use="",
    # "after the service performs an insert or update …, subsequent read … operations return the
    # latest update".
    pinned=Window(
        length=timedelta(minutes=5), looks=Looks(first=timedelta(seconds=5)), source=_CONSISTENCY
    ),
    versionless=None,
    key_types=CONTAINER_GROUP.key_types,
    key_bits=CONTAINER_GROUP.key_bits,
    operations=CONTAINER_GROUP.operations,
    # An account takes thousands of requests a second.
    budget=Budget(reads=(), writes=()),
    actions=(
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
    ),
    advice=CONFIG_ADVICE,
    if_stuck=(
        "see who else writes the file (a pipeline, a synchronisation) and have them name the new"
        " version; then rotate again"
    ),
    limits=(
        "it changes no group that runs: what is deployed from the file next has the new version",
    ),
    sources=(
        _CONSISTENCY,
        _ERRORS,
        "azureml-core: AciWebservice.deploy_configuration (cmk_vault_base_url, cmk_key_name, …)",
        "azure-docs: container-instances-reference-yaml.md",
    ),
)
