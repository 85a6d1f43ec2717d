"""The deployment configs of the demo's estate, and the containers to try blobs in."""

from dataclasses import dataclass

from sandbox.blobs import BlobEndpoints
from sandbox.demo_estate import DemoEstate
from sandbox.demo_kinds import Family
from sandbox.demo_members import MANUAL, PAYMENTS, REWRITTEN, UNREADABLE, Fate, Member

SOURCE = "deployments"
"""The container that holds the deployment configs."""
CANARY = "keyturn-canary"
"""The container that accounts have in which a blob may be tried."""

_GROUP = """\
# Payments API, deployed nightly:  az container create --file payments-api.yaml
apiVersion: '2025-09-01'
name: aci-payments-api
location: westeurope
properties:
  osType: Linux
  encryptionProperties:        # what the service keeps of a deployment
    vaultBaseUrl: https://{vault}.vault.azure.net/
    keyName: {key}{pin}
  containers:
  - name: api                  # sizes: see the capacity plan
    properties:
      image: contoso.azurecr.io/payments/api:4.2
      resources: {{requests: {{cpu: 1.0, memoryInGB: 1.5}}}}
"""
_PINNED = _GROUP.replace("{pin}", "\n    keyVersion: '{version}'   # set by the platform team")
_UNPINNED = _GROUP.replace("{pin}", "")
_SCORING = """\
{{
    "cpu_cores": 1, "memory_gb": 2,
    "auth_enabled": true,
    "cmk_vault_base_url": "https://{vault}.vault.azure.net/",
    "cmk_key_name":    "{key}",
    "cmk_key_version": "{version}",
    "tags": {{"team": "fraud"}}
}}
"""
_BROKEN = """\
{{"cmk_vault_base_url": "https://{vault}.vault.azure.net/", "cmk_key_name": "{key}",
 "cmk_key_version": "{version}
"""


@dataclass(frozen=True, slots=True)
class DemoFile:
    """A deployment config file."""

    path: str
    content: bytes
    """As it was put there."""
    member: Member | None
    """``None``: it names another key."""

    def after(self, old: str, new: str) -> bytes:
        """Return what it must be once the key was rotated from one version to another."""
        moves = self.member is not None and self.member.fate.moves
        return self.content.replace(old.encode(), new.encode()) if moves else self.content


def put_files(
    blobs: BlobEndpoints, demo: DemoEstate, payments: str, archive: str
) -> tuple[DemoFile, ...]:
    """Put the deployment configs where they lie, and let the app read and write them.

    It may try blobs out too, in the accounts that have a container for it.

    Args:
        blobs: Of the estate.
        demo: The estate.
        payments: URL of the version that the payments key has now.
        archive: Likewise of the key that is not rotated.
    """
    for account in demo.with_canary:
        with blobs.client(account) as client:
            client.create_container(CANARY)
        blobs.allow(account, {"read", "write", "delete"}, container=CANARY)
    blobs.allow(demo.files_account, {"read", "write"}, container=SOURCE)
    return tuple(
        _put(blobs, demo, path, text.format(**_names(demo, kid)), member)
        for path, text, kid, member in (
            ("payments/payments-api.yaml", _PINNED, payments, (REWRITTEN, "", PAYMENTS)),
            ("payments/scoring.json", _SCORING, payments, (REWRITTEN, "", PAYMENTS)),
            ("payments/sftp.yaml", _UNPINNED, payments, (MANUAL, "names no version", PAYMENTS)),
            ("payments/unsaved.json", _BROKEN, payments, (UNREADABLE, "is malformed", "")),
            ("archive/export.yaml", _PINNED, archive, None),
        )
    )


def _names(demo: DemoEstate, kid: str) -> dict[str, str]:
    _, name, version = kid.rsplit("/", 2)
    return {"vault": demo.vault, "key": name, "version": version}


def _put(
    blobs: BlobEndpoints, demo: DemoEstate, path: str, text: str, fate: tuple[Fate, str, str] | None
) -> DemoFile:
    url = blobs.put(demo.files_account, SOURCE, path, text.encode())
    return DemoFile(path, text.encode(), Member(url, Family.FILES, *fate) if fate else None)
