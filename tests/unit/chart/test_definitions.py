import yaml

from cluster.settings import REPOSITORY


def test_definitions_are_the_ones_in_crds(render):
    wanted = {}
    for file in (REPOSITORY / "crds").glob("*.yaml"):
        item = yaml.safe_load(file.read_text())
        wanted[item["metadata"]["name"]] = item["spec"]
    rendered = {item["metadata"]["name"]: item for item in render() if item["kind"] == "CustomResourceDefinition"}
    assert wanted
    assert {name: item["spec"] for name, item in rendered.items()} == wanted
    for item in rendered.values():
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "CustomResourceDefinition" not in {item["kind"] for item in render("crds.enabled=false")}
    for item in render("crds.keep=false"):
        assert "helm.sh/resource-policy" not in item["metadata"].get("annotations", {})
