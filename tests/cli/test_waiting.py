"""What was asked for and has no rotation yet can be found, and then approved or taken back."""

from typing import Any

from tests.cli.servers import Server
from tests.cli.test_wishes import run

WAITING: dict[str, Any] = {
    "id": "req-1",
    "state": "needs_approval",
    "summary": "waits for an approval",
    "key": "https://kv1.vault.azure.net/keys/cmk",
    "askedAt": "2026-11-01T10:00:00Z",
    "by": {"id": "t/o", "name": "ada@example.com"},
}
BY_POLICY: dict[str, Any] = WAITING | {"id": "exp-2", "state": "requested", "by": None}


def test_requests_are_listed_over_all_pages_with_who_asked(server: Server) -> None:
    following = "/api/requests?limit=1000&after=req-1"
    server.answers = [
        (200, {"items": [WAITING], "next": following}, {}),
        (200, {"items": [BY_POLICY], "next": None}, {}),
    ]
    ran = run(server, "requests")
    assert ran.exit_code == 0, ran.output
    first, second = (line.split() for line in ran.stdout.splitlines()[1:])
    assert first[:6] == [
        "req-1",
        "kv1/cmk",
        "needs_approval",
        "2026-11-01",
        "10:00",
        "ada@example.com",
    ]
    assert second[:6] == ["exp-2", "kv1/cmk", "requested", "2026-11-01", "10:00", "-"]
    assert [path for _, path, *_ in server.seen] == ["/api/requests?limit=1000", following]


def test_that_nothing_waits_is_said(server: Server) -> None:
    server.answers = [(200, {"items": [], "next": None}, {})]
    ran = run(server, "requests")
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == "Nothing waits.\n"
