"""Cluster files: they parse, follow the schemas there are, and name only what exists."""

from __future__ import annotations

import argparse
import importlib
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmtx_ray.cli import jobs
from lmtx_ray.cli import main as cli
from lmtx_ray.config.loading import load_config
from lmtx_ray.loop.run_config import RunConfig

ROOT = Path(__file__).resolve().parent.parent.parent
CLUSTER = ROOT / "cluster"
MANIFESTS = sorted((CLUSTER / "kuberay").glob("*.yaml"))
KINDS = {
    "RayCluster": "ray.io/v1",
    "RayJob": "ray.io/v1",
    "RayService": "ray.io/v1",
    "RayCronJob": "ray.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|(?i:secret_access_key|api_key|passw(or)?d|token)\s*[:=]\s*\w"
)
COMMAND = re.compile(r"(python jobs/\w+\.py|\blmtx (?:run|tag|plan|serve|demo)\b).*")


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


def of_kind(kind: str) -> list[dict[str, Any]]:
    found = [document for _, document in documents() if document["kind"] == kind]
    assert found, f"no {kind}"
    return found


def job_specs() -> list[dict[str, Any]]:
    cron = [document["spec"]["jobTemplate"] for document in of_kind("RayCronJob")]
    return [document["spec"] for document in of_kind("RayJob")] + cron


def cluster_specs() -> list[dict[str, Any]]:
    standing = [document["spec"] for document in of_kind("RayCluster")]
    serving = [document["spec"]["rayClusterConfig"] for document in of_kind("RayService")]
    return standing + serving + [spec["rayClusterSpec"] for spec in job_specs()]


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("name", sorted({name for name, _ in documents()}))
def test_a_manifest_has_kind_version_name_and_namespace(name: str) -> None:
    for _, document in (pair for pair in documents() if pair[0] == name):
        assert document["apiVersion"] == KINDS[document["kind"]]
        assert document["metadata"]["name"].startswith(("lmtx", "redis"))
        assert document["metadata"]["namespace"] == "lmtx"
        assert document["spec"]


def test_all_kinds_are_there() -> None:
    assert {document["kind"] for _, document in documents()} == set(KINDS)


def test_every_ray_cluster_is_of_the_pinned_version_with_token_and_named_resources() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    for cluster in cluster_specs():
        assert cluster["rayVersion"] == pins["ray"]
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        names = [group["groupName"] for group in cluster["workerGroupSpecs"]]
        assert len(names) == len(set(names))
        for group in cluster["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_every_pod_runs_as_nobody_special_within_its_resources() -> None:
    for pod in [pod for cluster in cluster_specs() for pod in pods(cluster)]:
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")


def test_clusters_that_stay_survive_their_head_by_redis() -> None:
    (service,) = [doc for doc in of_kind("Service")]
    (port,) = service["spec"]["ports"]
    address = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
    for cluster in (
        of_kind("RayCluster")[0]["spec"],
        of_kind("RayService")[0]["spec"]["rayClusterConfig"],
    ):
        options = cluster["gcsFaultToleranceOptions"]
        assert options["redisAddress"] == address
        assert options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "lmtx-redis"


def test_the_guide_makes_every_secret_that_a_pod_needs_to_start() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in MANIFESTS)
    needed = set(re.findall(r"secretKeyRef: {name: ([\w-]+), key: (\w+)}", text))
    guide = (CLUSTER / "README.md").read_text(encoding="utf-8")
    made = re.findall(r"create secret generic ([\w-]+) .*--from-literal=(\w+)=", guide)
    assert needed == set(made)


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return set(parser._option_string_actions)


