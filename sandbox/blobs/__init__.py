"""The blob service of the estate's storage accounts, at their production host names."""

from sandbox.blobs.endpoints import BlobEndpoints, DataRight

__all__ = ["BlobEndpoints", "DataRight"]
