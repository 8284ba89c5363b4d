"""The base job template of the pods' work pool, with the site's options for pods put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from prefect.utilities.templating import apply_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stager.errors import ConfigurationError

TEMPLATE = Path(__file__).with_name("job_template.yaml")
# The only capabilities that a pod of root needs; docs/explanation/kubernetes-pool.md says what for.
ROOT_MAY = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "KILL", "SETGID", "SETUID"]

# A part of a manifest, as Kubernetes writes it.
Manifest = dict[str, Any]


class SitePods(BaseModel):
    """A site's options for pods, from the file at ``STAGER_PODS_FILE``.

    Attributes
    ----------
    acts_as
        ``user`` where the storage lets users write into their own folders;
        ``root`` where it takes root to make a folder or to give a file away.
    defaults
        What job_template.yaml has as the site's, and other defaults for its
        job variables, by name.
    env, env_from, volumes, volume_mounts, image_pull_secrets
        The container's and the pod's, as Kubernetes writes them: settings,
        the secrets by reference, the storage areas. No run can change them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    acts_as: Literal["user", "root"] = "user"
    defaults: dict[str, Any]
    env: list[Manifest] = Field(default_factory=list)
    env_from: list[Manifest] = Field(default_factory=list)
    volumes: list[Manifest] = Field(default_factory=list)
    volume_mounts: list[Manifest] = Field(default_factory=list)
    image_pull_secrets: list[Manifest] = Field(default_factory=list)


def read_pods(file: Path) -> SitePods:
    """Return the site's options for pods.

    Raises
    ------
    ConfigurationError
        The file is missing or says what is not known.
    """
    try:
        return SitePods.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, ValidationError, yaml.YAMLError) as error:
        raise ConfigurationError(file, str(error)) from error


def base_job_template(pods: SitePods, *, namespace: str, least_id: int = 0) -> dict[str, Any]:
    """Return the base job template of the work pool, with the site's options.

    Parameters
    ----------
    least_id
        The least user and group id that a run may ask for; no run asks for root.

    Raises
    ------
    ConfigurationError
        The site names no image, or says what the template has no name for.
    """
    template: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())
    fixed, variables = template.pop("site"), template["variables"]["properties"]
    if unknown := sorted(pods.defaults.keys() - variables.keys() - fixed.keys()):
        raise ConfigurationError(TEMPLATE, f"the template has no {', '.join(unknown)}")
    for name in pods.defaults.keys() & variables.keys():
        variables[name]["default"] = pods.defaults[name]
    fixed |= {name: value for name, value in pods.defaults.items() if name in fixed} | {"namespace": namespace}
    if fixed["image"] is None:
        raise ConfigurationError(TEMPLATE, "the site names no image")
    _keep_out(variables, least_id)
    template["job_configuration"] = apply_values(template["job_configuration"], fixed, remove_notset=False)
    _add(pods, template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"])
    return template


def _keep_out(variables: dict[str, Any], least_id: int) -> None:
    """Let the template refuse runs that ask for a system account."""
    variables["run_as_user"]["anyOf"][0]["minimum"] = max(1, least_id)
    variables["run_as_group"]["anyOf"][0]["minimum"] = least_id
    variables["supplemental_groups"]["items"]["minimum"] = least_id


def _add(pods: SitePods, pod: Manifest) -> None:
    """Add the site's options to a pod."""
    pod["volumes"] += pods.volumes
    pod["imagePullSecrets"] = pods.image_pull_secrets
    (container,) = pod["containers"]
    container["env"] += pods.env
    container["envFrom"] = pods.env_from
    container["volumeMounts"] += pods.volume_mounts
    if pods.acts_as == "root":
        pod["securityContext"] |= {"runAsUser": 0, "runAsGroup": 0, "supplementalGroups": [], "runAsNonRoot": False}
        container["securityContext"]["capabilities"]["add"] = ROOT_MAY
