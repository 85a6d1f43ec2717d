"""Microsoft's types of resources (bicep-types-az), as far as bodies are checked against them."""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.domain.json_paths import Json
from tests.catalog.entries import DATA

_REQUIRED, _READ_ONLY, _FIXED = 1, 2, 8
_FILES = {
    "Microsoft.AppConfiguration": [
        "microsoft.appconfiguration/2024-06-01/appconfiguration.types.json"
    ],
    "Microsoft.Automation": ["microsoft.automation/2024-10-23/automation.types.json"],
    "Microsoft.Batch": ["microsoft.batch/2025-06-01/batch.types.json"],
    "Microsoft.Cache": ["microsoft.cache/2025-07-01/redisenterprise.types.json"],
    "Microsoft.CognitiveServices": [
        "microsoft.cognitiveservices/2026-07-01/cognitiveservices.types.json"
    ],
    # On either side of the version that is sent.
    "Microsoft.Compute": [
        "microsoft.compute/2021-04-01/compute_1.types.json",
        "microsoft.compute/2026-03-02/compute_1.types.json",
    ],
    "Microsoft.ContainerRegistry": [
        "microsoft.containerregistry/2021-09-01/containerregistry_0.types.json",
        "microsoft.containerregistry/2025-11-01/containerregistry_0.types.json",
    ],
    "Microsoft.ContainerService": [
        "microsoft.containerservice/2022-06-01/containerservice_1.types.json"
    ],
    "Microsoft.Databricks": ["microsoft.databricks/2026-01-01/databricks.types.json"],
    "Microsoft.DataFactory": ["microsoft.datafactory/2018-06-01/datafactory.types.json"],
    "Microsoft.DataProtection": ["microsoft.dataprotection/2026-06-01/dataprotection.types.json"],
    "Microsoft.DBforMySQL": ["microsoft.dbformysql/2024-12-30/mysql_0.types.json"],
    "Microsoft.DBforPostgreSQL": ["microsoft.dbforpostgresql/2025-08-01/postgresql.types.json"],
    "Microsoft.ElasticSan": ["microsoft.elasticsan/2025-09-01/elasticsan.types.json"],
    "Microsoft.EventHub": ["microsoft.eventhub/2026-01-01/eventhub.types.json"],
    "Microsoft.Insights": ["microsoft.insights/2020-02-02/applicationinsights.types.json"],
    "Microsoft.Kusto": ["microsoft.kusto/2025-02-14/azure-kusto.types.json"],
    "Microsoft.MachineLearningServices": [
        "microsoft.machinelearningservices/2026-05-01/machinelearningservices.types.json"
    ],
    "Microsoft.NetApp": ["microsoft.netapp/2026-06-01/netapp.types.json"],
    "Microsoft.OperationalInsights": [
        "microsoft.operationalinsights/2026-03-01/operationalinsights.types.json"
    ],
    # On either side of the version that is sent.
    "Microsoft.RecoveryServices": [
        "microsoft.recoveryservices/2020-02-02/recoveryservices.types.json",
        "microsoft.recoveryservices/2026-07-01/recoveryservices.types.json",
    ],
    "Microsoft.Search": ["microsoft.search/2025-05-01/search.types.json"],
    "Microsoft.ServiceBus": ["microsoft.servicebus/2026-01-01/servicebus.types.json"],
    "Microsoft.Sql": ["microsoft.sql/2025-01-01/sql_1.types.json"],
    "Microsoft.Synapse": ["microsoft.synapse/2021-06-01/synapse.types.json"],
    # Nearest to the version that is sent, on either side of it: that one is not kept here.
    "Microsoft.Storage": [
        "microsoft.storage/2021-09-01/storage.types.json",
        "microsoft.storage/2026-04-01/storage.types.json",
    ],
    "Microsoft.DocumentDB": [
        "microsoft.documentdb/2025-10-15/cosmos-db.types.json",
        "microsoft.documentdb/2026-06-01/mongocluster.types.json",
    ],
    "Microsoft.ContainerInstance": [
        "microsoft.containerinstance/2025-09-01/containerinstance.types.json"
    ],
}
_SIMPLE: dict[str, tuple[type, ...]] = {
    "StringType": (str,),
    "IntegerType": (int, float),
    "BooleanType": (bool,),
    "ObjectType": (dict,),
    "ArrayType": (list,),
}


@dataclass(frozen=True)
class Type:
    """One type of a file."""

    file: str
    index: int

    @property
    def raw(self) -> dict[str, Any]:
        found: dict[str, Any] = _load(self.file)[self.index]
        return found

    def of(self, reference: dict[str, str]) -> "Type":
        """Return the type that a reference of this file names."""
        return Type(self.file, int(reference["$ref"].removeprefix("#/")))

    def properties(self) -> dict[str, tuple[int, "Type"]]:
        """Return flags and type of each property, by its name in lower case."""
        found = {
            name.lower(): (raw["flags"], self.of(raw["type"]))
            for name, raw in self.raw.get("properties", {}).items()
        }
        return dict(sorted(found.items()))

    def inside(self) -> "Type | None":
        """Return the type of every item, or of every further name, if it has such."""
        reference = self.raw.get("itemType") or self.raw.get("additionalProperties")
        return self.of(reference) if reference else None

    def sole(self) -> "Type | None":
        """Return what ``*`` stands for: ``inside``, or the type that all properties share."""
        first = next(iter(self.properties().values()), None)
        return self.inside() or (first[1] if first else None)


