"""What the pages say holds: links lead somewhere, examples are valid, every reason is explained."""

import re
from pathlib import Path

import pytest
import yaml

from agent_runtime.spec.checks import check
from apm_operator import conditions
from apm_operator.api.agentdeployment import AgentDeploymentSpec
from apm_operator.api.crd import KINDS
from apm_operator.api.restore import RestoreSpec
from apm_operator.audit.baseline import CHECKS
from apm_operator.backup import errors
from apm_operator.backup.errors import BackupError
from apm_operator.report import errors as report_errors
from apm_operator.report import work
from apm_operator.report.errors import ReportError
from cluster.settings import REPOSITORY
from docs import reference

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in headings(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_agents_in_the_text_are_valid(page):
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if "kind: AgentDeployment" in block:
            spec = AgentDeploymentSpec.model_validate(yaml.safe_load(block)["spec"])
            assert check(spec) == ()


def restores():
    """The manifests of Restores that the page about recovery has."""
    text = (REPOSITORY / "docs" / "recovery.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [each for each in map(yaml.safe_load, blocks) if each["kind"] == "Restore"]


@pytest.mark.parametrize("restore", restores(), ids=lambda each: each["metadata"]["name"])
def test_a_restore_on_the_page_takes_no_more_than_its_section_speaks_of(restore):
    spec = RestoreSpec.model_validate(restore["spec"])
    if spec.mode == "Replace" or spec.target.databases:
        assert spec.namespaces == ("apm_state.*",)  # else all that the backup holds would take its place


def test_every_reason_is_explained():
    reasons = {
        value
        for name, value in vars(conditions).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    }
    for package, base in ((errors, BackupError), (report_errors, ReportError)):
        found = [each for each in vars(package).values() if isinstance(each, type) and issubclass(each, base)]
        reasons |= {each.reason for each in found}
    reasons |= {work.COMPLETED, work.NUMBERS_UNKNOWN}
    explained = set(re.findall(r"^## (\w+)", (REPOSITORY / "docs" / "troubleshooting.md").read_text(), re.MULTILINE))
    assert reasons
    assert reasons <= explained


def test_every_make_target_is_explained():
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    text = (REPOSITORY / "docs" / "development.md").read_text()
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets


def test_the_baseline_of_the_audit_is_explained():
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", (REPOSITORY / "docs" / "audit.md").read_text(), re.MULTILINE)
    expected = [(check.id, check.expects) for check in CHECKS]
    assert [row for row in rows if row[0] in {check.id for check in CHECKS}] == expected


@pytest.mark.parametrize("page", reference.PAGES, ids=lambda page: page.name)
def test_the_reference_is_in_step(page):
    assert page.read_text() == reference.page(page), "run `make generate`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_resources_of_backups_in_the_text_are_valid(page):
    specs = {kind.kind: kind.spec for kind in KINDS if kind.kind != "AgentDeployment"}
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for item in yaml.safe_load_all(block):
            if isinstance(item, dict) and item.get("kind") in specs:
                specs[item["kind"]].model_validate(item["spec"])


def headings(file: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    }
