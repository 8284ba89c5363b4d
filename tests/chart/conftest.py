"""The chart, rendered without a cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.patience import PATIENCE

CHECKOUT = Path(__file__).parents[2]
CHART = CHECKOUT / "charts" / "skao-staging-service"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
HELM = shutil.which("helm") or shutil.which("helm", path=CHECKOUT / ".run" / "bin")
KUBERNETES = "1.34"

Manifest = dict[str, Any]
Helm = Callable[..., subprocess.CompletedProcess[str]]


class Rendered(list[Manifest]):
    """The manifests that the chart makes of some values."""

    def of(self, kind: str, part: str = "") -> Manifest:
        """Return the one object of a kind, and of a part of the service where it has several."""
        (found,) = [one for one in self if one["kind"] == kind and one["metadata"]["name"].endswith(part)]
        return found

    def pods(self) -> dict[str, Manifest]:
        """Return what each pod is to be, by its component."""
        kinds = {"Deployment", "StatefulSet", "Job"}
        found = {name_of(one): one["spec"]["template"]["spec"] for one in self if one["kind"] in kinds}
        return found | {name_of(one): one["spec"] for one in self if one["kind"] == "Pod"}


def name_of(manifest: Manifest) -> str:
    """Return the component that an object belongs to."""
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])


def variables(container: Manifest) -> dict[str, Any]:
    """Return a container's variables: each value, or where it is from."""
    return {one["name"]: one.get("valueFrom", one.get("value")) for one in container["env"]}


def policies(rendered: Rendered) -> dict[str, Manifest]:
    """Return the network policies, by the component that each is for."""
    found = [one for one in rendered if one["kind"] == "NetworkPolicy"]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"] for one in found}


def reaches_address(rules: list[Manifest], address: str, port: int) -> bool:
    """Return whether rules lead to an address outside the cluster."""
    return any(
        ip_address(address) in ip_network(to["ipBlock"]["cidr"])
        for rule in rules
        for to in rule.get("to", [])
        if "ipBlock" in to and port in {one["port"] for one in rule["ports"]}
    )


def values_on_page(page: str, folder: Path) -> Path:
    """Return a file in a folder with the values that a page of the manual shows."""
    text = (CHECKOUT / "docs" / "how-to" / page).read_text()
    (values,) = [block for block in text.split("```yaml\n")[1:] if "config:" in block]
    file = folder / "values.yaml"
    file.write_text(values.partition("```")[0])
    return file


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm: what it printed, and how it ended."""
    if HELM is None:
        pytest.skip("needs helm")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE)

    return run


@pytest.fixture(scope="session")
def template(helm: Helm) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``helm template`` of the chart, with Helm's options and values on top of what files say."""

    def run(*files: Path | str, **values: object) -> subprocess.CompletedProcess[str]:
        options = [option for one in files for option in (("--values", str(one)) if isinstance(one, Path) else (one,))]
        options += [option for key, value in values.items() for option in ("--set-json", f"{key}={json.dumps(value)}")]
        fixed = ("staging", str(CHART), "--namespace", "site", "--kube-version", KUBERNETES)
        return helm("template", *fixed, *options)

    return run


@pytest.fixture(scope="session")
def render(template: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Rendered]:
    """The manifests that the chart makes."""

    def run(*files: Path | str, **values: object) -> Rendered:
        done = template(*files, **values)
        assert done.returncode == 0, done.stderr
        return Rendered(one for one in yaml.safe_load_all(done.stdout) if one)

    return run


@pytest.fixture(params=VALUES, ids=lambda file: file.stem)
def values_file(request: pytest.FixtureRequest) -> Path:
    """Each of the values files."""
    return Path(request.param)
