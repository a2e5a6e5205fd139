from __future__ import annotations

import pytest

from agent_runtime.auth.approvers import marks_of
from agent_runtime.auth.principal import NOBODY, Principal
from agent_runtime.spec.approvers import ApproversSpec

MARKS = ApproversSpec.model_validate(
    {
        "agents": ["shop/desk"],
        "serviceAccounts": ["shop/*"],
        "apiKeys": ["desk"],
        "tokens": [
            {"user": "anna", "issuer": "https://one"},
            {"claims": {"groups": "managers"}},
            {"account": "bot", "claims": {"role": "lead"}},
        ],
    }
).marks
AGENT, ACCOUNTS, KEY, USER, CLAIM, BOTH = MARKS
TOKEN = {"groups": ["staff", "managers"], "role": "lead"}


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        (Principal("shop/desk", "", "mtls"), [AGENT]),
        (Principal("shop/desk", "", "serviceAccount"), [ACCOUNTS]),
        (Principal("shopping/desk", "", "serviceAccount"), []),
        (Principal("desk", "", "apiKey"), [KEY]),
        (Principal("*", "", "apiKey"), []),
        (Principal("x", "anna", "jwt", "https://one"), [USER]),
        (Principal("x", "anna", "jwt", "https://two"), []),
        (Principal("x", "", "jwt", "https://two", TOKEN), [CLAIM]),
        (Principal("bot", "", "jwt", "https://two", TOKEN), [CLAIM, BOTH]),
        (Principal("bot", "", "jwt", "https://two", {"role": ["other"], "groups": "managers"}), [CLAIM]),
        (NOBODY, []),
    ],
)
def test_who_may_answer(principal, expected):
    assert marks_of(principal, MARKS) == expected


@pytest.mark.parametrize("mark", ["jwt:", "jwt:{}", "jwt:[]", "jwt:{", "anonymous:anonymous/x", "", "mtls"])
def test_odd_approvers_are_nobody(mark):
    everybody = [NOBODY, Principal("a", "b", "jwt", "c", TOKEN), Principal("a", "", "mtls")]
    assert [marks_of(one, [mark]) for one in everybody] == [[], [], []]


@pytest.mark.parametrize("method", ["mtls", "jwt", "apiKey", "anonymous"])
def test_a_caller_is_made_from_what_is_kept_of_it(method):
    principal = Principal("a|b/c", "d e%", method, "https://one") if method != "anonymous" else NOBODY
    assert Principal.of_owner(principal.owner) == principal
