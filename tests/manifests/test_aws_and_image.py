"""The file for AWS, the image and the pins: valid, private, pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from packaging.requirements import Requirement

from serve_apps.ray_internals import private

ROOT = Path(__file__).resolve().parent.parent.parent

CLUSTER = ROOT / "cluster"


def aws() -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / "aws.yaml").read_text(encoding="utf-8"))


def test_the_aws_file_follows_rays_schema() -> None:
    validate_config, prepare_config = private("validate_config"), private("prepare_config")
    validate_config(prepare_config(aws()))
    with pytest.raises(ValidationError):
        validate_config(prepare_config({**aws(), "head_nodes": {}}))


def test_aws_nodes_are_private_and_ask_for_signed_metadata_requests() -> None:
    config = aws()
    assert config["provider"]["use_internal_ips"] is True
    types = config["available_node_types"]
    for node in (node["node_config"] for node in types.values()):
        assert node["MetadataOptions"]["HttpTokens"] == "required"
        assert node["IamInstanceProfile"]
        assert node["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    spot, fallback = types["gpu_spot"], types["gpu_on_demand"]
    assert spot["node_config"].pop("InstanceMarketOptions") == {"MarketType": "spot"}
    assert spot["node_config"] == fallback["node_config"]
    assert spot["resources"].items() <= fallback["resources"].items()


def test_of_two_gpu_node_types_the_autoscaler_prefers_spot() -> None:
    types = aws()["available_node_types"]
    wanted = [{"CPU": 4, "GPU": 1}]
    scores = {
        name: private("_default_utilization_scorer")(
            types[name]["resources"], wanted, name, node_availability_summary=None
        )
        for name in ("gpu_spot", "gpu_on_demand")
    }
    assert scores["gpu_spot"] > scores["gpu_on_demand"]


def test_the_dashboard_of_aws_listens_on_the_head_alone_and_a_token_is_asked_for() -> None:
    config = aws()
    assert "--dashboard-host=127.0.0.1" in " ".join(config["head_start_ray_commands"])
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]


def test_the_image_is_pinned_has_two_targets_no_compiler_and_no_root() -> None:
    text = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    stages = re.split(r"(?m)^FROM ", text)[1:]
    names = {stage.split("\n")[0].split(" AS ")[1]: stage for stage in stages}
    assert {"cpu", "gpu", "runtime"} <= set(names)
    assert "--constraint constraints.txt --override overrides.txt '.[cpu,demo]'" in text
    assert "--constraint constraints-gpu.txt --override overrides-gpu.txt '.[gpu,demo]'" in text
    assert "USER ray" in names["runtime"]
    final = names["runtime"] + names["cpu"] + names["gpu"]
    assert not re.search(r"gcc|build-essential|clang|g\+\+", final)
    assert all(names[name].startswith("runtime AS") for name in ("cpu", "gpu"))
    for source in re.findall(r"(?m)^COPY (?!--from)(.+)$", text):
        assert all((ROOT / name).exists() for name in source.split()[:-1])


def test_the_image_is_built_from_all_that_a_wheel_is_made_of() -> None:
    text = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[:-1] for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], project["project"]["readme"]]
    for path in map(Path, needed):
        assert any(path.is_relative_to(source) for sources in copied for source in sources), path


def test_the_image_has_what_kuberay_asks_a_pod_of_a_service_by() -> None:
    text = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    (installed,) = re.findall(r"AS runtime\nRUN ((?:.+\\\n)+)", text)
    assert "wget" in installed.split()


@pytest.mark.parametrize(("pins", "engine"), [("", "cpu"), ("-gpu", "gpu")])
def test_every_engine_has_pins_that_meet_what_the_package_asks_for(pins: str, engine: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = project["dependencies"] + extras["demo"] + extras["dev"] + extras[engine]
    lines = (ROOT / f"constraints{pins}.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines)
    assert not any("+" in version or "://" in version for version in pinned.values())
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(pinned[requirement.name])
