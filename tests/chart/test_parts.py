"""The parts of the chart, each as it was asked for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from deployments.job_template import base_job_template, read_pods
from stager.insight.metrics.families import RecordedFamilies
from stager.insight.metrics.recorded import RecordedMetrics
from stager.models import Status
from stager.records.database import Database
from stager.records.migrate import migrate
from tests.chart.conftest import KUBERNETES, VALUES, Manifest, Rendered, name_of

Render = Callable[..., Rendered]
Template = Callable[..., subprocess.CompletedProcess[str]]
FILES = {file.stem: file for file in VALUES}
FULLNAME = "staging-skao-staging-service"
NGINX = "nginx.ingress.kubernetes.io"


def test_no_path_of_the_ingress_is_rewritten_to_the_root(render: Render) -> None:
    annotations = render(FILES["demo"]).of("Ingress", "-api")["metadata"]["annotations"]
    assert f"{NGINX}/rewrite-target" not in annotations


def test_any_other_rewriting_stays(render: Render) -> None:
    wanted = {f"{NGINX}/rewrite-target": "/staging/$1"}
    annotations = render(**{"ingress.annotations": wanted}).of("Ingress", "-api")["metadata"]["annotations"]
    assert wanted.items() <= annotations.items()


def test_nginx_hands_on_long_downloads_and_event_streams(render: Render) -> None:
    annotations = render(FILES["demo"]).of("Ingress", "-api")["metadata"]["annotations"]
    assert annotations[f"{NGINX}/proxy-buffering"] == "off"
    assert int(annotations[f"{NGINX}/proxy-read-timeout"]) >= 3600


def test_nginx_lets_in_what_the_service_takes(render: Render) -> None:
    annotations = render(FILES["demo"]).of("Ingress", "-api")["metadata"]["annotations"]
    assert annotations[f"{NGINX}/proxy-body-size"] == "0"
    assert annotations[f"{NGINX}/proxy-request-buffering"] == "off"


def test_a_certificate_is_for_its_hosts_and_links_say_https(render: Render) -> None:
    rendered = render(FILES["production"])
    ingress = rendered.of("Ingress", "-api")["spec"]
    assert ingress["tls"] == [{"secretName": "staging-tls", "hosts": ["staging.example.org"]}]
    assert rendered.of("ConfigMap", "-environment")["data"]["STAGER_PUBLIC_URL"] == "https://staging.example.org"


def test_behind_its_nginx_the_service_hears_its_own_pod_alone(render: Render) -> None:
    rendered = render(FILES["production"])
    api, nginx = rendered.pods()["api"]["containers"]
    assert api["args"][api["args"].index("--host") + 1] == "127.0.0.1"
    assert "ports" not in api
    assert nginx["ports"] == [{"name": "http", "containerPort": 8000}]
    told = rendered.of("ConfigMap", "-nginx")["data"]["nginx.conf"]
    assert "listen 8000;" in told
    assert "server 127.0.0.1:8001;" in told


def test_the_service_and_its_nginx_share_a_secret_that_no_config_map_has(render: Render) -> None:
    rendered = render(FILES["production"])
    held = rendered.of("Secret", "-nginx")
    [asked] = [one for one in rendered.pods()["api"]["containers"][0]["env"] if one["name"] == "STAGER_NGINX_SECRET"]
    sources = [one["projected"]["sources"] for one in rendered.pods()["api"]["volumes"] if one["name"] == "nginx"]
    word = held["stringData"]["STAGER_NGINX_SECRET"]

    assert len(word) == 32
    assert held["stringData"]["secret.conf"] == f"proxy_set_header X-Stager-Secret {word};\n"
    assert asked["valueFrom"]["secretKeyRef"] == {"name": held["metadata"]["name"], "key": "STAGER_NGINX_SECRET"}
    items = [{"key": "secret.conf", "path": "secret.conf"}]
    assert {"secret": {"name": held["metadata"]["name"], "items": items}} in sources[0]
    assert "include secret.conf;" in rendered.of("ConfigMap", "-nginx")["data"]["nginx.conf"]
    assert word not in "".join(json.dumps(one) for one in rendered if one["kind"] != "Secret")


def test_nginx_sees_the_storages_where_the_service_sees_them(render: Render) -> None:
    rendered = render(FILES["production"])
    api, nginx = (
        {mount["name"]: mount for mount in one["volumeMounts"]} for one in rendered.pods()["api"]["containers"]
    )
    assert nginx.keys() - api.keys() == {"nginx"}
    assert {name: nginx[name] for name in api} == api
    prefix = rendered.of("ConfigMap", "-environment")["data"]["STAGER_NGINX_FILES"]
    assert f"location {prefix}/ {{" in rendered.of("ConfigMap", "-nginx")["data"]["nginx.conf"]


def test_what_is_scaled_has_no_number_of_its_own(render: Render) -> None:
    rendered = render(FILES["production"])
    (api,) = [one for one in rendered if one["kind"] == "Deployment" and name_of(one) == "api"]
    assert "replicas" not in api["spec"]
    metrics = rendered.of("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [metric["resource"]["name"] for metric in metrics] == ["cpu", "memory"]


def test_scaling_by_nothing_is_refused(template: Template) -> None:
    nothing = {"enabled": True, "targetCPUUtilizationPercentage": None, "targetMemoryUtilizationPercentage": None}
    done = template(autoscaling=nothing)
    assert "give targetCPUUtilizationPercentage or targetMemoryUtilizationPercentage" in done.stderr


def test_without_warm_workers_every_request_gets_a_pod(template: Template, render: Render) -> None:
    cold = {"warmWorker.enabled": False}
    set_here = {"STAGER_PODS_FROM_ITEMS": "0", "STAGER_POOLS_TO_CHOOSE": '["pod"]'}
    assert render(**cold).of("ConfigMap", "-environment")["data"].items() >= set_here.items()
    for name in set_here:
        done = template(**cold, **{"config.settings": {name: "10"}})
        assert f"config.settings.{name}: another value of the chart says it" in done.stderr
    warm = render(**{"config.settings": {"STAGER_PODS_FROM_ITEMS": 10}})
    assert warm.of("ConfigMap", "-environment")["data"]["STAGER_PODS_FROM_ITEMS"] == "10"


def test_a_dispatcher_of_its_own_does_what_the_api_does_then_no_more(render: Render) -> None:
    rendered = render(**{"dispatcher.separate": True})
    pods = rendered.pods()
    api, dispatcher = pods["api"], pods["dispatcher"]
    (container,) = dispatcher["containers"]
    assert container["args"] == ["python", "-m", "stager.dispatch"]
    served = api["containers"][0]
    assert {name: container[name] for name in ("image", "envFrom")} == {
        name: served[name] for name in ("image", "envFrom")
    }
    assert container["env"] == [one for one in served["env"] if one["name"] != "STAGER_SECRET_KEY"]
    assert rendered.of("ConfigMap", "-environment")["data"]["STAGER_DISPATCH"] == "false"
    (bound,) = rendered.of("RoleBinding", "-api")["subjects"]
    assert dispatcher["serviceAccountName"] == bound["name"]
    assert (dispatcher["automountServiceAccountToken"], api["automountServiceAccountToken"]) == (True, False)
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/etc/staging"}
    kubernetes_validate.validate(rendered.of("Deployment", "-dispatcher"), KUBERNETES, strict=True)


def test_where_the_dispatcher_is_separate_an_alert_asks_for_its_pod(render: Render) -> None:
    (group,) = render(FILES["production"], **{"dispatcher.separate": True}).of("PrometheusRule")["spec"]["groups"]
    rules = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    assert f'deployment="{FULLNAME}-dispatcher"' in rules["StagingDispatcherDown"]
    assert "staging_reconciler_lag_seconds" not in "".join(rules.values())


def test_without_one_the_api_dispatches_itself(render: Render, template: Template) -> None:
    rendered = render()
    assert "dispatcher" not in rendered.pods()
    assert "STAGER_DISPATCH" not in rendered.of("ConfigMap", "-environment")["data"]
    done = template(**{"config.settings": {"STAGER_DISPATCH": False}})
    assert done.returncode != 0


def test_the_pods_of_the_api_are_spread_and_not_taken_all_at_once(render: Render) -> None:
    rendered = render(FILES["demo"])
    (spread,) = rendered.pods()["api"]["topologySpreadConstraints"]
    labels = spread["labelSelector"]["matchLabels"]
    assert rendered.of("PodDisruptionBudget")["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}


def test_the_tables_are_made_before_an_upgrade_and_the_flows_known_after_it(render: Render) -> None:
    hooks = {
        name_of(one): one["metadata"]["annotations"]["helm.sh/hook"]
        for one in render(FILES["demo"])
        if one["kind"] == "Job"
    }
    assert hooks == {
        "migration": "post-install,pre-upgrade",
        "registration": "post-install,post-upgrade,post-rollback",
    }


def test_registration_can_read_what_the_chart_says_of_pods(render: Render, values_file: Path, tmp_path: Path) -> None:
    rendered = render(values_file)
    file = tmp_path / "pods.yaml"
    file.write_text(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    pods = read_pods(file)
    assert base_job_template(pods, namespace="site")
    warm = rendered.pods()["warm-worker"]
    ours = {volume["name"]: volume for volume in warm["volumes"]}
    assert {volume["name"] for volume in pods.volumes} == ours.keys() - {"tmp"}
    assert all(ours[volume["name"]] == volume for volume in pods.volumes)
    (worker,) = warm["containers"]
    assert (pods.env, pods.env_from) == (worker["env"], worker["envFrom"])
    values = yaml.safe_load(values_file.read_text())
    assert all(one in pods.env for one in values.get("extraEnv", []))
    assert all(one in pods.env_from for one in values.get("extraEnvFrom", []))


def test_a_finished_run_that_nobody_shall_look_at_goes_at_once(render: Render, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(
        render(**{"flowRuns.ttlSecondsAfterFinished": 0}).of("ConfigMap", "-registration")["data"]["pods.yaml"]
    )
    variables = base_job_template(read_pods(file), namespace="site")["variables"]["properties"]
    assert variables["ttl_seconds_after_finished"]["default"] == 0


def test_databases_and_their_passwords_stay_when_the_release_goes(render: Render) -> None:
    rendered = render(FILES["production"])
    for part in ("-mysql", "-postgresql"):
        assert rendered.of("Secret", part)["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert rendered.of("StatefulSet", part)["spec"]["volumeClaimTemplates"]


def test_with_databases_and_prefect_elsewhere_the_chart_runs_none(render: Render) -> None:
    rendered = render(FILES["claims"])
    assert [one for one in rendered if one["kind"] == "StatefulSet"] == []
    assert rendered.of("ConfigMap", "-environment")["data"]["PREFECT_API_URL"] == "https://prefect.example.org/api"
    (url,) = [one for one in rendered.pods()["api"]["containers"][0]["env"] if one["name"] == "STAGER_DATABASE_URL"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "site-records", "key": "url"}


def test_a_prefect_elsewhere_has_to_be_named(template: Template) -> None:
    done = template(**{"prefect.server.enabled": False})
    assert "prefect.server.enabled is false: give prefect.apiUrl" in done.stderr


@pytest.mark.parametrize("file", ["", "File1.txt"])
def test_the_test_writes_to_the_source_only_where_it_makes_a_file(render: Render, file: str) -> None:
    (container,) = render(**{"tests.file": file}).pods()["test"]["containers"]
    (source,) = [mount for mount in container["volumeMounts"] if mount["name"] == "source"]
    assert source["readOnly"] is bool(file)


def rights(role: Manifest) -> set[tuple[str, str]]:
    """Return what a role allows, as resources and verbs."""
    return {(what, verb) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}


def test_the_roles_are_what_their_pods_do_and_no_more(render: Render) -> None:
    rendered = render(FILES["demo"])
    worker, api = rights(rendered.of("Role", "-kubernetes-worker")), rights(rendered.of("Role", "-api"))
    looking = {"get", "list", "watch"}
    assert {what for what, verb in worker if verb not in looking} == {"jobs"}
    assert {right for right in api if right[1] not in looking} == {("jobs", "delete")}
    assert not {what for what, _ in worker | api} & {"secrets", "configmaps", "*"}


def test_alerts_and_monitors_are_found_by_the_sites_labels(render: Render) -> None:
    rendered = render(FILES["production"])
    watched = [one for one in rendered if one["kind"] in {"ServiceMonitor", "PrometheusRule"}]
    assert len(watched) == 3
    assert all(one["metadata"]["labels"]["release"] == "prometheus" for one in watched)
    (group,) = rendered.of("PrometheusRule")["spec"]["groups"]
    assert all({"alert", "expr", "for", "labels", "annotations"} <= rule.keys() for rule in group["rules"])


def test_alerts_ask_for_figures_that_the_service_has(render: Render, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/records.db")
    migrate(f"sqlite:///{tmp_path}/records.db")
    registry = CollectorRegistry()
    registry.register(RecordedFamilies(RecordedMetrics().read(database), reconciler_lag=0))
    figures = set(re.findall(r"^# TYPE (\w+)", generate_latest(registry).decode(), re.MULTILINE))
    (group,) = render(FILES["production"]).of("PrometheusRule")["spec"]["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"\bstaging_\w+", rule["expr"])}
    assert asked == {"staging_queue_oldest_seconds", "staging_reconciler_lag_seconds", "staging_requests_total"}
    assert asked <= figures
    assert all(f'status="{Status.FAILED}"' in rule["expr"] for rule in group["rules"] if "Fail" in rule["alert"])


def test_only_the_api_can_be_asked_from_outside(render: Render) -> None:
    policies = {name_of(one): one["spec"] for one in render(FILES["demo"]) if one["kind"] == "NetworkPolicy"}
    opened = {name for name, policy in policies.items() if any("from" not in rule for rule in policy["ingress"])}
    assert opened == {"api"}


def test_the_secret_of_a_registry_reaches_every_pod(render: Render) -> None:
    rendered = render(FILES["production"])
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for pod in rendered.pods().values())
    pods = yaml.safe_load(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    assert pods["image_pull_secrets"] == [{"name": "registry"}]
