"""The page about the HTTP API, and what else is written about it, is true of the operations."""

import re
from pathlib import Path

import pytest

from functions.operations import read_query
from functions.problems import RequestError
from functions.rotations_api import RotationsQuery
from shared.domain.views import State
from tests.functions.api import CalledApi

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()


def test_the_table_has_every_call_with_its_role(empty: CalledApi) -> None:
    told = re.findall(r"^\| `(GET|POST) /api/(\S+)` \| `?([\w.]+)`? \|$", PAGE, re.MULTILINE)
    wanted = [(each.method, each.route, str(each.needs or "anybody")) for each in empty.operations]
    assert told == wanted


@pytest.mark.parametrize("page", ["docs/api.md", "README.md"])
def test_every_route_that_is_mentioned_is_there(empty: CalledApi, page: str) -> None:
    text = (ROOT / page).read_text()
    there = [re.sub(r"\{\w+\}", "[^/]+", f"/api/{each.route}") for each in empty.operations]
    mentioned = re.findall(r"/api/[^\s`\"?)…]+", text)
    assert mentioned
    unknown = [m for m in mentioned if not any(re.fullmatch(p, m.rstrip(".,:;")) for p in there)]
    assert unknown == []


def test_every_state_is_named() -> None:
    assert [state for state in State if f"`{state}`" not in PAGE] == []


def test_the_problem_that_is_shown_is_what_is_answered() -> None:
    with pytest.raises(RequestError) as refused:
        read_query({"limit": "0"}, RotationsQuery)
    (part,) = refused.value.parts
    assert f'"detail": "{refused.value}"' in PAGE
    assert f'{{"pointer": "{part.pointer}", "detail": "{part.detail}"}}' in PAGE
