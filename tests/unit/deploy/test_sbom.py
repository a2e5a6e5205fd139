import json
import platform
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.output.json import JsonV1Dot6

from cluster.settings import REPOSITORY
from deploy.sbom import describe

TOOL = "pkg:golang/github.com/mongodb/mongo-tools@100.12.0"
STATUS = """\
Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4+deb12u11
Description: first line
 Version: not this

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


@pytest.fixture
def bill(tmp_path: Path) -> dict[str, Any]:
    """That of an image with one package of each kind."""
    root, packages = tmp_path / "root", tmp_path / "lib"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (root / "var/lib/dpkg/status.d").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "var/lib/dpkg/status.d/tzdata").write_text("Package: tzdata\nArchitecture: all\nVersion: 2025b\n")
    info = packages / "some_thing-1.2.dist-info"
    info.mkdir(parents=True)
    metadata = "Metadata-Version: 2.4\nName: Some.Thing\nVersion: 1.2\nLicense-Expression: MIT\n"
    (info / "METADATA").write_text(metadata)
    read: dict[str, Any] = json.loads(JsonV1Dot6(describe("it", "0.1", packages, root, [TOOL])).output_as_string())
    return read


def test_it_lists_packages_of_python_and_debian(bill: dict[str, Any]):
    assert {each["purl"] for each in bill["components"]} == {
        f"pkg:generic/python@{platform.python_version()}",
        TOOL,
        "pkg:pypi/some-thing@1.2",
        "pkg:deb/debian/base-files@12.4%2Bdeb12u11?arch=amd64&distro=debian-12",
        "pkg:deb/debian/tzdata@2025b?arch=all&distro=debian-12",
    }
    (package,) = (each for each in bill["components"] if each["name"] == "some-thing")
    assert package["licenses"] == [{"license": {"id": "MIT"}}]


def test_it_says_what_it_is_about(bill: dict[str, Any]):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    about = bill["metadata"]["component"]
    assert (about["name"], about["version"], about["type"]) == ("it", "0.1", "container")


@pytest.mark.parametrize(
    "dockerfile", ["operator/Dockerfile", "operator/backup.Dockerfile", "agent_runtime/Dockerfile"]
)
def test_images_have_the_version_of_the_project(dockerfile: str):
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^ARG VERSION=(.*)$", (REPOSITORY / dockerfile).read_text(), re.MULTILINE) == [version]
