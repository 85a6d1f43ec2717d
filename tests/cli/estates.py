"""What lies in the sandbox when the command is tried out."""

from dataclasses import dataclass

from sandbox.azure import LocalAzure
from tests.cli.desk import KEYS, ME, READER

VAULT = "kv-contoso-prod"


@dataclass(frozen=True, slots=True)
class Small:
    """One vault with a key of two versions, and consumers of every kind and form.

    Attributes:
        old, new: URLs of the key's versions.
    """

    payments: str
    research: str
    key: str
    old: str
    new: str


def small(azure: LocalAzure) -> Small:
    """Make it; whoever sits at the desk may read all of it."""
    estate = azure.estate
    payments, research = estate.subscription("Payments"), estate.subscription("Research")
    for each in (payments, research):
        estate.arm.rbac.allow(ME, READER, f"/subscriptions/{each}")
    vault = estate.vault(VAULT, subscription=payments)
    vault.grant(ME, KEYS)
    old = vault.create_key("cmk-payments")
    key = old.rpartition("/")[0]
    estate.storage_account("stledger", subscription=payments, key=old, version="pinned")
    estate.storage_account("stinvoices", subscription=payments, key=key, version="absent")
    estate.cosmos_account("cosmos-orders", subscription=payments, key=key)
    new = vault.rotate("cmk-payments")
    moved = estate.storage_account("stmoved", subscription=payments, key=new, version="pinned")
    estate.encryption_scope(moved, "tenant-a", key=old, version="pinned")
    estate.container_group("cg-batch", subscription=research, key=old)
    estate.storage_account("stplatform", subscription=research, key=None)
    return Small(payments, research, key, old, new)
