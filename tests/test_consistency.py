"""What must be said in several places is said in all of them."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic_settings import BaseSettings

from deployments import POD_POOL, WORK_POOL
from deployments.local.banner import curl
from deployments.local.products import FOLDER, MEASUREMENT_SET
from deployments.local.settings import LocalSettings
from manual.settings_table import settings_table, variable
from stager import errors
from stager.insight.explain.recorded_reason import MENDED_BY
from stager.methods.all_methods import METHODS
from stager.settings import Settings
from tests.ports import NO_PREFECT

CHECKOUT = Path(__file__).parents[1]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
DEPLOYMENTS = {
    deployment["name"]: deployment
    for deployment in yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"]
}
ERRORS = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, errors.StagingError)
}
ALLOWED_BY_DEFAULT = Settings.model_fields["allowed_methods"].default


def page(name: str) -> str:
    return (CHECKOUT / "docs" / name).read_text()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_has_a_deployment_for_people_and_one_for_the_service(name: str) -> None:
    flows = importlib.import_module(f"flows.{name}")
    deployment = name.replace("_", "-")
    form, from_api = DEPLOYMENTS[deployment], DEPLOYMENTS[f"{deployment}-from-api"]
    entrypoints = f"flows.{name}.{name}", f"flows.{name}.{name}_from_api"
    assert (form["entrypoint"], from_api["entrypoint"]) == entrypoints
    assert {getattr(flows, found.rpartition(".")[2]).name for found in entrypoints} == {deployment}
    assert (form["tags"], from_api["tags"]) == (["staging", "form"], ["staging", "internal"])


def test_there_is_no_flow_and_no_deployment_without_a_method_but_the_sweep() -> None:
    flows = {file.stem for file in (CHECKOUT / "flows").glob("*.py")} - {"__init__"}
    assert flows == {*METHODS, "sweep"}
    named = {name.removesuffix("-pod").removesuffix("-from-api").replace("-", "_") for name in DEPLOYMENTS}
    assert named == {*METHODS, "sweep"}
    assert DEPLOYMENTS["sweep"]["schedules"]


@pytest.mark.parametrize("suffix", ["", "-from-api"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_runs_in_pods_as_it_does_warm(name: str, suffix: str) -> None:
    deployment = name.replace("_", "-") + suffix
    warm, pod = DEPLOYMENTS[deployment], DEPLOYMENTS[f"{deployment}-pod"]
    assert (warm["work_pool"]["name"], pod["work_pool"]["name"]) == (WORK_POOL, POD_POOL)
    differs = {"name", "work_pool"}
    assert {k: v for k, v in warm.items() if k not in differs} == {k: v for k, v in pod.items() if k not in differs}


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [int(file.name[:4]) for file in sorted((CHECKOUT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", sorted({*METHODS, *ALLOWED_BY_DEFAULT}))
def test_every_method_is_described(name: str) -> None:
    assert f"\n## {name}\n" in page("reference/methods.md")


@pytest.mark.parametrize(
    ("settings", "mark", "name"),
    [
        *((Settings, "settings", name) for name in Settings.model_fields),
        *((LocalSettings, "settings-of-make-up", name) for name in LocalSettings.model_fields),
    ],
)
def test_every_setting_is_in_the_reference(settings: type[BaseSettings], mark: str, name: str) -> None:
    assert f"<!-- generated: {mark} -->\n" in page("reference/settings.md")
    [row] = [
        row for row in settings_table(settings).splitlines() if row.startswith(f"| `{variable(settings, name)}` |")
    ]
    assert row.endswith(f" | {settings.model_fields[name].description} |")
    assert settings.model_fields[name].description


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_can_be_given_to_the_chart(name: str) -> None:
    chart = CHECKOUT / "charts" / "skao-staging-service"
    schema = json.loads((chart / "values.schema.json").read_text())
    given = schema["properties"]["config"]["properties"]["settings"]["propertyNames"]["enum"]
    in_secret = schema["properties"]["prefect"]["properties"]["authSecret"]["description"]
    rendered = "".join(file.read_text() for file in (chart / "templates").rglob("*") if file.is_file())
    where = "add it to config.settings in charts/skao-staging-service/values.schema.json"
    assert (
        variable(Settings, name) in given
        or f"`{variable(Settings, name)}`" in in_secret
        or variable(Settings, name) in rendered
    ), where


def test_the_readmes_line_is_for_whoever_types_it_the_one_that_make_up_prints() -> None:
    settings = LocalSettings(host="127.0.0.1", port=8000, source_storage_path=Path("/storage"))
    printed = curl(settings, product=settings.storage / FOLDER / MEASUREMENT_SET)
    [line] = re.findall(r"^\$ (curl .*)$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    said = subprocess.check_output(["/bin/sh", "-c", f"printf '%s\\n' {line}"], text=True)
    assert said.splitlines() == shlex.split(printed)


def test_every_error_is_in_the_tree() -> None:
    assert len(ERRORS) > 1
    assert ERRORS == errors.KINDS
    assert set(ERRORS) - set(re.findall(r"\w+", str(errors.__doc__))) == set()


def test_the_tree_says_which_errors_may_be_retried() -> None:
    marked = set(re.findall(r"([A-Z]\w+)[^A-Z\n]*\(retryable\)", str(errors.__doc__)))
    below = {name for name, found in ERRORS.items() if any(base.__name__ in marked for base in found.__mro__)}
    assert below == {name for name, found in ERRORS.items() if found.retryable}


def test_every_cause_that_the_api_page_names_is_told_and_none_is_left_out() -> None:
    rows = page("how-to/api.md").partition("| cause | meaning |")[2].partition("\n\n")[0]
    named = {cause for row in rows.splitlines() for cause in re.findall(r"`([A-Z]\w+)`", row.split(" | ")[0])}
    code = "".join((CHECKOUT / "stager" / "dispatch" / file).read_text() for file in ("pod_trouble.py", "pod_watch.py"))
    assert set(MENDED_BY) - named == set()
    assert {cause for cause in named - set(MENDED_BY) - set(ERRORS) if f'"{cause}"' not in code} == {"Unschedulable"}


def test_every_test_that_the_guarantees_name_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page("reference/guarantees.md"))
    assert named
    assert [test for test in named if f"def {test[1]}(" not in (CHECKOUT / test[0]).read_text()] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    links = [(file, to) for file in PAGES for to in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text())]
    assert links
    assert [(file.name, to) for file, to in links if not (file.parent / to).exists()] == []


def test_a_package_has_one_version_in_all_requirements_and_no_index_is_named() -> None:
    files = [file.read_text() for file in sorted((CHECKOUT / "requirements").glob("*.txt"))]
    versions: dict[str, set[frozenset[str]]] = {}
    for file in files:
        pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", file, flags=re.MULTILINE)
        for name in {name for name, _ in pins}:
            versions.setdefault(name, set()).add(frozenset(version for named, version in pins if named == name))
    assert (len(files), "prefect" in versions) == (8, True)
    # What generates a client wants an older one.
    assert {name for name, found in versions.items() if len(found) > 1} == {"typer"}
    assert re.findall(r"://|--.*index.*", "".join(files)) == []


@pytest.mark.parametrize("folder", ["tests/service/access/oidc", "tests/stack/clients", "deployments/local/hub"])
def test_packages_of_node_are_locked_and_no_registry_is_named(folder: str) -> None:
    lock = json.loads((CHECKOUT / folder / "package-lock.json").read_text())
    wanted = json.loads((CHECKOUT / folder / "package.json").read_text())["dependencies"]
    locked = {name.removeprefix("node_modules/"): package for name, package in lock["packages"].items() if name}
    assert {name: locked[name]["version"] for name in wanted} == wanted
    assert [name for name, package in locked.items() if "resolved" in package or "integrity" not in package] == []


@pytest.mark.parametrize(
    ("left_out", "ours"),
    [
        ("'kubernetes_asyncio', 'prefect_kubernetes'", "stager.app, stager.dispatch.__main__, workers.__main__"),
        ("'kubernetes_asyncio', 'prefect_kubernetes'", "deployments.register, deployments.local.__main__"),
        ("'boto3', 'botocore'", "stager.app, stager.dispatch.__main__, deployments.register"),
        ("'boto3', 'botocore'", "stager.peers.s3.connection, stager.peers.s3.names"),
    ],
)
def test_nothing_is_imported_that_only_some_need(left_out: str, ours: str) -> None:
    without = f"import sys; sys.modules.update(dict.fromkeys([{left_out}]))"
    nobody = os.environ | {"PREFECT_API_URL": NO_PREFECT}  # else Prefect starts a server of its own
    subprocess.run([sys.executable, "-c", f"{without}; import {ours}"], cwd=CHECKOUT, check=True, env=nobody)
