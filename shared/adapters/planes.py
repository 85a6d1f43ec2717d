"""What holds references, wherever it lies: ``shared.ports.Resources``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.domain.errors import NotAllowedError, UnreadableError
from shared.domain.file_sources import BlobName
from shared.domain.json_paths import Json, text_at
from shared.domain.kinds import Kind, Plane
from shared.ports import Accepted, ConfigFiles, File, FilePage, Progress, Reading, Resources


class NoConfigFiles:
    """No source of deployment configs is registered: nothing is one, and no SDK is loaded."""

    def covers(self, url: str) -> bool:  # noqa: ARG002 - the port's form
        """See ``ConfigFiles.covers``."""
        return False

    def page(self, source: str, token: str) -> FilePage:  # noqa: ARG002 - the port's form
        """See ``ConfigFiles.page``."""
        raise NotAllowedError(f"{source} is not registered")

    def read(self, url: str) -> File:
        """See ``ConfigFiles.read``."""
        raise NotAllowedError(f"no registered source covers {url!r:.200}")

    def write(self, url: str, content: bytes, *, etag: str, request_id: str) -> str:  # noqa: ARG002 - the port's form
        """See ``ConfigFiles.write``."""
        raise NotAllowedError(f"no registered source covers {url!r:.200}")


@dataclass(frozen=True, slots=True)
class EveryPlane:
    """Asks Azure Resource Manager for its resources, and the blob service for files.

    The body of a file has its ``id``, which is its URL, its ``type``, ``name`` and ``text``.
    """

    arm: Resources
    files: ConfigFiles

    def subscriptions(self) -> Sequence[str]:
        """See ``Resources.subscriptions``."""
        return self.arm.subscriptions()

    def lacking(self, subscription: str, kinds: Sequence[Kind]) -> Sequence[str]:
        """See ``Resources.lacking``. Files lie in sources, not in subscriptions."""
        return self.arm.lacking(subscription, [k for k in kinds if k.plane is Plane.ARM])

    def denied(self, resource: str, actions: Sequence[str]) -> Sequence[str]:
        """See ``Resources.denied``. The blob service tells no rights, and is not asked for any."""
        return self.arm.denied(resource, actions)

    def read(self, kind: Kind, resource: str) -> Reading:
        """See ``Resources.read``."""
        if kind.plane is Plane.ARM:
            return self.arm.read(kind, resource)
        file, name = self.files.read(resource), BlobName.parse(resource).path.rpartition("/")[2]
        try:
            text = file.content.decode()
        except UnicodeDecodeError as error:
            raise UnreadableError(f"{resource} is no UTF-8 at byte {error.start}") from error
        body = {"id": resource, "type": kind.resource_type, "name": name, "text": text}
        return Reading(body, file.etag)

    def children(self, kind: Kind, parent: str) -> Iterator[Json]:
        """See ``Resources.children``."""
        return self.arm.children(kind, parent)

    def write(
        self, kind: Kind, resource: str, body: Json, *, request_id: str, etag: str
    ) -> Accepted:
        """See ``Resources.write``."""
        if kind.plane is Plane.ARM:
            return self.arm.write(kind, resource, body, request_id=request_id, etag=etag)
        content = text_at(body, "text").encode()
        done = self.files.write(resource, content, etag=etag, request_id=request_id)
        return Accepted(correlation_id=done, operation="")

    def delete(self, kind: Kind, resource: str, *, request_id: str) -> Accepted:
        """See ``Resources.delete``. No file is ever deleted."""
        return self.arm.delete(kind, resource, request_id=request_id)

    def progress(self, operation: str) -> Progress:
        """See ``Resources.progress``."""
        return self.arm.progress(operation)

    def managed_by(self, resource: str) -> str:
        """See ``Resources.managed_by``. Nothing manages a file."""
        return self.arm.managed_by(resource) if resource.startswith("/") else ""
