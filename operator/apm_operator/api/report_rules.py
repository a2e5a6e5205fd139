"""Rules between fields of an AgentReport, in CEL; each message says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from apm_operator.api.agentreport import AgentReportSpec, ReportPrometheus
from apm_operator.api.rule import Rule

REPORT_RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        AgentReportSpec.__name__: (
            Rule(
                "has(self.store) || has(self.slack) || has(self.mail)",
                "set at least one of `store`, `slack` and `mail`: a report has to go somewhere",
            ),
        ),
        ReportPrometheus.__name__: (
            Rule(
                "!has(self.tokenSecretRef) || self.url.startsWith('https:')",
                "a token must not travel in the clear: use an `https` address",
            ),
        ),
    }
)
