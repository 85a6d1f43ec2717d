"""Whether everything is as it must be, and the command that mends what is not."""

from typing import Any

from sandbox.arm.extensions import DIAGNOSTIC_SETTINGS, EVENT_SUBSCRIPTIONS
from sandbox.faults import Answer, Fault
from shared.wiring import EVENTS_QUEUE
from tests.cli.desk import CHECKOUT, KEYS, ME, Desk
from tests.cli.estates import VAULT, Small

RUNNABLE = ("az ", "keyturn ", "azd ", "docs/")
"""What mends a finding begins with one of these."""


def checks(ran_json: list[dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    assert all(row["advice"] is None or row["advice"].startswith(RUNNABLE) for row in ran_json)
    assert all(row["advice"] for row in ran_json if row["status"] != "pass")
    return {row["name"]: (row["status"], row["advice"]) for row in ran_json}


def test_the_doctor_says_who_we_are_and_what_we_may(desk: Desk, found: Small) -> None:
    ran = desk.run("doctor", "--vault", VAULT, "-o", "json")
    told = checks(ran.json())
    assert told["identity"] == ("pass", None)
    assert told[f"subscription {found.payments}"] == ("pass", None)
    assert told[f"vault {VAULT}"] == ("pass", None)
    assert told[f"keys of {VAULT}"] == ("pass", None)
    assert ME in str(ran.json()[0]["said"])


def test_the_doctor_names_the_command_that_mends_a_finding(desk: Desk, found: Small) -> None:
    vaults = desk.azure.estate.vaults
    vault = vaults.create("kv-ill", subscription_id=found.research, purge_protection=False)
    vault.network.default, vault.network.trusted_services = "Deny", False
    ran = desk.run("doctor", "--vault", "kv-ill", "-o", "json")
    said = [(row["name"], row["status"], row["advice"]) for row in ran.json()]
    update = "az keyvault update --name kv-ill"
    assert ("vault kv-ill", "fail", f"{update} --enable-purge-protection true") in said
    assert ("vault kv-ill", "fail", f"{update} --bypass AzureServices") in said
    assert ran.code == 3
    shown = desk.run("doctor", "--vault", "kv-ill").err
    assert f"To mend vault kv-ill:\n  {update} --bypass AzureServices\n" in shown


def test_the_doctor_asks_for_the_right_that_the_vault_refuses(desk: Desk, found: Small) -> None:
    desk.azure.estate.vault("kv-refusing", subscription=found.research)
    by_role = checks(desk.run("doctor", "--vault", "kv-refusing", "-o", "json").json())
    status, advice = by_role["keys of kv-refusing"]
    assert status == "fail"
    assert f'--assignee {ME} --role "Key Vault Reader"' in str(advice)
    desk.azure.estate.vault("kv-refusing").use_roles(rbac=False)
    by_policy = checks(desk.run("doctor", "--vault", "kv-refusing", "-o", "json").json())
    assert by_policy["keys of kv-refusing"] == (
        "fail",
        (
            f"az keyvault set-policy --name kv-refusing --object-id {ME}"
            " --key-permissions get list getrotationpolicy"
        ),
    )


def test_the_doctors_command_takes_no_permission_away(desk: Desk, found: Small) -> None:
    vault = desk.azure.estate.vault("kv-halfway", subscription=found.research)
    vault.use_roles(rbac=False)
    vault.grant(ME, {"get", "wrapKey", "unwrapKey"})
    told = checks(desk.run("doctor", "--vault", "kv-halfway", "-o", "json").json())
    held = "get list getrotationpolicy unwrapkey wrapkey"
    assert str(told["keys of kv-halfway"][1]).endswith(f"--key-permissions {held}")


def test_the_doctor_opens_a_firewall_only_where_one_refuses(desk: Desk, found: Small) -> None:
    shut = desk.azure.estate.vault("kv-shut", subscription=found.research)
    shut.grant(ME, KEYS)
    shut.network.default = "Deny"
    args = ("--vault", "kv-shut", "--vault", "kv-nowhere", "-o", "json")
    told = checks(desk.run("doctor", *args).json())
    assert str(told["keys of kv-shut"][1]).startswith("az keyvault network-rule add --name kv-shut")
    assert told["keys of kv-nowhere"][0] == "fail"
    assert told["keys of kv-nowhere"][1] == "az keyvault show --name kv-nowhere"


def test_the_doctor_looks_at_events_their_dead_letter_and_the_audit_log(
    desk: Desk, found: Small
) -> None:
    vault = desk.azure.estate.vault("kv-heard", subscription=found.research)
    vault.grant(ME, KEYS)
    place, held = vault.resource_id, desk.azure.estate.arm.extensions
    app = f"/subscriptions/{found.research}/resourceGroups/rg/providers/Microsoft.Web/sites/kt"

    def look() -> dict[str, tuple[str, str | None]]:
        return checks(desk.run("doctor", "--vault", "kv-heard", "-o", "json").json())

    unheard = look()
    assert unheard["events of kv-heard"][0] == "warn"
    assert str(unheard["events of kv-heard"][1]).startswith("azd hooks run postdeploy ")
    assert "az monitor diagnostic-settings create" in str(unheard["audit log of kv-heard"][1])

    to_app: dict[str, Any] = {
        "provisioningState": "Succeeded",
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {"resourceId": f"{app}/functions/key_events"},
        },
        "filter": {"includedEventTypes": None},
        "deadLetterDestination": None,
    }
    held.add(place, EVENT_SUBSCRIPTIONS, "keyturn", to_app)
    status, advice = look()["events of kv-heard"]
    assert status == "warn"
    assert str(advice).startswith(
        f"az eventgrid event-subscription update --name keyturn --source-resource-id {place}"
        " --deadletter-endpoint"
    )
    to_app["deadLetterDestination"] = {"endpointType": "StorageBlob"}
    logs = [{"categoryGroup": "audit", "enabled": True}]
    held.add(place, DIAGNOSTIC_SETTINGS, "d", {"workspaceId": f"{app}/w", "logs": logs})
    well = look()
    assert well["events of kv-heard"] == ("pass", None)
    assert well["audit log of kv-heard"] == ("pass", None)

    to_app["provisioningState"] = "AwaitingManualAction"
    status, advice = look()["events of kv-heard"]
    assert status == "fail"
    assert str(advice).startswith("azd hooks run postdeploy ")
    to_app["provisioningState"] = "Succeeded"

    account = app.replace("Microsoft.Web/sites", "Microsoft.Storage/storageAccounts")
    queue = {"resourceId": account, "queueName": EVENTS_QUEUE}
    through = {"endpointType": "StorageQueue", "properties": queue}
    to_app |= {"destination": None, "deliveryWithResourceIdentity": {"destination": through}}
    assert look()["events of kv-heard"] == ("pass", None)
    queue["queueName"] = "theirs"
    assert look()["events of kv-heard"][0] == "warn"


def test_the_doctor_looks_at_the_policy(desk: Desk) -> None:
    (desk.folder / "bad.yaml").write_text("modes: 1\n")
    args = ("doctor", "--vault", VAULT, "--policy", "bad.yaml", "-o", "json")
    told = checks(desk.run(*args).json())
    assert told["policy"] == ("fail", "keyturn policy check bad.yaml")


def test_a_vault_that_has_a_system_topic_gets_no_second_one(desk: Desk, found: Small) -> None:
    vault = desk.azure.estate.vault("kv-topic", subscription=found.research)
    vault.grant(ME, KEYS)
    group = f"/subscriptions/{found.research}/resourceGroups/rg-(events)"
    row = {
        "id": f"{group}/providers/Microsoft.EventGrid/systemTopics/st-kv",
        "properties": {"source": vault.resource_id},
    }
    graph, faults = "*ResourceGraph*", desk.azure.faults
    faults.add(Fault(method="POST", path=graph, times=2))  # the vault itself is found as ever
    faults.add(Fault(method="POST", path=graph, answer=shown(row), times=None))
    faults.add(
        Fault(method="GET", path="*/st-kv/eventSubscriptions", answer=Answer(200, {"value": []}))
    )
    told = checks(desk.run("doctor", "--vault", "kv-topic", "-o", "json").json())
    status, advice = told["events of kv-topic"]
    assert status == "warn"
    assert str(advice).startswith(
        "az eventgrid system-topic event-subscription create --name keyturn"
        " --resource-group 'rg-(events)' --system-topic-name st-kv --endpoint-type azurefunction"
    )
    assert "system-topic create" not in str(advice)


def shown(*rows: dict[str, Any]) -> Answer:
    body = {"data": rows, "count": len(rows), "totalRecords": len(rows)}
    return Answer(200, {**body, "resultTruncated": "false"})


def managed_hsm(desk: Desk, subscription: str, name: str = "hsm1", **properties: object) -> None:
    """Have Azure show a managed HSM, which the sandbox's Resource Manager does not have."""
    host = f"https://{name}.managedhsm.azure.net/"
    place = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.KeyVault"
    body = {
        "id": f"{place}/managedHSMs/{name}",
        "tenantId": "t",
        "properties": {"tenantId": "t", "hsmUri": host, **properties},
    }
    faults = desk.azure.faults
    faults.add(Fault(method="POST", path="*ResourceGraph*", answer=shown(body), times=None))
    faults.add(
        Fault(method="GET", path=f"*/managedHSMs/{name}", answer=Answer(200, body), times=None)
    )
    listed = Answer(200, {"value": []})
    path = f"*/managedHSMs/{name}/providers/Microsoft.Insights/diagnosticSettings"
    faults.add(Fault(method="GET", path=path, answer=listed, times=None))


def test_a_managed_hsm_is_mended_by_commands_of_its_own(desk: Desk, found: Small) -> None:
    desk.azure.estate.managed_hsm("hsm1")
    closed = {"defaultAction": "Deny", "bypass": "None"}
    managed_hsm(desk, found.research, enablePurgeProtection=False, networkAcls=closed)
    ran = desk.run("doctor", "--vault", "hsm1.managedhsm.azure.net", "-o", "json")
    told = checks(ran.json())
    advice = [row["advice"] for row in ran.json() if row["name"] == "vault hsm1"]
    update = "az keyvault update-hsm --hsm-name hsm1"
    assert advice == [
        f"{update} --enable-purge-protection true",
        f"{update} --bypass AzureServices",
    ]
    assert told["keys of hsm1"] == (
        "fail",
        (
            f"az keyvault role assignment create --hsm-name hsm1 --assignee {ME}"
            ' --role "Managed HSM Crypto Auditor" --scope /keys'
        ),
    )
    assert told["events of hsm1"] == ("pass", None)
    assert str(told["audit log of hsm1"][1]).startswith("az monitor diagnostic-settings create")


def test_the_doctor_finds_managed_hsms_by_itself(desk: Desk, found: Small) -> None:
    desk.azure.estate.managed_hsm("hsm2").grant(ME, KEYS)
    managed_hsm(desk, found.research, name="hsm2")
    told = checks(desk.run("doctor", "-o", "json").json())
    assert told["vault hsm2"] == ("pass", None)
    assert told["keys of hsm2"] == ("pass", None)


SAID = {"error": {"code": "AuthorizationFailed", "message": "may not"}}
ABOUT = "docs/cli.md#is-everything-as-it-must-be"


def test_what_could_not_be_looked_at_says_where_to_look(desk: Desk) -> None:
    desk.azure.faults.add(Fault(path="*/diagnosticSettings", answer=Answer(400, SAID), times=None))
    told = checks(desk.run("doctor", "--vault", VAULT, "-o", "json").json())
    assert told[f"audit log of {VAULT}"] == ("fail", "docs/troubleshooting.md")
    assert (CHECKOUT / "docs" / "troubleshooting.md").exists()


def test_what_the_apps_identity_does_without_is_not_looked_at_and_asks_for_no_role(
    desk: Desk,
) -> None:
    for path in ("*/eventSubscriptions", "*/diagnosticSettings"):
        desk.azure.faults.add(Fault(path=path, answer=Answer(403, SAID), times=None))
    rows = desk.run("doctor", "--vault", VAULT, "-o", "json").json()
    told = checks(rows)
    assert told[f"events of {VAULT}"] == ("warn", ABOUT)
    assert told[f"audit log of {VAULT}"] == ("warn", ABOUT)
    said = {row["name"]: str(row["said"]) for row in rows}
    assert "Microsoft.EventGrid/eventSubscriptions/read" in said[f"events of {VAULT}"]
    assert "Microsoft.Insights/diagnosticSettings/read" in said[f"audit log of {VAULT}"]
    assert "\n### Is everything as it must be?\n" in (CHECKOUT / "docs" / "cli.md").read_text()


def test_no_role_opens_a_vault_that_only_a_private_link_leads_to(desk: Desk, found: Small) -> None:
    vault = desk.azure.estate.vault("kv-private", subscription=found.research)
    vault.grant(ME, KEYS)
    vault.network.public = False
    told = checks(desk.run("doctor", "--vault", "kv-private", "-o", "json").json())
    assert told["keys of kv-private"] == ("fail", ABOUT)


def test_soft_delete_is_turned_on_by_what_still_can(desk: Desk, found: Small) -> None:
    place = f"/subscriptions/{found.research}/resourceGroups/rg/providers/Microsoft.KeyVault"
    uri = "https://kv-old.vault.azure.net/"
    properties = {"tenantId": "t", "vaultUri": uri, "enableSoftDelete": False}
    body = {"id": f"{place}/vaults/kv-old", "tenantId": "t", "properties": properties}
    faults = desk.azure.faults
    faults.add(Fault(method="POST", path="*ResourceGraph*", answer=shown(body), times=None))
    faults.add(Fault(method="GET", path="*/vaults/kv-old", answer=Answer(200, body), times=None))
    rows = desk.run("doctor", "--vault", "kv-old", "-o", "json").json()
    (advice,) = [row["advice"] for row in rows if row["said"] == "soft delete is off"]
    kept = "$(az keyvault show --name kv-old --query id -o tsv)"
    assert advice == f"az resource update --ids {kept} --set properties.enableSoftDelete=true"


def test_a_network_that_is_gone_is_looked_at_again_later(desk: Desk) -> None:
    env = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    told = checks(desk.run("doctor", "--vault", VAULT, "-o", "json", env=env).json())
    assert told["subscriptions"] == ("fail", "keyturn doctor")


def test_a_policy_whose_name_has_blanks_is_checked_by_a_command_that_runs(desk: Desk) -> None:
    (desk.folder / "my policy.yaml").write_text("modes: 1\n")
    args = ("doctor", "--vault", VAULT, "--policy", "my policy.yaml", "-o", "json")
    told = checks(desk.run(*args).json())
    assert told["policy"] == ("fail", "keyturn policy check 'my policy.yaml'")
