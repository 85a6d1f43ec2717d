"""The package is what the platform's remote build would make."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from sandbox.functions_host.process import FunctionsHost
from sandbox.packaging import build_package, lay_out

APP = """
import azure.functions as func
import greeting
from shared.words import NAME

app = func.FunctionApp()


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
def greet(req: func.HttpRequest) -> str:
    return f"{greeting.WORD} {NAME} from {greeting.__file__}"
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# Writes a wheel with nothing but the standard library: the test needs no package index.
BACKEND = """
import zipfile
from pathlib import Path


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "greeting-1.0-py3-none-any.whl"
    info = "greeting-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n"
    tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(Path(directory) / name, "w") as wheel:
        wheel.writestr("greeting.py", "WORD = 'hello'")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An app that needs a package, beside things that must not be deployed."""
    files = {
        "app/function_app.py": APP,
        "app/host.json": "{}",
        "app/shared/words.py": "NAME = 'world'",
        "app/requirements.txt": f"{tmp_path / 'greeting'}\n",
        "app/tests/test_x.py": "",
        "app/docs/page.md": "",
        "app/docs/kept.txt": "",
        "app/local.settings.json": "{}",
        "app/.funcignore": "# not deployed\n/tests/\n*.md\nlocal.settings.json\n.funcignore\n",
        "greeting/pyproject.toml": PYPROJECT,
        "greeting/backend.py": BACKEND,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "app"


def contents(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if path.parts[0] != ".python_packages"}


def test_what_funcignore_names_stays_behind(source: Path, tmp_path: Path) -> None:
    build_package(source, tmp_path / "package")

    assert contents(tmp_path / "package") == {
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared/words.py",
        "docs/kept.txt",
    }


def test_an_app_can_be_laid_out_without_its_requirements(source: Path, tmp_path: Path) -> None:
    build_package(source, tmp_path / "package")
    lay_out(source, tmp_path / "bare")

    assert contents(tmp_path / "bare") == contents(tmp_path / "package")
    assert not (tmp_path / "bare/.python_packages").exists()


def test_requirements_are_where_the_worker_looks(source: Path, tmp_path: Path) -> None:
    build_package(source, tmp_path / "package")

    packages = tmp_path / "package/.python_packages/lib/site-packages"
    assert (packages / "greeting.py").read_text() == "WORD = 'hello'"


def test_the_host_runs_the_package_with_its_own_modules(source: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    build_package(source, package)

    with FunctionsHost.start(package, {}, log=tmp_path / "log") as host:
        text = requests.get(f"{host.url}/api/greet", timeout=30).text

    assert text == (f"hello world from {package}/.python_packages/lib/site-packages/greeting.py")


def test_a_package_inside_its_source_does_not_contain_itself(source: Path) -> None:
    (source / "requirements.txt").unlink()

    build_package(source, source / "build")

    assert not (source / "build/build").exists()


def test_an_existing_target_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/precious").write_text("")

    result = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "sandbox.packaging", str(source), str(tmp_path / "package")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "could not be built" in result.stderr
    assert contents(tmp_path / "package") == {"precious"}


def test_an_app_whose_requirements_cannot_be_installed_is_refused(
    source: Path, tmp_path: Path
) -> None:
    (source / "requirements.txt").write_text(f"{tmp_path / 'no_such_package'}\n")

    with pytest.raises(subprocess.CalledProcessError):
        build_package(source, tmp_path / "package")
