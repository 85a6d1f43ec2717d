"""What the app sends, and what the sandbox answers, is what Microsoft's OpenAPI files allow.

The files at hand are of other api-versions than the app's. Requests are held against the nearest;
what differs by that alone is allowed below, each with its reason.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.azurite.node import NodeMissingError
from sandbox.front_door import Call
from tests.e2e.every_kind import Rotated
from tests.e2e.oav import validator
from tests.e2e.oav.validator import Specification, Validation
from tests.e2e.stage import CHECKOUT

_FILES = CHECKOUT.parent / "shared" / "data" / "openapi" / "specification"


def _provider(folder: str, name: str, spoken: str, version: str) -> Specification:
    return Specification(
        _FILES / folder / "resource-manager" / name / "stable" / version,
        re.compile(
            rf"management\.azure\.com.*/providers/{re.escape(name)}/"
            r"(?!.*/providers/Microsoft\.Authorization/).*",
            re.IGNORECASE,
        ),
        spoken,
        version,
    )


SPECIFICATIONS = {
    "storage": _provider("storage", "Microsoft.Storage", "2024-01-01", "2023-05-01"),
    "cosmos": _provider("cosmos-db", "Microsoft.DocumentDB", "2025-10-15", "2024-05-15"),
    "containers": _provider(
        "containerinstance", "Microsoft.ContainerInstance", "2025-09-01", "2023-05-01"
    ),
    "vaults": _provider("keyvault", "Microsoft.KeyVault", "2023-07-01", "2023-07-01"),
    "resource graph": _provider(
        "resourcegraph", "Microsoft.ResourceGraph", "2021-03-01", "2022-10-01"
    ),
    "keys": Specification(
        _FILES / "keyvault" / "data-plane" / "Microsoft.KeyVault" / "stable" / "7.5",
        re.compile(r"[a-z0-9-]+\.vault\.azure\.net/keys/[^/]+/[0-9a-f]{32}"),
        "2025-07-01",
        "7.5",
    ),
}

OPERATIONS = {
    "storage": {
        "EncryptionScopes_Get",
        "EncryptionScopes_List",
        "EncryptionScopes_Patch",
        "StorageAccounts_GetProperties",
        "StorageAccounts_Update",
    },
    "cosmos": {"DatabaseAccounts_Get", "DatabaseAccounts_Update"},
    "containers": {
        "ContainerGroups_CreateOrUpdate",
        "ContainerGroups_Delete",
        "ContainerGroups_Get",
    },
    "vaults": {"Vaults_Get"},
    "resource graph": {"Resources"},
    "keys": {"GetKey"},
}

WITHOUT_FILE = {
    r"management\.azure\.com/subscriptions": "no file of Microsoft.Resources here",
    r"management\.azure\.com/subscriptions/[^/]+/resourceGroups/[^/]+": "likewise",
    r"management\.azure\.com/.*/Microsoft\.Authorization/permissions": "none of it either",
    r"[a-z0-9]+\.blob\.core\.windows\.net/.*": "the blob service is XML; it is Azurite's",
    r"[a-z0-9.-]+\.eventgrid\.azure\.net/api/events": "no file of Event Grid here",
    r"[a-z0-9-]+\.vault\.azure\.net/keys/[^/]+/": (
        "the SDK's spelling of 'the current version', which is no path of the file"
    ),
    r"[a-z0-9-]+\.vault\.azure\.net/keys/[^/]+/(versions|rotationpolicy)": (
        "oav gives up: '/keys/{key-name}/{key-version}' matches it too"
    ),
}
"""The requests that nothing is known of, each with the reason."""

_NOT_ALLOWED = "Additional properties not allowed: "
_RECORDED = "customer_managed_key.json, at 2024-01-01"
_RECORDED_COSMOS = "in every recorded answer, at any version: cosmosdb_key_vault_key_uri_2021.json"

ALLOWED: Mapping[str, Mapping[str, str]] = {
    "storage": {
        f"{_NOT_ALLOWED}ipv6Rules": f"newer than the file: recorded in {_RECORDED}",
        "The swagger file does not define '202' response code": (
            "the account that was told to work on its write for minutes, which real ones never did"
            " where anybody recorded them"
        ),
    },
    "cosmos": {
        f"{_NOT_ALLOWED}EnabledApiTypes": _RECORDED_COSMOS,
        f"{_NOT_ALLOWED}configurationOverrides": _RECORDED_COSMOS,
        f"{_NOT_ALLOWED}enablePartitionKeyMonitor": _RECORDED_COSMOS,
        f"{_NOT_ALLOWED}keyVaultKeyUriVersion": "newer than the file: since 2025-10-15",
    },
    "containers": {
        f"{_NOT_ALLOWED}isCreatedFromStandbyPool": "newer than the file: in Microsoft's example"
        " ContainerGroupEncryptionProperties.json",
    },
    "vaults": {},
    "resource graph": {},
    "keys": {},
}
"""What the file does not allow and is right all the same, each with the reason."""


@pytest.fixture(scope="session")
def oav() -> Path:
    if not _FILES.is_dir():
        pytest.skip("Microsoft's OpenAPI files are not beside this checkout")
    try:
        return validator.install()
    except NodeMissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_traffic_is_what_the_specification_allows(
    moved: Rotated, oav: Path, tmp_path: Path, name: str
) -> None:
    found = _validated(oav, moved.stage.azure.front_door.traffic(), name, tmp_path)

    assert found.unknown == ()
    assert found.operations == OPERATIONS[name]
    assert {each.message for each in found.findings} == {*ALLOWED[name]}, found.findings
    assert "request" not in {each.source for each in found.findings}, found.findings


def _validated(oav: Path, traffic: Iterable[Call], name: str, folder: Path) -> Validation:
    specification = SPECIFICATIONS[name]
    calls = [call for call in traffic if specification.covers(call)]
    assert {call.query.partition("&")[0] for call in calls} <= {
        f"api-version={specification.spoken}"
    }
    return validator.validate(oav, calls, specification, folder)


def test_every_request_has_a_specification_or_a_reason_to_have_none(moved: Rotated) -> None:
    for call in moved.stage.azure.front_door.traffic():
        names = [name for name, each in SPECIFICATIONS.items() if each.covers(call)]
        reasons = [p for p in WITHOUT_FILE if re.fullmatch(p, call.host + call.path)]
        assert len(names) + len(reasons) == 1, f"{call.host}{call.path}: {names}, {reasons}"


def test_a_violation_is_found_in_a_request_in_an_answer_and_in_a_path(
    moved: Rotated, oav: Path, tmp_path: Path
) -> None:
    traffic = moved.stage.azure.front_door.traffic()
    patch = next(
        call for call in traffic if call.method == "PATCH" and call.path.endswith("/stmoved")
    )
    sent, answered = json.loads(patch.request_body), json.loads(patch.response_body)
    sent["properties"]["encryption"]["keySource"] = 7
    answered["properties"]["provisioningState"] = "Perhaps"
    wrong = [
        replace(patch, request_body=json.dumps(sent).encode()),
        replace(patch, response_body=json.dumps(answered).encode()),
        replace(patch, path=f"{patch.path}/nothings/one"),
    ]

    found = _validated(oav, wrong, "storage", tmp_path)

    new = {each for each in found.findings if each.message not in ALLOWED["storage"]}
    assert {(each.source, each.operation) for each in new} == {
        ("request", "StorageAccounts_Update"),
        ("response", "StorageAccounts_Update"),
    }
    assert len(found.unknown) == 1
