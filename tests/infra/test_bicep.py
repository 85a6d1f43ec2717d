"""The templates: they parse, fit Microsoft's types, and keep what is promised of them.

They are read with tree-sitter, and compiled by the forge's checks alone.
"""

import json
import re
from pathlib import Path

import pytest

from shared.domain import events
from shared.settings import Settings
from shared.wiring import EVENTS_QUEUE
from tests.catalog.entries import with_data
from tests.infra import bicep, bicep_types
from tests.infra.bicep import FILES, INFRA, Choice, Declaration, Expression
from tests.test_docs import FOR_THE_SANDBOX, settings_read
from tests.test_settings import INSIGHTS

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(INFRA)))
CALLED = {"loadJsonContent", "managementGroup", "subscription"}
"""Functions: the grammar takes a call inside an array for a name."""
ACCESS = INFRA / "app" / "access.bicep"
MADE = [found for _, found in bicep.every("resource") if not found.existing]


@every_file
def test_it_parses(path: Path) -> None:
    assert bicep.errors(path) == []


@every_file
def test_every_name_that_it_uses_is_declared_and_every_declared_one_used(path: Path) -> None:
    document = bicep.read(path)
    declared = {found.name for found in document.declarations if found.kind != "output"}
    assert document.names - declared - CALLED == set()
    unused = {*document.of("parameter"), *document.of("variable")} - document.names
    assert unused == set()


@every_file
def test_every_parameter_says_what_it_is(path: Path) -> None:
    for name, parameter in bicep.read(path).of("parameter").items():
        assert parameter.decorators.get("description"), name


@every_file
def test_it_gives_each_module_what_the_module_asks_for(path: Path) -> None:
    for name, module in bicep.read(path).of("module").items():
        inside = bicep.read((path.parent / module.target).resolve())
        given = module.body.get("params", {})
        assert isinstance(given, dict)
        asked = inside.of("parameter")
        assert set(given) <= set(asked), name
        required = {p for p, found in asked.items() if found.value is None}
        assert required <= set(given), name


@every_file
def test_a_module_is_asked_for_outputs_that_it_has(path: Path) -> None:
    document = bicep.read(path)
    text = path.read_text()
    for name, module in document.of("module").items():
        has = set(bicep.read((path.parent / module.target).resolve()).of("output"))
        asked = {part.split(".")[0] for part in _after(text, f"{name}.outputs.")}
        assert asked <= has, name


def _after(text: str, start: str) -> list[str]:
    return [
        "".join(_while_name(part)) for part in text.split(start)[1:] if not part.startswith("*")
    ]


def _while_name(text: str) -> list[str]:
    name = []
    for letter in text:
        if not letter.isalnum():
            break
        name.append(letter)
    return name


@every_file
def test_no_output_is_a_secret(path: Path) -> None:
    for name, output in bicep.read(path).of("output").items():
        said = str(output.value).lower()
        for word in ("listkeys", "connectionstring", "secret", "password", "key(", "sas"):
            assert word not in said, name


def test_the_parameters_file_sets_what_the_template_knows() -> None:
    file = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    known = bicep.read(INFRA / "main.bicep").of("parameter")
    assert set(file) <= set(known)
    assert {name for name, found in known.items() if found.value is None} <= set(file)


# -- against Microsoft's types ---------------------------------------------------------------------


@with_data
@pytest.mark.parametrize("resource", MADE, ids=lambda found: found.name)
def test_every_property_exists_at_the_version_that_is_named(resource: Declaration) -> None:
    if not bicep_types.is_kept(resource.target):
        assert resource.target in bicep_types.NOT_KEPT
        return
    assert bicep_types.problems(resource) == []


@with_data
def test_a_property_that_does_not_exist_is_told() -> None:
    (account,) = bicep.resources("Microsoft.Storage/storageAccounts")
    properties = account.body["properties"]
    assert isinstance(properties, dict)
    wrong = {**account.body, "properties": {**properties, "allowSharedKeys": False}}
    changed = Declaration("resource", "account", wrong, {}, account.target)
    assert bicep_types.problems(changed) == ["account.properties.allowSharedKeys is unknown"]


# -- what is promised ------------------------------------------------------------------------------


def app_settings_resource() -> Declaration:
    (settings,) = [
        found
        for found in bicep.resources("Microsoft.Web/sites/config")
        if found.body["name"] == "appsettings"
    ]
    return settings


def app_settings() -> dict[str, bicep.Value]:
    properties = app_settings_resource().body["properties"]
    assert isinstance(properties, dict)
    return properties


def test_every_setting_that_the_app_reads_is_set() -> None:
    read = settings_read() - FOR_THE_SANDBOX
    assert {name.partition("__")[0] for name in app_settings()} >= read


def test_nothing_is_set_that_nobody_reads() -> None:
    for_the_host = {"APPLICATIONINSIGHTS_AUTHENTICATION_STRING"}
    ours = {name.partition("__")[0] for name in app_settings()} - for_the_host
    assert ours == settings_read() - FOR_THE_SANDBOX


