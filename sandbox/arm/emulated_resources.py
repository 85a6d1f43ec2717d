"""The provider of every emulated kind: creates, changes and deletes as ``Emulated`` says."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC

from sandbox.arm import json_paths
from sandbox.arm.emulated import Emulated, EmulatedFields, show_previous
from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.operations import Operation, Written
from sandbox.arm.pace import Manner, Pace
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.several_keys import SeveralFields
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyVaults
from sandbox.truth import Truth

_BY_URL = {"id", "name", "type"}
_PARTS = ("location", "tags", "sku", "kind", "zones", "plan")


class EmulatedResources:
    """The provider of one emulated kind; see ``Provider``."""

    etags = False

    def __init__(  # noqa: PLR0913, PLR0917 - the services that every provider needs
        self,
        kind: Emulated,
        clock: SandboxClock,
        vaults: KeyVaults,
        truth: Truth,
        identities: Identities,
        users: KeyUsers,
    ) -> None:
        self.kind = kind
        self.type = kind.type
        self.api_versions = kind.api_versions
        self.quota = ProviderQuota(clock)
        self._fields: EmulatedFields | SeveralFields | None = None
        if kind.key and kind.more:
            self._fields = SeveralFields(kind, kind.key, vaults, identities, truth, clock)
        elif kind.key:
            self._fields = EmulatedFields(kind, kind.key, vaults, identities)
        self._clock = clock
        self._truth = truth
        self._identities = identities
        self._users = users

    def pace(self, resource_id: ResourceId) -> Pace:
        """Return the pace of a resource, to be changed in place."""
        return self._users.pace(resource_id)

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``: the same at all api-versions."""
        del api_version, listed
        return body

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``."""
        del api_version
        resource = Resource(resource_id, self._bare(resource_id, {}))
        if self._fields:
            self._users.admit(resource_id, self._fields)
        try:
            written = self._write(resource, self._of_put(resource, request), request)
        except ArmError:
            if self._fields:
                self._users.forget(resource_id)
            raise
        shown = self._accepted(written.operation)
        return replace(written, status=self.kind.created, shown=shown), resource

    def made(self, resource_id: ResourceId, request: Body) -> Resource:
        """Return a resource whose creation is over."""
        _, resource = self.create(resource_id, request, self.api_versions[-1])
        if self._fields:
            pace = self.pace(resource_id)
            if pace.pending is not None:
                pace.pending = replace(pace.pending, when=self._clock.now())
            self.settle(resource)
        return resource

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``: what a PUT leaves out reverts to its default."""
        del api_version
        self._require_writable(request)
        body = self._of_put(resource, request)
        if self.kind.unchanged and _same(body, resource.body):
            return Written(self.kind.unchanged)
        return self._answer(self._write(resource, body, request), resource, self.kind.replaced)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``."""
        sent = request if self.kind.patches else {"tags": request.get("tags", {})}
        sent = {name: value for name, value in sent.items() if name not in _BY_URL}
        whole = self.kind.whole | {"tags", "identity"}
        body = json_paths.merged(resource.body, sent, frozenset(whole))
        return self._answer(self._write(resource, body, sent), resource, self.kind.patched)

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``. The sandbox is done at once."""
        self._require_idle(resource)
        if self._fields:
            self._users.forget(resource.id)
        resource.gone = True
        return Written()

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``."""
        if self._fields:
            self._users.settle(resource, self._fields)

    def _write(self, resource: Resource, body: Body, request: Body) -> Written:
        """Let a resource be as a request wants it: all is checked before anything changes."""
        self._require_idle(resource)
        self._require_writable(request)
        self._require_apart(resource, body, request)
        before = resource.body.get("identity")
        identity = (
            self._identities.assign(before, body.get("identity") or {})
            if ("identity" in request)
            else before
        )
        body.pop("identity", None)
        body = {**body, "identity": identity} if identity else body
        written, fields = Written(), self._fields
        if fields is None:
            pass
        elif fields.written(body) == fields.written(resource.body):
            written = self._users.go_on(resource, body, fields)
        else:
            written = self._users.take_up(resource, body, fields)
            pace = self._users.pace(resource.id)
            if pace.manner is Manner.SLOW and self.kind.key:
                show_previous(self.kind.key, body, resource.body)
        self._truth.count_write(resource.id)
        resource.body, resource.operation = body, written.operation
        return written

    def _answer(self, written: Written, resource: Resource, status: int) -> Written:
        if not self.kind.works_for and written.operation is None:
            return replace(written, status=status)
        shown = written.shown or self._accepted(written.operation)
        if shown is None and (self.kind.says_more or status != 202):  # noqa: PLR2004 - accepted
            shown = deepcopy(resource.body)
        return replace(written, status=status, shown=shown)

    def _accepted(self, operation: Operation | None) -> Body | None:
        """Return the body of the answer that accepts a write, where it is not the resource."""
        if not self.kind.accepts or operation is None:
            return None
        now = self._clock.now().astimezone(UTC)
        operation.began = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
        return {"operation": self.kind.accepts, "startTime": operation.began}

    def _bare(self, resource_id: ResourceId, request: Body) -> Body:
        """Return a body as a PUT makes it, without its identity."""
        body: Body = {
            "id": str(resource_id),
            "name": resource_id.name.rpartition("/")[2],
            "type": self.type,
            **{part: deepcopy(request[part]) for part in _PARTS if part in request},
            "properties": deepcopy(self.kind.shows),
        }
        if self.kind.state:
            json_paths.put(body, self.kind.state, self.kind.states[1])
        sent = {"properties": request.get("properties") or {}}
        return json_paths.merged(body, sent, frozenset())

    def _of_put(self, resource: Resource, request: Body) -> Body:
        """Return a body as a PUT makes it; what the service shows of its key stays."""
        body = self._bare(resource.id, request)
        if "identity" in request:
            body["identity"] = deepcopy(request["identity"])
        key = self.kind.key
        for path in (key.in_use, key.rotated_at, key.says_it_follows) if key else ():
            if path and (value := json_paths.at(resource.body, path)) is not None:
                json_paths.put(body, path, value)
        return body

    def _require_writable(self, request: Body) -> None:
        for path, refusal in self.kind.refuses:
            if json_paths.at(request, path) is not None:
                raise refusal.error()

    def _require_idle(self, resource: Resource) -> None:
        """Refuse a write during another."""
        if resource.operation is not None and not resource.operation.ended:
            raise self.kind.busy.error()

    def _require_apart(self, resource: Resource, body: Body, request: Body) -> None:
        refusal, fields = self.kind.identity_apart, self._fields
        if refusal is None or fields is None or "identity" not in request:
            return
        if not fields.written(resource.body):
            return
        changes = _names(resource.body.get("identity")) != _names(request["identity"])
        if changes and fields.written(body) != fields.written(resource.body):
            raise refusal.error()


def _names(identity: Body | None) -> tuple[str, set[str]]:
    """Return the type of an identity and the user-assigned ones, without what is computed."""
    found = identity or {}
    assigned = found.get("userAssignedIdentities") or {}
    return str(found.get("type", "None")).lower(), {name.lower() for name in assigned}


def _same(body: Body, before: Body) -> bool:
    """Tell whether two bodies are equal but for what is computed of an identity."""
    one, other = ({**each, "identity": _names(each.get("identity"))} for each in (body, before))
    return one == other
