"""The pages for operators: links lead somewhere, and numbers and names are the code's."""

import json
import re
from pathlib import Path

import pytest

from shared.domain.callers import Role
from tests.azure_files import ROLES
from tests.e2e import test_budgets as budgets

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "adr" not in path.parts)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))


def text(name: str) -> str:
    return (DOCS / name).read_text()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings', as the forge makes them, and its own."""
    text = page.read_text()
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found]
    own = re.findall(r'<a id="([\w-]+)"></a>', text)
    return {*own, *(heading.replace(" ", "-") for heading in plain)}


@every_page
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_the_index_names_every_page() -> None:
    named = set(re.findall(r"\]\(([\w/.-]+\.md)\)", text("README.md")))
    pages = {str(page.relative_to(DOCS)) for page in PAGES} - {"README.md"}
    assert pages <= named


def test_every_variable_of_a_deployment_is_explained() -> None:
    parameters = (ROOT / "infra" / "main.parameters.json").read_text()
    ours = {name for name in re.findall(r"\$\{(\w+)", parameters) if name.startswith("KEYTURN_")}
    table = text("deploy.md").partition("## Options")[2].partition("## Sign-in")[0]
    assert set(re.findall(r"`(KEYTURN_\w+)`", table)) == ours


def test_the_defaults_that_are_told_are_those_of_the_parameters() -> None:
    parameters = (ROOT / "infra" / "main.parameters.json").read_text()
    defaults = dict(re.findall(r"\$\{(\w+)=([^}]+)\}", parameters))
    told = dict(re.findall(r"^\| `(KEYTURN_\w+)` \| `([^`]+)` \|", text("deploy.md"), re.MULTILINE))
    assert len(told) >= 5
    for name, default in told.items():
        assert defaults[name] == default, name


def test_every_role_can_be_granted_as_it_is_shown() -> None:
    shown = re.findall(r"^infra/roles/grant.sh (\S+) ", text("deploy.md"), re.MULTILINE)
    assert sorted(shown) == sorted(ROLES)


def test_the_app_roles_are_those_that_the_api_knows() -> None:
    roles = json.loads((ROOT / "infra" / "auth" / "app-roles.json").read_text())
    assert {role["value"] for role in roles} == set(Role)
    assert len({role["id"] for role in roles}) == len(roles)
    for role in Role:
        assert f"`{role}`" in text("deploy.md")


def test_the_cost_is_worked_out_from_what_is_counted() -> None:
    page = text("cost.md")
    for count, what in (
        (budgets.WRITES, "write"),
        (budgets.READS, "reads"),
        (budgets.LISTS, "lists"),
        (budgets.MESSAGES, "messages"),
        (budgets.ROWS, "operations on rows"),
    ):
        assert re.search(rf"\b{count} {what}\b", page), what
    rows = re.findall(r"^\| ([\d,]+) \| (.*) \|$", page, re.MULTILINE)
    assert [number for number, _ in rows] == ["10", "1,000", "10,000"]
    for number, rest in rows:
        consumers = int(number.replace(",", ""))
        told = [int(cell.replace(",", "")) for cell in rest.split(" | ")]
        messages, steps = budgets.MESSAGES * consumers, budgets.MESSAGES * consumers
        assert told == [messages, 3 * messages, budgets.ROWS * consumers, steps, 2 * steps]