def test_the_app_starts_with_the_settings_as_they_come_out() -> None:
    account = "https://stkeyturnabc.{}.core.windows.net/"
    values = {
        "AZURE_CLIENT_ID": "0b1f6471-1bf0-4dda-aec3-cb9272f09590",
        "KEYTURN_CLOUD": "AzureCloud",
        "KEYTURN_VAULTS": "kv-one,kv-two",
        "KEYTURN_TELEMETRY": "azure_monitor",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS,
        **{
            f"AzureWebJobsStorage__{service}ServiceUri": account.format(service)
            for service in ("blob", "queue", "table")
        },
    }
    left = {name: values.get(name, "") for name in app_settings()}
    settings = Settings.from_env({**left, "KEYTURN_AUTH": "keys"})
    assert settings.vaults == {"kv-one.vault.azure.net", "kv-two.vault.azure.net"}


def test_storage_is_reached_by_identity_and_over_tls_alone() -> None:
    (account,) = bicep.resources("Microsoft.Storage/storageAccounts")
    properties = account.body["properties"]
    assert isinstance(properties, dict)
    assert properties["allowSharedKeyAccess"] is False
    assert properties["allowBlobPublicAccess"] is False
    assert properties["minimumTlsVersion"] == "TLS1_2"
    assert properties["supportsHttpsTrafficOnly"] is True
    settings = app_settings()
    assert "AzureWebJobsStorage" not in settings
    assert settings["AzureWebJobsStorage__credential"] == "managedidentity"
    assert "AzureWebJobsStorage__clientId" in settings


def test_no_container_is_public() -> None:
    containers = bicep.resources("Microsoft.Storage/storageAccounts/blobServices/containers")
    assert len(containers) == 4
    for container in containers:
        properties = container.body["properties"]
        assert isinstance(properties, dict)
        assert properties["publicAccess"] == "None"


def test_no_template_takes_a_key_or_a_connection_string() -> None:
    for path in FILES:
        text = path.read_text()
        for word in ("listKeys", "AccountKey", "listAccountSas", "@secure"):
            assert word not in text, path


def test_evidence_is_kept_unchanged_for_a_time() -> None:
    (policy,) = bicep.resources(
        "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies"
    )
    assert policy.body["parent"] == Expression("evidence")
    properties = policy.body["properties"]
    assert isinstance(properties, dict)
    assert properties["immutabilityPeriodSinceCreationInDays"] == Expression(
        "evidenceRetentionDays"
    )
    (service,) = bicep.resources("Microsoft.Storage/storageAccounts/blobServices")
    assert ("isVersioningEnabled", True) in _pairs(service)


def test_every_container_that_the_code_names_is_made() -> None:
    named = set()
    for path in (INFRA.parent / "shared" / "adapters" / "storage").glob("*.py"):
        named |= set(re.findall(r'^\w*CONTAINER = "([\w-]+)"', path.read_text(), re.MULTILINE))
    made = {
        str(found.body["name"])
        for found in bicep.resources("Microsoft.Storage/storageAccounts/blobServices/containers")
    }
    by_code = json.loads((INFRA / "app" / "storage-names.json").read_text())["containers"]
    assert named
    assert named <= made | set(by_code)


def _pairs(resource: Declaration) -> list[tuple[str, object]]:
    return [(path.rpartition(".")[2], value) for path, value in bicep.walk(resource.body)]


def test_old_versions_of_evidence_are_not_swept_away() -> None:
    (lifecycle,) = bicep.resources("Microsoft.Storage/storageAccounts/managementPolicies")
    for name, value in _pairs(lifecycle):
        assert name != "prefixMatch" or "evidence" not in str(value)
    rules = lifecycle.body["properties"]["policy"]["rules"]  # type: ignore[index, call-overload]
    assert len(rules) == 2  # type: ignore[arg-type]
    for rule in rules:  # type: ignore[union-attr]
        assert rule["definition"]["filters"]["prefixMatch"]  # type: ignore[index, call-overload]