def verb_parser(verb: str) -> argparse.ArgumentParser:
    (verbs,) = (
        action
        for action in cli.build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return verbs.choices[verb]


def commands() -> list[tuple[str, str]]:
    """(where, `python jobs/X.py …` or `lmtx X …`) in manifests, their comments and the README."""
    found = [("entrypoint", spec["entrypoint"]) for spec in job_specs()]
    files = [
        *MANIFESTS,
        CLUSTER / "README.md",
        *CLUSTER.glob("*.yaml"),
        *(ROOT / "jobs" / "configs").glob("*.yaml"),
    ]
    for path in files:
        text = re.sub(r"\\\n\s*#?\s*", " ", path.read_text(encoding="utf-8"))
        for line in text.splitlines():
            match = COMMAND.search(line)
            if match and line.lstrip("# ").startswith(("ray ", "lmtx ", "python ")):
                found.append((path.name, match.group().rstrip("`")))
    return found


@pytest.mark.parametrize(("where", "command"), commands())
def test_a_command_names_a_job_its_options_and_a_config_that_exist(
    where: str, command: str
) -> None:
    words = shlex.split(command.replace("…", ""))
    if words[0] == "python":
        assert (ROOT / words[1]).is_file(), where
        step = Path(words[1]).stem
        loop = step not in {"tag", "evaluate"}
        parser = jobs.build_parser(None if step == "run" else step) if loop else verb_parser(step)
    else:
        parser = verb_parser(words[1])
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used <= options_of(parser), where
    configs = [word for word in words if word.startswith("jobs/configs/")]
    for config in configs:
        load_config(RunConfig, str(ROOT / config))
    if "--config" in words:
        assert configs, where


def test_a_retried_job_keeps_its_work_where_a_new_cluster_finds_it() -> None:
    for spec in job_specs():
        assert spec["backoffLimit"] > 0
        assert spec["shutdownAfterJobFinishes"] is True
        words = shlex.split(spec["entrypoint"])
        if "--config" in words:
            config = load_config(RunConfig, str(ROOT / words[words.index("--config") + 1]))
            assert config.run.startswith("s3://")
        else:
            assert words[words.index("--output") + 1].startswith("s3://")


def test_the_service_manifest_is_up_to_date_and_serves_what_the_serve_config_says() -> None:
    made = runpy.run_path(str(CLUSTER / "make_rayservice.py"))
    text = (CLUSTER / "kuberay" / "rayservice.yaml").read_text(encoding="utf-8")
    assert text == made["render"](), "run: python cluster/make_rayservice.py"
    own = yaml.safe_load((ROOT / "serve_apps" / "tagger.yaml").read_text(encoding="utf-8"))
    theirs = yaml.safe_load(yaml.safe_load(text)["spec"]["serveConfigV2"])
    for config in (own, theirs):
        arguments = config["applications"][0]["args"]
        assert arguments.pop("host") == config["http_options"].pop("host")
        del arguments["bundle"]
    assert theirs == own


def test_the_serve_config_of_the_manifest_is_valid_and_its_application_exists() -> None:
    from ray.serve.schema import ServeDeploySchema

    (service,) = of_kind("RayService")
    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    for application in config.applications:
        module, name = application.import_path.split(":")
        imported = importlib.import_module(module)
        assert callable(getattr(imported, name))
        for deployment in application.deployments:
            assert hasattr(imported, deployment.name)


def test_only_the_gateway_and_the_operator_reach_the_cluster_from_outside() -> None:
    (policy,) = of_kind("NetworkPolicy")
    assert policy["spec"]["podSelector"] == {}
    outside: dict[str, set[int]] = {}
    for rule in policy["spec"]["ingress"]:
        for peer in rule["from"]:
            assert peer == {"podSelector": {}} or set(peer) == {"namespaceSelector"}
            if "namespaceSelector" in peer:
                (space,) = peer["namespaceSelector"]["matchLabels"].values()
                outside[space] = {port["port"] for port in rule["ports"]}
    assert outside == {"kuberay-system": {8265}, "gateway": {8000}}


def test_the_runtime_env_is_one_and_brings_code_but_no_packages_and_no_secrets() -> None:
    from ray.runtime_env import RuntimeEnv

    values = yaml.safe_load((CLUSTER / "runtime_env.yaml").read_text(encoding="utf-8"))
    RuntimeEnv(**values)
    assert not {"pip", "uv", "conda", "image_uri"} & set(values)
    for spec in job_specs():
        env = yaml.safe_load(spec["runtimeEnvYAML"])
        assert env["env_vars"] == values["env_vars"]
        assert env["working_dir"].startswith("s3://")


@pytest.mark.parametrize("path", sorted(CLUSTER.rglob("*.yaml")), ids=lambda path: path.name)
def test_no_file_holds_a_secret(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    bad = [line for line in lines if SECRETS.search(line.split(" #")[0].replace("mode: token", ""))]
    allowed = ("RAY_AUTH_MODE=token", "automountServiceAccountToken", "$(", "secretKeyRef")
    assert not [line for line in bad if not any(word in line for word in allowed)]
