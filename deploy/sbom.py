"""Writes what an image is made of as CycloneDX JSON: its Python packages, and the Debian packages of its base.

Runs in a stage of the image's own build: `python3 sbom.py NAME VERSION LIB TARGET [PURL...]`, with the Python packages
in LIB; package URLs name what else there is.
"""

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_DPKG = Path("var/lib/dpkg")
_OS_RELEASE = Path("etc/os-release")


def describe(name: str, version: str, packages: Path, root: Path = Path("/"), others: Sequence[str] = ()) -> Bom:
    """The bill of materials of an image.

    Args:
        name: of the image.
        version: of the image.
        packages: folder that Python packages were installed into.
        root: root of the image's file system.
        others: package URLs of what was copied into it.
    """
    bom = Bom()
    image = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref=name)
    bom.metadata.component = image
    found = [_interpreter(), *_python(packages), *_debian(root), *map(_other, others)]
    bom.components.update(found)
    bom.register_dependency(image, found)
    return bom


def _interpreter() -> Component:
    """Python itself, which not every base has from a package."""
    purl = PackageURL(type="generic", name="python", version=platform.python_version())
    return Component(
        name="python",
        version=platform.python_version(),
        type=ComponentType.PLATFORM,
        purl=purl,
        bom_ref=str(purl),
    )


def _other(text: str) -> Component:
    purl = PackageURL.from_string(text)
    return Component(name=purl.name, version=purl.version, purl=purl, bom_ref=text)


def _python(packages: Path) -> Iterator[Component]:
    for distribution in distributions(path=[str(packages)]):
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        purl = PackageURL(type="pypi", name=name, version=distribution.version)
        yield Component(
            name=name,
            version=distribution.version,
            purl=purl,
            bom_ref=str(purl),
            licenses=[LicenseFactory().make_from_string(text) for text in _licence(distribution)],
        )


def _licence(distribution: Distribution) -> Iterator[str]:
    """The licence by its SPDX expression; older metadata hold whole texts in its place, which say less here."""
    expression = distribution.metadata.get("License-Expression")
    if expression:
        yield expression


def _debian(root: Path) -> Iterator[Component]:
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', (root / _OS_RELEASE).read_text(), re.MULTILINE))
    distro = f"{release['ID']}-{release['VERSION_ID']}"
    for status in (root / _DPKG / "status", *sorted((root / _DPKG).glob("status.d/*"))):
        text = status.read_text() if status.is_file() else ""
        for entry in text.split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", entry, re.MULTILINE))
            # The parts of an image without dpkg keep no state of the installation.
            if "Package" not in fields or " installed" not in fields.get("Status", " installed"):
                continue
            purl = PackageURL(
                type="deb",
                namespace=release["ID"],
                name=fields["Package"],
                version=fields["Version"],
                qualifiers={"arch": fields["Architecture"], "distro": distro},
            )
            yield Component(name=fields["Package"], version=fields["Version"], purl=purl, bom_ref=str(purl))


def main() -> None:
    """Write the bill of materials that the command line asks for."""
    name, version, packages, target, *others = sys.argv[1:]
    bom = describe(name, version, Path(packages), others=others)
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(JsonV1Dot6(bom).output_as_string(indent=2))


if __name__ == "__main__":
    main()