def test_the_app_is_reached_over_tls_and_published_to_without_a_password() -> None:
    (app,) = bicep.resources("Microsoft.Web/sites")
    pairs = _pairs(app)
    for pair in (
        ("httpsOnly", True),
        ("minTlsVersion", "1.2"),
        ("scmMinTlsVersion", "1.2"),
        ("ftpsState", "Disabled"),
    ):
        assert pair in pairs
    passwords = bicep.resources("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {str(found.body["name"]) for found in passwords} == {"ftp", "scm"}
    assert all(("allow", False) in _pairs(found) for found in passwords)


def test_the_app_runs_on_the_python_that_it_is_tested_on() -> None:
    (app,) = bicep.resources("Microsoft.Web/sites")
    assert ("version", "3.13") in _pairs(app)
    project = (INFRA.parent / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.13,<3.14"' in project


def test_the_instance_that_is_always_there_is_for_a_function_that_exists() -> None:
    (app,) = bicep.resources("Microsoft.Web/sites")
    (group,) = [
        value
        for path, value in bicep.walk(app.body)
        if path.endswith(".alwaysReady.*.name") and isinstance(value, str)
    ]
    assert group.removeprefix("function:") in functions()


def functions() -> set[str]:
    index = json.loads((INFRA.parent / "tests" / "golden" / "index.json").read_text())
    return {function["name"] for function in index}


def test_nobody_sends_telemetry_or_logs_with_a_key() -> None:
    (insights,) = bicep.resources("Microsoft.Insights/components")
    (workspace,) = bicep.resources("Microsoft.OperationalInsights/workspaces")
    assert ("DisableLocalAuth", True) in _pairs(insights)
    assert ("disableLocalAuth", True) in _pairs(workspace)


def test_with_sign_in_only_event_grid_and_the_probe_of_life_come_in_without() -> None:
    (auth,) = [
        found
        for found in bicep.resources("Microsoft.Web/sites/config")
        if found.body["name"] == "authsettingsV2"
    ]
    found = dict(bicep.walk(auth.body))
    validation = ".properties.globalValidation"
    assert found[".properties.platform.enabled"] == Expression("signIn")
    assert found[f"{validation}.requireAuthentication"] == Expression("signIn")
    assert auth.body["properties"]["globalValidation"]["unauthenticatedClientAction"] == Choice(  # type: ignore[index, call-overload]
        ("Return401", "AllowAnonymous")
    )
    assert found[f"{validation}.excludedPaths"] == [
        "/runtime/webhooks/eventgrid",
        "/api/health/live",
    ]


def test_the_app_believes_headers_only_once_sign_in_is_on() -> None:
    assert app_settings()["KEYTURN_AUTH"] == Choice(("app_service", "keys"))
    assert app_settings_resource().body["dependsOn"] == [Expression("authentication")]


# -- events ----------------------------------------------------------------------------------------


def _subscriptions() -> tuple[Declaration, Declaration]:
    """Return the event subscription to the function, and that through the queue."""
    found = bicep.resources("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    direct, queued = sorted(found, key=lambda each: "destination" not in each.body["properties"])  # type: ignore[operator]
    return direct, queued


def subscription() -> dict[str, object]:
    return dict(_pairs(_subscriptions()[0]))


def test_the_vaults_send_just_what_the_app_understands() -> None:
    understood = {
        value
        for value in vars(events).values()
        if isinstance(value, str) and value.startswith("Microsoft.KeyVault.")
    }
    sent = subscription()["includedEventTypes"]
    assert isinstance(sent, list)
    assert set(sent) == understood


def test_events_go_to_a_function_that_exists_and_to_blobs_if_they_cannot() -> None:
    said = subscription()
    assert said["endpointType"] == "StorageBlob"  # the last that was read: the dead letters'
    found, _ = _subscriptions()
    properties = found.body["properties"]
    assert isinstance(properties, dict)
    destination, dead = properties["destination"], properties["deadLetterWithResourceIdentity"]
    assert isinstance(destination, dict)
    assert isinstance(dead, dict)
    assert destination["endpointType"] == "AzureFunction"
    target = destination["properties"]
    assert isinstance(target, dict)
    assert target["resourceId"] == Expression("'${appId}/functions/key_events'")
    assert "key_events" in functions()
    assert "deadLetterDestination" in dead
    assert "identity" in dead
    container = said["blobContainerName"]
    made = [
        c.body["name"]
        for c in bicep.resources("Microsoft.Storage/storageAccounts/blobServices/containers")
    ]
    assert container in made


def test_an_event_is_tried_for_a_day() -> None:
    said = subscription()
    assert (said["eventTimeToLiveInMinutes"], said["maxDeliveryAttempts"]) == (1440, 30)


def test_through_the_queue_the_same_events_come_by_identity_to_a_function_that_exists() -> None:
    direct, queued = (dict(bicep.walk(each.body)) for each in _subscriptions())
    for path in ("filter.includedEventTypes", "retryPolicy.eventTimeToLiveInMinutes"):
        assert queued[f".properties.{path}"] == direct[f".properties.{path}"]
    letters = ".properties.deadLetterWithResourceIdentity.deadLetterDestination.properties"
    assert queued[f"{letters}.blobContainerName"] == direct[f"{letters}.blobContainerName"]
    delivery = ".properties.deliveryWithResourceIdentity"
    assert queued[f"{delivery}.identity.type"] == "UserAssigned"
    name = queued[f"{delivery}.destination.properties.queueName"]
    assert name == EVENTS_QUEUE
    index = json.loads((INFRA.parent / "tests" / "golden" / "index.json").read_text())
    taking = [
        function["name"]
        for function in index
        for binding in function["bindings"]
        if binding.get("queueName") == name
    ]
    assert taking == ["queued_events"]
    (role,) = re.findall(r"\nresource onEvents .*\n}\n", ACCESS.read_text(), re.DOTALL)
    assert "if (eventsQueue)" in role
    assert "scope: events\n" in role
