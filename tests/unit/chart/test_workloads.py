from typing import Any


def test_images_take_the_version_of_the_chart_unless_told(render):
    assert image(render()) == "ghcr.io/valeo-neuroerp/apm-operator:0.1.0"
    assert image(render("image.repository=r/o", "image.tag=x")) == "r/o:x"
    digest = "sha256:" + "0" * 64
    assert image(render("image.repository=r/o", "image.tag=x", f"image.digest={digest}")) == f"r/o@{digest}"


def test_settings_reach_the_operator(render):
    values = ("watchNamespaces={a,b}", "runtimeImage.repository=r/a", "runtimeImage.tag=x", "resyncPeriod=60")
    env = {entry["name"]: entry.get("value") for entry in container(render(*values))["env"]}
    assert env["APM_WATCH_NAMESPACES"] == "a,b"
    assert env["APM_RUNTIME_IMAGE"] == "r/a:x"
    assert env["APM_RESYNC_SECONDS"] == "60"
    assert env["APM_LEADER_ELECTION"] == "true"


def test_two_replicas_are_spread_and_have_a_budget(render):
    assert "PodDisruptionBudget" not in kinds(render())
    items = render("replicas=2")
    assert "PodDisruptionBudget" in kinds(items)
    assert pod_spec(deployment(items))["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"


def test_two_operators_never_run_side_by_side_without_an_election(render):
    assert deployment(render("leaderElection=false"))["spec"]["strategy"] == {"type": "Recreate"}


def test_the_services_select_the_operator_and_not_the_test(render):
    items = render()
    services = [item for item in items if item["kind"] == "Service"]
    (test,) = [item for item in items if item["kind"] == "Pod"]
    assert [service["metadata"]["name"] for service in services] == ["apm-operator-metrics", "apm-operator"]
    for service in services:
        selector = service["spec"]["selector"].items()
        assert selector <= deployment(items)["spec"]["template"]["metadata"]["labels"].items()
        assert not selector <= test["metadata"]["labels"].items()


def test_the_test_runs_where_the_operator_watches(render):
    assert namespaces_of_hooks(render()) == {"default"}
    assert namespaces_of_hooks(render("watchNamespaces={a,b}")) == {"a"}
    assert namespaces_of_hooks(render("watchNamespaces={a,b}", "tests.namespace=b")) == {"b"}


def test_what_the_test_makes_beside_its_pod_is_removed_in_any_case(render):
    for item in hooks(render()):
        if item["kind"] != "Pod":
            policy = item["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
            assert set(policy.split(",")) == {"before-hook-creation", "hook-succeeded", "hook-failed"}


def test_plain_manifests_are_in_step():
    from deploy import render as plain  # noqa: PLC0415  a script beside the chart, not a package

    assert plain.TARGET.read_text() == plain.render(), "run `make generate`"
    assert "helm" not in plain.TARGET.read_text().lower().removeprefix(plain.HEADER.lower())


def kinds(items: list[dict[str, Any]]) -> set[str]:
    return {item["kind"] for item in items}


def deployment(items: list[dict[str, Any]]) -> dict[str, Any]:
    (item,) = [item for item in items if item["kind"] == "Deployment"]
    return item


def pod_spec(item: dict[str, Any]) -> dict[str, Any]:
    return item["spec"]["template"]["spec"] if item["kind"] == "Deployment" else item["spec"]


def container(items: list[dict[str, Any]]) -> dict[str, Any]:
    return pod_spec(deployment(items))["containers"][0]


def image(items: list[dict[str, Any]]) -> str:
    return container(items)["image"]


def hooks(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if "helm.sh/hook" in item["metadata"].get("annotations", {})]


def namespaces_of_hooks(items: list[dict[str, Any]]) -> set[str]:
    return {item["metadata"]["namespace"] for item in hooks(items)}


def test_prometheus_is_shown_the_token_and_must_show_a_certificate(render):
    url = "anomalies.prometheus.url=https://prometheus.monitoring.svc:9091"
    token = ("anomalies.prometheus.tokenSecretRef.name=p", "anomalies.prometheus.tokenSecretRef.key=t")
    authority = ("anomalies.prometheus.caConfigMapRef.name=c", "anomalies.prometheus.caConfigMapRef.key=ca")
    pod = deployment(render(url, *token, *authority))["spec"]["template"]["spec"]
    told = {each["name"]: each["value"] for each in pod["containers"][0]["env"] if "PROMETHEUS" in each["name"]}
    assert told == {
        "APM_PROMETHEUS_URL": "https://prometheus.monitoring.svc:9091",
        "APM_PROMETHEUS_TOKEN_FILE": "/run/prometheus/token",
        "APM_PROMETHEUS_CA_FILE": "/run/prometheus/ca.crt",
    }
    assert {"name": "prometheus", "mountPath": "/run/prometheus", "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "prometheus"]
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "p", "items": [{"key": "t", "path": "token"}]}},
        {"configMap": {"name": "c", "items": [{"key": "ca", "path": "ca.crt"}]}},
    ]
    bare = deployment(render(url))["spec"]["template"]["spec"]
    assert "prometheus" not in {each["name"] for each in bare["volumes"]}


def test_no_prometheus_is_asked_by_default(render):
    pod = deployment(render("anomalies.prometheus.tokenSecretRef.name=p", "anomalies.prometheus.tokenSecretRef.key=t"))
    container = pod["spec"]["template"]["spec"]["containers"][0]
    assert not [each for each in container["env"] if "PROMETHEUS" in each["name"]]
    assert "prometheus" not in {each["name"] for each in container["volumeMounts"]}
