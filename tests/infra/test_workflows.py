"""The forge's workflows, and the settings of editors."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
MAY_WRITE = {
    ("release.yml", "build"): {"id-token", "attestations"},
    ("release.yml", "publish"): {"contents"},
    ("deploy.yml", "deploy"): {"id-token"},
}
"""The jobs that may change something, and what."""


TEXT = {"type": "string", "minLength": 1}
COMMAND = {"type": ["string", "array", "object"]}


def closed(required: list[str], **properties: object) -> dict[str, object]:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_SCRIPT = closed(["shell", "run"], shell={"enum": ["sh", "pwsh"]}, run=TEXT)  # noqa: S604 - a field of that name
_HOOK = closed(["posix", "windows"], posix=_SCRIPT, windows=_SCRIPT)
AZD = closed(
    ["name", "infra", "services"],
    name={"type": "string", "minLength": 2, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    metadata=closed(["template"], template=TEXT),
    infra=closed([], provider={"type": "string", "pattern": "^[a-z0-9.]+$"}, path=TEXT),
    services={
        "type": "object",
        "minProperties": 1,
        "additionalProperties": closed(["host"], project=TEXT, language=TEXT, host=TEXT),
    },
    hooks=closed([], preprovision=_HOOK, postdeploy=_HOOK),
)
"""Of azd's published schema (azure-dev, schemas/v1.0/azure.yaml.json) what azure.yaml uses.

No package brings that schema. This one is closed, so that a further field is looked up there first.
"""

DEVCONTAINER = closed(
    ["build"],
    name=TEXT,
    build=closed(["dockerfile"], dockerfile=TEXT),
    remoteUser=TEXT,
    postCreateCommand=COMMAND,
    customizations={"type": "object", "additionalProperties": {"type": "object"}},
)
"""Of the published schema of containers (devcontainers/spec, schemas/devContainer.base.schema.json)
what ours uses; as ``AZD``."""


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


@every_workflow
def test_it_is_a_workflow(path: Path) -> None:
    found = find_spec("check_jsonschema")
    if found is None or found.origin is None:
        pytest.skip("check-jsonschema, which brings the schema, is not installed")
    vendored = Path(found.origin).parent / "builtin_schemas" / "vendor"
    schema = json.loads((vendored / "github-workflows.json").read_text())
    jsonschema.Draft7Validator(schema).validate(read(path))


def test_azd_and_the_container_have_only_fields_that_were_looked_up() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    jsonschema.Draft202012Validator(AZD).validate(read(ROOT / "azure.yaml"))
    jsonschema.Draft202012Validator(DEVCONTAINER).validate(container)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"name": "Keyturn"}, id="a name in capitals"),
        pytest.param({"hooks": {"postDeploy": {}}}, id="an event that is none"),
        pytest.param({"services": {"keyturn": {"project": "."}}}, id="a service without a host"),
        pytest.param({"service": {}}, id="a field that is misspelt"),
    ],
)
def test_what_azd_would_not_take_is_told(wrong: dict[str, Any]) -> None:
    document = {**read(ROOT / "azure.yaml"), **wrong}
    assert not jsonschema.Draft202012Validator(AZD).is_valid(document)


@every_workflow
def test_actions_are_pinned_by_the_hash_of_a_commit_and_say_their_version(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert len(used) == len([step for step in steps(path) if "uses" in step])
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+(\.\d+\.\d+)?", action), action


@every_workflow
def test_a_job_has_no_right_but_those_that_it_names(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        writes = {right for right, how in job["permissions"].items() if how == "write"}
        assert writes == MAY_WRITE.get((path.name, name), set()), name
        assert "timeout-minutes" in job, name


@every_workflow
def test_the_checkout_leaves_no_token_behind(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_no_script_is_made_of_what_others_write(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step


def test_what_others_send_runs_with_reading_rights_alone() -> None:
    for path in WORKFLOWS:
        triggers = read(path)["on"]
        assert "pull_request_target" not in str(triggers)
        if "pull_request" in str(triggers):
            rights = [job["permissions"] for job in read(path)["jobs"].values()]
            assert all(right == {"contents": "read"} for right in rights)


def test_a_deployment_sets_what_the_template_asks_for_and_holds_no_secret() -> None:
    parameters = (ROOT / "infra" / "main.parameters.json").read_text()
    (job,) = read(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"].values()
    defaults = dict(re.findall(r"\$\{(\w+)=([^}]*)\}", parameters))
    assert set(job["env"]) >= set(re.findall(r"\$\{(\w+)", parameters))
    for name, default in defaults.items():  # an empty variable is set, and takes no default
        assert job["env"][name] == (
            f"${{{{ vars.{name} || '{default}' }}}}" if default else f"${{{{ vars.{name} }}}}"
        )
    assert "secrets." not in (ROOT / ".github" / "workflows" / "deploy.yml").read_text()


def test_the_forge_runs_what_the_readme_says() -> None:
    runs = [step.get("run") for step in steps(ROOT / ".github" / "workflows" / "ci.yml")]
    assert "make check" in runs
    assert "make test" in runs


def test_the_forge_compiles_every_template(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("what is tracked is not known here")
    (compiling,) = [
        step["run"]
        for step in steps(ROOT / ".github" / "workflows" / "ci.yml")
        if "bicep" in step.get("run", "")
    ]
    az = tmp_path / "az"
    az.write_text(f'#!/bin/sh\necho "$4" >> "{tmp_path}/built"\n')
    az.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    shell = ["bash", "-e", "-o", "pipefail", "-c", compiling]  # as the forge's runner has it
    subprocess.run(shell, cwd=ROOT, env={"PATH": path}, check=True, timeout=60)  # noqa: S603 - ours
    built = (tmp_path / "built").read_text().split()
    assert sorted(built) == sorted(
        str(file.relative_to(ROOT)) for file in (ROOT / "infra").rglob("*.bicep")
    )
    az.write_text("#!/bin/sh\nexit 1\n")
    failed = subprocess.run(shell, cwd=ROOT, env={"PATH": path}, check=False, timeout=60)  # noqa: S603 - ours
    assert failed.returncode == 1


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / ".vscode").glob("*.json")), ROOT / ".devcontainer" / "devcontainer.json"],
    ids=lambda path: path.name,
)
def test_editors_can_read_their_settings(path: Path) -> None:
    assert json.loads(path.read_text())


def test_the_editor_launches_modules_that_exist() -> None:
    launch = json.loads((ROOT / ".vscode" / "launch.json").read_text())
    for each in launch["configurations"]:
        assert find_spec(each["module"]), each["name"]


def test_the_container_has_the_python_of_the_project() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    dockerfile = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text()
    assert re.search(r"^FROM python:3\.13-", dockerfile, re.MULTILINE)


def test_every_request_that_is_shown_is_one_of_the_app() -> None:
    index = json.loads((ROOT / "tests" / "golden" / "index.json").read_text())
    routes = [
        (method, re.sub(r"{\w+}", "[^/]+", binding["route"]))
        for function in index
        for binding in function["bindings"]
        if binding["type"] == "httpTrigger"
        for method in binding["methods"]
    ]
    shown = re.findall(
        r"^(GET|POST) {{url}}/api/(\S+)$", (ROOT / "test.http").read_text(), re.MULTILINE
    )
    assert shown
    for method, path in shown:
        assert any(m == method and re.fullmatch(r, path) for m, r in routes), path
