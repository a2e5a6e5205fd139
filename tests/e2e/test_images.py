"""What is in the images that a user runs: what is pinned, nothing that builds or installs, and a list of it all."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from cluster import images
from cluster.archive import Archive
from cluster.images import Built, Image
from cluster.installation import Installation

_COMPILER = re.compile(r"(.*/)?(cc|gcc|g\+\+|c\+\+|cpp|clang|ld|as|make|rustc|cargo|go|javac)(-[\d.]+)?")
_INSTALLER = re.compile(r"(.*/)?(pip3?(\.\d+)?|ensurepip|wheel|setuptools|conda|npm)")
_CACHE = re.compile(r"root/\.cache/.*|var/cache/apt/.*|var/lib/apt/lists/.*|.*/__pycache__/\.cache/.*|wheels/.*|tmp/.*")
_BUILD_TOOL = "cyclonedx"


@pytest.fixture(scope="module", params=[images.OPERATOR, images.RUNTIME, images.BACKUP], ids=lambda image: image.name)
def image(request: pytest.FixtureRequest) -> Image:
    found: Image = request.param
    return found


@pytest.fixture(scope="module")
def built(cluster: Installation, image: Image) -> Built:
    return images.build(image, cluster.cluster.builder)


@pytest.fixture(scope="module")
def archive(built: Built) -> Archive:
    return Archive(built.archive)


@pytest.fixture(scope="module")
def components(built: Built) -> list[dict[str, Any]]:
    bill = json.loads(built.sbom.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    found: list[dict[str, Any]] = bill["components"]
    return found


def test_the_list_beside_the_image_is_the_one_in_it(built: Built, archive: Archive) -> None:
    (path,) = (path for path in archive.paths() if path.startswith("usr/share/sbom/"))
    assert archive.read(path) == built.sbom.read_bytes()


def test_every_python_package_is_listed_in_its_pinned_version(image: Image, components: list[dict[str, Any]]) -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", image.locks[0].read_text(), re.MULTILINE))
    listed = {each["name"]: each["version"] for each in components if each["purl"].startswith("pkg:pypi/")}
    assert listed == pinned


def test_every_debian_package_is_listed(archive: Archive, components: list[dict[str, Any]]) -> None:
    status = archive.read("var/lib/dpkg/status").decode()
    installed = set(re.findall(r"^Package: (.+)$", status, re.MULTILINE))
    assert {each["name"] for each in components if each["purl"].startswith("pkg:deb/")} == installed


def test_nothing_builds_or_installs(archive: Archive) -> None:
    folders = Counter(folder for path in archive.paths() for folder in path.split("/")[:-1])
    assert folders["bin"] + folders["usr"] > 0
    programs = [path for path in archive.paths() if path.rpartition("/")[0].endswith(("bin", "libexec"))]
    assert [path for path in programs if _COMPILER.fullmatch(path)] == []
    packages = {part for path in archive.paths() for part in path.split("/") if "python3" in path or "app/lib" in path}
    assert {part for part in packages if _INSTALLER.fullmatch(part)} == set()
    assert [path for path in archive.paths() if f"/{_BUILD_TOOL}" in path] == []


def test_nothing_is_left_of_the_build(archive: Archive) -> None:
    assert [path for path in archive.paths() if _CACHE.fullmatch(path)] == []


def test_it_runs_as_a_number(archive: Archive) -> None:
    assert archive.config()["User"] == "65532:65532"
