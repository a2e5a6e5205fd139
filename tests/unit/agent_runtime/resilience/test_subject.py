from agent_runtime.auth.principal import NOBODY, Principal
from agent_runtime.resilience.subject import Subject


def test_callers_of_one_name_are_told_apart_by_what_proves_it():
    key = Principal("shop", "", "apiKey")
    token = Principal("shop", "anne|x", "jwt", "https://idp")
    assert Subject.of_owner(key.owner) == Subject("apiKey|shop", "")
    assert Subject.of_owner(token.owner).account == "jwt|shop|https://idp"
    assert Subject.of_owner(token.owner).user == "anne%7Cx"


def test_who_is_unknown_is_one_account():
    assert Subject.of_owner(NOBODY.owner) == Subject()
