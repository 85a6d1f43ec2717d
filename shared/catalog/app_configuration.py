"""App Configuration stores."""

from datetime import timedelta

from shared.catalog.resource_manager import (
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    refused,
)
from shared.domain.kinds import Completion, Kind, Looks, Window, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import UrlReference

_KEY = "properties.encryption.keyVaultProperties"
_SHAPE = UrlReference(place="store", when=None, url=f"{_KEY}.keyIdentifier")

_KEYS = "https://learn.microsoft.com/azure/azure-app-configuration/concept-customer-managed-keys"
_UPDATE = "https://learn.microsoft.com/rest/api/appconfiguration/configuration-stores/update"

APP_CONFIGURATION = Kind(
    id="appconfig_store",
    title="App Configuration store",
    resource_type="Microsoft.AppConfiguration/configurationStores",
    api_version="2024-06-01",
    shape=_SHAPE,
    write=Write(
        # Recorded: PATCH, a synchronous 200. The identity's client id is repeated.
        verb="PATCH",
        send=(_KEY,),
        never=(),
        guard="",
        completion=Completion.SYNC,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    # "refreshed hourly": the unwrapped key.
    pinned=Window(
        length=timedelta(hours=1), looks=Looks(first=timedelta(seconds=30)), source=_KEYS
    ),
    # A key without a version is taken, and kept with its trailing slash (recorded); that a store
    # then follows the vault is not in Microsoft's words.
    versionless=None,
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.AppConfiguration/configurationStores/read",
        "Microsoft.AppConfiguration/configurationStores/write",
        GROUP_READ,
    ),
    advice={
        **refused("the store's identity"),
        **advice("configurationStores/read and configurationStores/write on the store"),
    },
    limits=("Standard or Premium tier", PROTECTED_VAULT),
    sources=(
        _KEYS,
        _UPDATE,
        "azure-cli, recorded traffic: store with a customer-managed key (200, etag)",
        "bicep-types-az: microsoft.appconfiguration 2024-06-01",
    ),
)
