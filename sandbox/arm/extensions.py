"""Resources that hang on others, as far as they are read: event subscriptions, diagnostics.

Source: azure-rest-api-specs, ``eventgrid`` 2022-06-15 ("Event Subscriptions - List By Resource")
and ``monitor`` 2021-05-01-preview ("Diagnostic Settings - List"). Actions: azure-docs,
permissions/integration.md and permissions/monitor.md.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from sandbox.arm import errors
from sandbox.arm.call import ArmCall
from sandbox.arm.rbac import Rbac
from sandbox.arm.resources import Body

PATH = re.compile(
    r"(?P<resource>/subscriptions/(?P<subscription>[^/]+)/resourceGroups/[^/]+/providers/.+)"
    r"/providers/(?P<type>Microsoft\.EventGrid/eventSubscriptions"
    r"|Microsoft\.Insights/diagnosticSettings)/?",
    re.IGNORECASE,
)
EVENT_SUBSCRIPTIONS = "Microsoft.EventGrid/eventSubscriptions"
DIAGNOSTIC_SETTINGS = "Microsoft.Insights/diagnosticSettings"
_VERSIONS = {
    EVENT_SUBSCRIPTIONS.lower(): ("2022-06-15", "2025-02-15"),
    DIAGNOSTIC_SETTINGS.lower(): ("2021-05-01-preview",),
}


@dataclass(slots=True)
class Extensions:
    """What was hung on which resource; only lists of it are served."""

    _held: defaultdict[tuple[str, str], list[Body]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, resource: str, kind: str, name: str, properties: Body) -> None:
        """Hang a resource of a type on another, given by its id."""
        body: Body = {
            "id": f"{resource}/providers/{kind}/{name}",
            "name": name,
            "type": kind,
            "properties": properties,
        }
        self._held[resource.lower(), kind.lower()].append(body)

    def answer(self, call: ArmCall, found: re.Match[str], rbac: Rbac) -> Body:
        """Answer the list of one type on one resource.

        Raises:
            ArmError: The caller may not read it, or asks for what is not served.
        """
        kind = found["type"].lower()
        if call.method != "GET":
            raise errors.method_not_allowed(call.method)
        if call.api_version not in _VERSIONS[kind]:
            raise errors.api_version_invalid(call.api_version, _VERSIONS[kind])
        rbac.require(call.principal, f"{found['type']}/read", found["resource"])
        return {"value": list(self._held[found["resource"].lower(), kind])}