@functools.cache
def _load(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "bicep-types" / file).read_text())
    return found


def versions_of(resource_type: str) -> list[str]:
    """Return the API versions whose types of a resource are kept."""
    return [root.file.split("/")[1] for root in types_of(resource_type)]


def types_of(resource_type: str) -> list[Type]:
    """Return the types of a resource, of each version that is kept."""
    return [
        Type(file, index)
        for file in _FILES[resource_type.partition("/")[0]]
        for index, raw in enumerate(_load(file))
        if raw["$type"] == "ObjectType" and raw["name"].lower() == resource_type.lower()
    ]


def flags_at(root: Type, path: str) -> int | None:
    """Return the flags of the property at a path, those of its parents added; ``None``: no such."""
    place, flags = root, 0
    for name in path.split(".") if path else []:
        if name == "*":
            found = place.sole()
            step = (0, found) if found else None
        else:
            inside = place.raw.get("additionalProperties")
            further = (0, place.of(inside)) if inside else None
            step = place.properties().get(name.lower(), further)
        if step is None:
            return None
        flags, place = flags | (step[0] & _READ_ONLY), step[1]
    return flags


def is_read_only(root: Type, path: str) -> bool:
    """Return whether the service alone sets what lies at a path."""
    return bool((flags_at(root, path) or 0) & _READ_ONLY)


def is_writable(root: Type, name: str) -> bool:
    """Return whether a part of a resource is set by the body of a request, and not by its URL."""
    return not root.properties()[name.lower()][0] & (_READ_ONLY | _FIXED)


def read_only_below(root: Type, path: str) -> list[str]:
    """Return the paths at or below ``path`` that the service alone sets, the outermost of each."""
    place = root
    for name in path.split("."):
        place = place.properties()[name.lower()][1]
    return list(_read_only(place, path))


def _read_only(place: Type, path: str) -> Iterator[str]:
    for name, (flags, inner) in place.properties().items():
        if flags & _READ_ONLY:
            yield f"{path}.{name}"
        else:
            yield from _read_only(inner, f"{path}.{name}")
    if inside := place.inside():
        yield from _read_only(inside, f"{path}.*")


def fullest(root: Type) -> Json:
    """Return a body that has every property that a GET may show."""
    found = _sample(root)
    assert isinstance(found, dict)
    return found


_SAMPLES = {"IntegerType": 7, "BooleanType": True, "AnyType": {"any": 1}}


def _sample(place: Type) -> object:
    kind, inside = place.raw["$type"], place.inside()
    if kind == "ObjectType":
        body = {name: _sample(place.of(raw["type"])) for name, raw in _names(place)}
        return {**body, "one": _sample(inside)} if inside else body
    if kind == "ArrayType" and inside:
        return [_sample(inside), _sample(inside)]
    if kind == "UnionType":
        return _sample(place.of(place.raw["elements"][0]))
    return place.raw.get("value") or _SAMPLES.get(kind, "text")


def _names(place: Type) -> list[tuple[str, dict[str, Any]]]:
    return list(place.raw.get("properties", {}).items())


def problems(root: Type, body: object, *, whole: bool) -> list[str]:
    """Return what of a request body does not fit: unknown, computed or missing properties.

    Args:
        root: The type of the resource.
        body: What is sent.
        whole: Whether what is required must be there: a PUT, not a PATCH.
    """
    return list(_problems(root, body, "", whole=whole))


def _problems(place: Type, value: object, path: str, *, whole: bool) -> Iterator[str]:
    kind = place.raw["$type"]
    if value is None:
        return
    if isinstance(value, dict) and kind == "ObjectType":
        yield from _problems_of_object(place, value, path, whole=whole)
    elif isinstance(value, list) and kind == "ArrayType":
        inside = place.inside()
        for item in value if inside else []:
            assert inside
            yield from _problems(inside, item, f"{path}.*", whole=whole)
    elif not isinstance(value, _SIMPLE.get(kind, (object,))):
        yield f"{path} is {value!r}"


def _problems_of_object(place: Type, value: Json, path: str, *, whole: bool) -> Iterator[str]:
    known, inside = place.properties(), place.inside()
    for name, inner in value.items():
        flags, found = known.get(name.lower(), (0, inside))
        if found is None:
            yield f"{path}.{name} is unknown"
        elif flags & _READ_ONLY:
            yield f"{path}.{name} is read-only"
        else:
            yield from _problems(found, inner, f"{path}.{name}", whole=whole)
    sent = {name.lower() for name in value}
    for name, (flags, _) in known.items():
        # What is fixed by the request's URL (name, type) is not in its body.
        if whole and flags & _REQUIRED and not flags & _FIXED and name not in sent:
            yield f"{path}.{name} is missing"
