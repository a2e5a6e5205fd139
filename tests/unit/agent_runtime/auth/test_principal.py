from __future__ import annotations

from itertools import combinations

from agent_runtime.auth.principal import NOBODY, Principal
from agent_runtime.state.records import shown

CALLERS = [
    NOBODY,
    Principal("anonymous", "", "apiKey"),
    Principal("a", "", "apiKey"),
    Principal("a", "", "mtls"),
    Principal("a", "b", "jwt", "one"),
    Principal("a", "b", "jwt", "two"),
    Principal("a|b", "", "jwt", "one"),
    Principal("a", "", "jwt", "one"),
    Principal("a", "", "jwt", "b|one"),
]


def test_each_caller_is_another_owner_with_keys_of_its_own():
    for one, other in combinations(CALLERS, 2):
        assert one.owner != other.owner
        assert one.key("t") != other.key("t")


def test_no_id_leads_to_the_key_of_another_caller():
    for one, other in combinations(CALLERS, 2):
        assert one.key(other.key("t")) != other.key("t")
        assert other.key(one.key("t")) != one.key("t")
    assert NOBODY.key(CALLERS[2].key("t")) != CALLERS[2].key("t")


def test_the_owner_sees_the_id_it_gave():
    for caller in CALLERS:
        for given in ("t", "a~b", "~"):
            assert shown(caller.key(given)) == given


def test_anonymous_threads_are_kept_as_they_were_before_callers_were_known():
    assert NOBODY.key("t") == "t"
    assert NOBODY.owner == "anonymous"


def test_what_is_told_of_a_caller():
    assert Principal("shop/clerk", "", "mtls").description == {"account": "shop/clerk", "method": "mtls"}
    assert Principal("crm", "ann", "jwt", "idp").description == {"account": "crm", "user": "ann", "method": "jwt"}
