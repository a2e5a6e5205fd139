"""How Prometheus finds the operator and the agents."""

import pytest
import yaml

from apm_operator.kinds import ACTIVATOR_LABEL
from apm_operator.manifests.certificate import SCRAPED
from apm_operator.pki.own import scraper_secret
from unit.chart.conftest import CHART

KIND = "monitoring.coreos.com/v1/PodMonitor"


def monitors(items):
    """The PodMonitors by name."""
    return {each["metadata"]["name"]: each for each in items if each["kind"] == "PodMonitor"}


@pytest.mark.parametrize(("mode", "known", "made"), [("Auto", False, 0), ("Auto", True, 2), ("Never", True, 0)])
def test_they_are_made_where_the_cluster_has_the_kind(helm, mode, known, made):
    command = ["template", "apm", str(CHART), "--set", f"monitoring.podMonitors={mode}"]
    done = helm(*command, *(("--api-versions", KIND) if known else ()))
    assert done.returncode == 0, done.stderr
    assert len(monitors(item for item in yaml.safe_load_all(done.stdout) if item)) == made


def test_agents_are_scraped_over_tls_and_know_the_scraper_by_its_certificate(render):
    found = monitors(render("monitoring.podMonitors=Always", "monitoring.labels.release=stack"))
    agents = found["apm-operator-agents"]
    assert agents["metadata"]["labels"]["release"] == "stack"
    assert agents["spec"]["namespaceSelector"] == {"any": True}
    encrypted, plain = agents["spec"]["podMetricsEndpoints"]
    secret = scraper_secret("apm-operator")
    assert encrypted["tlsConfig"] == {
        "serverName": SCRAPED,
        "ca": {"secret": {"name": secret, "key": "ca.crt"}},
        "cert": {"secret": {"name": secret, "key": "tls.crt"}},
        "keySecret": {"name": secret, "key": "tls.key"},
    }
    assert (encrypted["port"], encrypted["scheme"]) == ("https", "https")
    assert (plain["port"], plain["scheme"], plain.get("tlsConfig")) == ("http", "http", None)
    assert [each["relabelings"][0]["targetLabel"] for each in (encrypted, plain)] == ["agent", "agent"]


def test_the_labels_of_what_the_operator_tells_are_kept(render):
    (endpoint,) = monitors(render("monitoring.podMonitors=Always"))["apm-operator"]["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True


def test_only_watched_namespaces_are_looked_at(render):
    found = monitors(render("monitoring.podMonitors=Always", "watchNamespaces={shop,desk}"))
    assert found["apm-operator-agents"]["spec"]["namespaceSelector"] == {"matchNames": ["shop", "desk"]}


def test_activators_are_scraped_where_there_may_be_some(render):
    assert "apm-operator-activators" not in monitors(render("monitoring.podMonitors=Always"))
    found = monitors(render("monitoring.podMonitors=Always", "autoscaling.keda=true", "watchNamespaces={shop}"))
    spec = found["apm-operator-activators"]["spec"]
    assert spec["namespaceSelector"] == {"matchNames": ["shop"]}
    (condition,) = spec["selector"]["matchExpressions"]
    assert condition == {"key": ACTIVATOR_LABEL, "operator": "Exists"}
    (endpoint,) = spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["relabelings"][0]["targetLabel"]) == ("status", "agent")
