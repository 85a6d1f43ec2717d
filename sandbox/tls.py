"""A certificate authority for the sandbox, and the certificate for Azure's host names."""

import ssl
from pathlib import Path

import trustme

_REGIONS = (
    "eastus",
    "eastus2",
    "francecentral",
    "germanywestcentral",
    "northeurope",
    "swedencentral",
    "uksouth",
    "westeurope",
    "westus2",
)
HOST_NAMES = (
    "management.azure.com",
    "login.microsoftonline.com",
    "login.windows.net",
    "*.vault.azure.net",
    "*.managedhsm.azure.net",
    "*.blob.core.windows.net",
    "*.queue.core.windows.net",
    "*.table.core.windows.net",
    "*.eventgrid.azure.net",
    # A wildcard stands for one label, and a topic is named NAME.REGION-1.eventgrid.azure.net.
    *(f"*.{region}-1.eventgrid.azure.net" for region in _REGIONS),
)
"""What the sandbox's certificate is valid for. Any other host fails the client's check."""


def write_authority(ca_file: Path) -> ssl.SSLContext:
    """Make a new authority and return a server's context with a certificate for ``HOST_NAMES``.

    Args:
        ca_file: Where the authority's certificate is written (PEM), for ``REQUESTS_CA_BUNDLE`` and
            ``SSL_CERT_FILE``. The private keys stay in memory, or pass through files that are
            removed at once.
    """
    authority = trustme.CA(organization_name="Sandbox of a local Azure")
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOST_NAMES, common_name="Local Azure").configure_cert(context)
    return context
