"""The package that is deployed: what is in it, and that it works alone."""

import inspect
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.azure import LocalAzure
from sandbox.functions_host.process import FunctionsHostFailedError
from sandbox.packaging import build_package
from tests.e2e.stage import CHECKOUT, Stage, deployed, verdicts

_PACKAGES = ".python_packages/lib/site-packages"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this checkout as git has it, with what is not committed yet."""
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(  # noqa: S603 - no part of it comes from outside
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    folder = tmp_path_factory.mktemp("package")
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / "source" / name)
    build_package(folder / "source", folder / "app")
    return folder / "app"


def test_the_package_holds_the_app_and_nothing_else(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == [
        ".python_packages",
        "function_app.py",
        "functions",
        "host.json",
        "requirements.txt",
        "shared",
    ]


def test_the_end_to_end_tests_run_what_is_packaged(package: Path) -> None:
    def files(app: Path) -> set[Path]:
        found = (path.relative_to(app) for path in app.rglob("*.*") if path.is_file())
        return {p for p in found if not {".python_packages", "__pycache__"} & set(p.parts)}

    assert files(deployed()) == files(package)
    default = inspect.signature(Stage.start).parameters["app"].default
    assert default is None, "which is what is deployed"


def test_the_package_brings_no_library_that_slows_its_start(package: Path) -> None:
    """With aiohttp present the storage SDKs import it; the management SDKs are large (ADR 0005)."""
    brought = {path.name for path in (package / _PACKAGES).iterdir()}
    management = {path.name for path in (package / _PACKAGES / "azure" / "mgmt").iterdir()}

    assert "aiohttp" not in brought
    assert {name for name in management if not name.startswith("_")} == {"core"}


def test_the_package_loads_its_own_modules(
    package: Path, local_azure: Callable[[float], LocalAzure]
) -> None:
    """Seen in the traceback of a refusal, which names the file that raised it."""
    with (
        local_azure(60) as azure,
        pytest.raises(FunctionsHostFailedError) as refused,
    ):
        azure.start_app(package, {})

    assert f'File "{package}/shared/settings.py"' in str(refused.value)
    assert f'File "{CHECKOUT}/shared' not in str(refused.value)


def test_the_package_goes_the_whole_way(
    package: Path, local_azure: Callable[[float], LocalAzure]
) -> None:
    with local_azure(60) as azure:
        stage = Stage(azure)
        key = stage.key()
        account = stage.account("stpackaged", key)
        stage.start(app=package)

        target = stage.rotate(key)
        report = stage.ended(target)

        assert verdicts(report) == {"stpackaged": "verified"}
        assert stage.in_use(account) == target


def test_the_app_and_the_command_ask_for_the_same_versions_of_what_both_need() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    command = dict(map(_split, project["project"]["dependencies"]))
    app = dict(map(_split, project["dependency-groups"]["app"]))
    shared = set(command) & set(app)
    assert {name: command[name] for name in shared} == {name: app[name] for name in shared}
    assert {"typer", "rich"}.isdisjoint(app)


def _split(requirement: str) -> tuple[str, str]:
    name = re.split(r"[~=<>]", requirement)[0]
    return name, requirement.removeprefix(name)
