"""What of a Bicep resource does not fit Microsoft's type of it, at the version that it names."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

from tests.catalog.entries import DATA
from tests.catalog.microsoft_types import Type
from tests.infra.bicep import Choice, Declaration, Each, Expression, Value

_REQUIRED, _READ_ONLY = 1, 2
_SIMPLE = {"StringType": str, "IntegerType": int, "BooleanType": bool}
FOR_BICEP = {"parent", "scope", "dependsOn"}
"""What is written in a resource, and not sent."""

NOT_KEPT = {
    # Versions that Microsoft's own samples use: Azure-Samples/functions-quickstart-python-*.
    "Microsoft.Resources/resourceGroups@2024-03-01",
    "Microsoft.Network/virtualNetworks@2023-05-01",
    "Microsoft.Network/privateEndpoints@2023-05-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2023-05-01",
    "Microsoft.Network/privateDnsZones@2020-06-01",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01",
    "Microsoft.Authorization/roleAssignments@2022-04-01",
    "Microsoft.Authorization/roleDefinitions@2022-04-01",
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
}
"""Types that are not among the files: their properties are checked by nothing here."""


@functools.cache
def _places() -> dict[str, Type]:
    found = {}
    for path in sorted((DATA / "bicep-types").rglob("*.types.json")):
        file = str(path.relative_to(DATA / "bicep-types"))
        for raw in _load(path):
            if raw["$type"] == "ResourceType":
                index = int(raw["body"]["$ref"].removeprefix("#/"))
                found[raw["name"].lower()] = Type(file, index)
    return found


@functools.cache
def _load(path: Path) -> list[dict]:  # type: ignore[type-arg]
    loaded: list[dict] = json.loads(path.read_text())  # type: ignore[type-arg]
    return loaded


def is_kept(target: str) -> bool:
    """Return whether Microsoft's type is at hand."""
    return target.lower() in _places()


def problems(resource: Declaration) -> list[str]:
    """Return what is unknown, read-only, missing or of another type."""
    body = {name: value for name, value in resource.body.items() if name not in FOR_BICEP}
    return list(_problems(_places()[resource.target.lower()], body, resource.name))


def _problems(place: Type, value: Value, path: str) -> Iterator[str]:
    if isinstance(value, Choice):
        for option in value.options:
            yield from _problems(place, option, path)
        return
    if isinstance(value, Expression) or value is None:
        return
    match place.raw["$type"]:
        case "ObjectType":
            yield from _of_object(place, value, path)
        case "DiscriminatedObjectType":
            yield from _of_discriminated(place, value, path)
        case "ArrayType":
            yield from _of_array(place, value, path)
        case "UnionType":
            yield from _of_union(place, value, path)
        case "StringLiteralType" if value != place.raw["value"]:
            yield f"{path} is {value!r}, not {place.raw['value']!r}"
        case kind if kind in _SIMPLE and not isinstance(value, _SIMPLE[kind]):
            yield f"{path} is {value!r}, no {kind}"


def _of_object(place: Type, value: Value, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is {value!r}, no object"
        return
    raw, inside = place.raw.get("properties", {}), place.raw.get("additionalProperties")
    for name, inner in value.items():
        if name in raw:
            if raw[name]["flags"] & _READ_ONLY:
                yield f"{path}.{name} is read-only"
            yield from _problems(place.of(raw[name]["type"]), inner, f"{path}.{name}")
        elif inside:
            yield from _problems(place.of(inside), inner, f"{path}.{name}")
        else:
            yield f"{path}.{name} is unknown"
    for name, said in raw.items():
        if said["flags"] & _REQUIRED and not said["flags"] & _READ_ONLY and name not in value:
            yield f"{path}.{name} is missing"


def _of_discriminated(place: Type, value: Value, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is {value!r}, no object"
        return
    by = place.raw["discriminator"]
    chosen = value.get(by)
    if not isinstance(chosen, str) or chosen not in place.raw["elements"]:
        yield f"{path}.{by} is {chosen!r}, none of {sorted(place.raw['elements'])}"
        return
    inner = place.of(place.raw["elements"][chosen])
    base = place.raw.get("baseProperties", {})
    yield from _of_object(inner, {k: v for k, v in value.items() if k not in base}, path)
    for name, said in base.items():
        if name in value:
            yield from _problems(place.of(said["type"]), value[name], f"{path}.{name}")


def _of_array(place: Type, value: Value, path: str) -> Iterator[str]:
    inside = place.inside()
    items = [value.body] if isinstance(value, Each) else value
    if not isinstance(items, list):
        yield f"{path} is {value!r}, no array"
    else:
        for item in items if inside else []:
            assert inside
            yield from _problems(inside, item, f"{path}.*")


def _of_union(place: Type, value: Value, path: str) -> Iterator[str]:
    """Of an open union (``'a' | 'b' | string``) what is named is held to as well."""
    options = [place.of(each).raw for each in place.raw["elements"]]
    literals = [option["value"] for option in options if option["$type"] == "StringLiteralType"]
    if literals and value not in literals:
        yield f"{path} is {value!r}, none of {literals}"
