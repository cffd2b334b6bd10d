"""What stands in examples/kubernetes fits together, and fits this package: names, ports, paths, settings, arguments."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from logcollector_handler.cli.arguments import parser
from logcollector_handler.settings import Settings, load
from logcollector_handler.settings.setting import PREFIX
from tests import needed
from tests.readme import TREE

pytestmark = pytest.mark.integration

KUBERNETES = TREE / "examples/kubernetes"
DEPLOYMENT = KUBERNETES / "deployment.yaml"


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Any]:
    """Everything in the file, by kind and name."""
    with needed.packages():
        import yaml
    documents = list(yaml.safe_load_all(DEPLOYMENT.read_text("utf-8")))
    found = {(each["kind"], each["metadata"]["name"]): each for each in documents}
    assert len(found) == len(documents)
    return found


def pod(objects: dict[tuple[str, str], Any], name: str) -> Any:
    return objects["Deployment", name]["spec"]["template"]["spec"]


def environment(objects: dict[tuple[str, str], Any], container: Any) -> dict[str, str]:
    """The environment of a container. A value that is read off the pod stands as its path."""
    found: dict[str, str] = {}
    for each in container.get("envFrom", ()):
        found |= objects["ConfigMap", each["configMapRef"]["name"]]["data"]
    for each in container.get("env", ()):
        if "value" in each:
            found[each["name"]] = each["value"]
        elif "secretKeyRef" in each["valueFrom"]:
            reference = each["valueFrom"]["secretKeyRef"]
            found[each["name"]] = objects["Secret", reference["name"]]["stringData"][reference["key"]]
        else:
            found[each["name"]] = each["valueFrom"]["fieldRef"]["fieldPath"]
    assert all(isinstance(value, str) for value in found.values()), "Kubernetes takes nothing else"
    return found


def settings_of(objects: dict[tuple[str, str], Any], container: Any, **arguments: Any) -> Settings:
    """What the package makes of that environment; a variable that is no setting is wrong."""
    variables = environment(objects, container)
    assert {name for name in variables if not name.startswith(PREFIX)} == set()
    assert {name.removeprefix(PREFIX).lower() for name in variables} <= set(Settings.__dataclass_fields__)
    return load(arguments, variables)


def mount(container: Any, volume: str) -> str:
    (path,) = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == volume]
    return str(path)


def test_the_sidecar_sends_what_the_application_leaves(objects: dict[tuple[str, str], Any]) -> None:
    spec = pod(objects, "shop")
    (sidecar,), (shop,) = spec["initContainers"], spec["containers"]
    assert sidecar["restartPolicy"] == "Always"
    program, *arguments = sidecar["command"]
    assert program == "logcollector"
    options = parser().parse_args(arguments)
    assert options.command == "forward"
    writes = settings_of(objects, shop)
    sends = settings_of(objects, sidecar, spool_dir=str(options.directory), server_url=options.server_url)
    assert (writes.deliver, sends.deliver) == (False, True)
    assert (writes.server_url, writes.wire) == (sends.server_url, sends.wire)
    assert (writes.api_key, len(str(sends.api_key)) >= 16) == (None, True)
    (volume,) = spec["volumes"]
    assert {writes.spool_dir, sends.spool_dir, mount(shop, volume["name"]), mount(sidecar, volume["name"])} == {
        "/spool"
    }
    limit = re.fullmatch(r"(\d+)Mi", volume["emptyDir"]["sizeLimit"])
    assert limit
    assert writes.max_spool_bytes == sends.max_spool_bytes < int(limit[1]) * 1024 * 1024


def test_the_pod_has_time_for_its_end_and_one_user(objects: dict[tuple[str, str], Any]) -> None:
    spec = pod(objects, "shop")
    (sidecar,), (shop,) = spec["initContainers"], spec["containers"]
    program, seconds = shop["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    ends = [settings_of(objects, each).shutdown_timeout for each in (sidecar, shop)]
    # And as long again for the application itself.
    assert spec["terminationGracePeriodSeconds"] >= 2 * (float(seconds) + sum(ends))
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] > 0
    for container in (sidecar, shop):
        assert not {"runAsUser", "runAsGroup"} & container["securityContext"].keys()
        assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_the_collector_is_where_the_handlers_look_for_it(objects: dict[tuple[str, str], Any]) -> None:
    (shop,) = pod(objects, "shop")["containers"]
    url = urlsplit(settings_of(objects, shop).server_url)
    service = objects["Service", str(url.hostname)]["spec"]
    (port,) = service["ports"]
    assert port["port"] == url.port
    deployment = objects["Deployment", "collector"]["spec"]
    assert service["selector"] == deployment["template"]["metadata"]["labels"]
    spec = pod(objects, "collector")
    (collector,) = spec["containers"]
    (container_port,) = collector["ports"]
    assert container_port["name"] == port["targetPort"]
    options = parser().parse_args([*collector["command"][1:], *collector["args"]])
    assert (options.command, options.host, options.port) == ("serve", "0.0.0.0", container_port["containerPort"])
    assert str(options.database.parent) == mount(collector, "data")
    (data,) = [each for each in spec["volumes"] if each["name"] == "data"]
    claim = objects["PersistentVolumeClaim", data["persistentVolumeClaim"]["claimName"]]["spec"]
    assert claim["resources"]["requests"]["storage"] == "10Gi"
    assert options.max_size * 1.2 < 10 * 1024
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    for probe in ("readinessProbe", "livenessProbe"):
        assert collector[probe]["httpGet"] == {"path": "/health", "port": container_port["name"]}
    assert environment(objects, collector).keys() == {f"{PREFIX}API_KEY"}


def test_each_deployment_selects_its_own_pods_and_mounts_what_it_has(objects: dict[tuple[str, str], Any]) -> None:
    for (kind, name), each in objects.items():
        if kind != "Deployment":
            continue
        assert (
            each["spec"]["selector"]["matchLabels"] == each["spec"]["template"]["metadata"]["labels"] == {"app": name}
        )
        spec = pod(objects, name)
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            assert {mounted["name"] for mounted in container["volumeMounts"]} <= volumes
            assert container["resources"].keys() == {"requests", "limits"}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def test_kubectl_knows_each_field_of_the_deployments(objects: dict[tuple[str, str], Any]) -> None:
    """Without a cluster: it reads the file into its own types, which drop what they do not know, and prints them."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl")
    version = json.loads(subprocess.check_output([kubectl, "version", "--client", "-o", "json"], text=True, timeout=60))
    if int(re.sub(r"\D", "", version["clientVersion"]["minor"])) < 29:
        pytest.skip("needs kubectl 1.29 or later, which knows sidecars")
    command = [kubectl, "set", "serviceaccount", "--local", "-o", "json", "-f", str(DEPLOYMENT), "default"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    printed, rest = [], done.stdout
    while rest.strip():
        each, end = json.JSONDecoder().raw_decode(rest := rest.lstrip())
        printed.append(each)
        rest = rest[end:]
    found = {each["metadata"]["name"]: each for each in printed if each["kind"] == "Deployment"}
    assert found.keys() == {"shop", "collector"}, done.stderr
    for name, known in found.items():
        kept = dict(leaves(known))
        missing = {path for path, value in leaves(objects["Deployment", name]) if kept.get(path) != value}
        assert missing == set()


def test_the_guide_names_every_file_and_its_settings_exist() -> None:
    guide = (KUBERNETES / "README.md").read_text("utf-8")
    here = set(re.findall(r"\]\((?!https?:|\.\./)([^)]+)\)", guide))
    assert here == {path.name for path in KUBERNETES.iterdir() if path.is_file()} - {"README.md"}
    named = {name.lower() for name in re.findall(rf"{PREFIX}([A-Z_]+)", guide + DEPLOYMENT.read_text("utf-8"))}
    assert named <= set(Settings.__dataclass_fields__)
