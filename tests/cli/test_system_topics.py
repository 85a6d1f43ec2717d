"""Event subscriptions over a vault's system topic, as the portal and ``azd`` make them.

The sandbox has no system topics: what Azure would answer is given in its place, in the form of
azure-rest-api-specs (eventgrid 2022-06-15).
"""

from sandbox.faults import Answer, Fault
from tests.cli.desk import Desk
from tests.cli.estates import VAULT, Small


def test_the_doctor_finds_what_hangs_on_the_system_topic(desk: Desk, found: Small) -> None:
    vault = desk.azure.estate.vault(VAULT).resource_id
    group = f"/subscriptions/{found.payments}/resourceGroups/rg-events"
    topic = f"{group}/providers/Microsoft.EventGrid/systemTopics/st-kv"
    site = f"{group}/providers/Microsoft.Web/sites/keyturn"
    row = {"id": topic, "properties": {"source": vault.upper()}}
    subscription = {
        "id": f"{topic}/eventSubscriptions/keyturn",
        "properties": {
            "provisioningState": "Succeeded",
            "destination": {
                "endpointType": "AzureFunction",
                "properties": {"resourceId": f"{site}/functions/key_events"},
            },
            "filter": {"includedEventTypes": ["Microsoft.KeyVault.KeyNewVersionCreated"]},
            "deadLetterWithResourceIdentity": {
                "deadLetterDestination": {"endpointType": "StorageBlob"}
            },
        },
    }
    graph, faults = "*ResourceGraph*", desk.azure.faults
    faults.add(Fault(method="POST", path=graph, times=2))  # the vault itself is found as ever
    rows = {"data": [row], "count": 1, "totalRecords": 1, "resultTruncated": "false"}
    faults.add(Fault(method="POST", path=graph, answer=Answer(200, rows)))
    listed = Answer(200, {"value": [subscription]})
    faults.add(Fault(method="GET", path="*/st-kv/eventSubscriptions", answer=listed))

    rows_told = desk.run("doctor", "--vault", VAULT, "-o", "json").json()

    (heard,) = [row for row in rows_told if row["name"] == f"events of {VAULT}"]
    assert heard["status"] == "warn"
    assert "leaves out Microsoft.KeyVault.KeyNearExpiry" in str(heard["said"])
    assert str(heard["advice"]).startswith(
        "az eventgrid system-topic event-subscription update --name keyturn"
        " --resource-group rg-events --system-topic-name st-kv --included-event-types"
    )
