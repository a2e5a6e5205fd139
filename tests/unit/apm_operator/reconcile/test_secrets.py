import base64
import hashlib
from typing import Any

import pytest

from apm_operator.queue import Key
from apm_operator.reconcile.secrets import Findings, Secrets, SecretUse
from unit.apm_operator.fakes import FakeKube

KEY = Key("shop", "one")


def secrets(version: str = "1", **values: str) -> Secrets:
    """What is known of a namespace with one Secret `llm`."""
    kube: Any = FakeKube()
    kube.objects["Secret", "shop", "llm"] = {
        "metadata": {"name": "llm", "namespace": "shop", "uid": "s", "resourceVersion": version},
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }
    return Secrets(kube)


async def look(known: Secrets, *keys: str) -> Findings:
    return await known.look(KEY, [SecretUse("llm", key) for key in keys])


async def test_a_fingerprint_is_of_the_used_keys_alone():
    first = await look(secrets(a="1", b="2"), "a")
    assert (await look(secrets("2", a="1", b="3"), "a")) == first
    assert (await look(secrets("2", a="2", b="2"), "a")) != first


async def test_a_fingerprint_of_a_whole_secret_is_of_all_its_keys_and_values():
    prints = {
        (await look(secrets(**values), "")).fingerprint
        for values in (
            {"a": "1", "b": "2"},
            {"a": "1", "b": "3"},
            {"a": "1", "c": "2"},
            {"a": "1"},
            {"b": "2", "a": "1"},
        )
    }
    assert len(prints) == 4


async def test_a_live_use_has_no_fingerprint_but_has_to_be_there():
    live = SecretUse("llm", "", live=True)
    assert await secrets(a="1").look(KEY, [live]) == Findings()
    gone = SecretUse("gone", "", live=True)
    assert (await secrets(a="1").look(KEY, [gone])).missing == (gone,)


async def test_a_secret_of_many_keys_costs_one_slow_digest(monkeypatch: pytest.MonkeyPatch):
    """Ten thousand of them would hold up the operator for longer than its lease lasts."""
    slow: list[str] = []
    real = hashlib.pbkdf2_hmac

    def counted(*arguments: Any) -> bytes:
        slow.append(arguments[0])
        return real(*arguments)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    known = secrets(**{f"key-{number}": "" for number in range(10_000)})
    await look(known, "key-1")
    await look(known, "key-1")
    assert len(slow) == 1
    await look(known, "")
    assert len(slow) == 2


async def test_a_config_map_counts_beside_a_secret_of_the_same_name():
    known = secrets(a="1")
    kube: Any = known._kube
    shared = [SecretUse("llm", "a"), SecretUse("llm", "a", kind="ConfigMap")]
    assert (await known.look(KEY, shared)).missing == (shared[1],)
    prints = {(await known.look(KEY, shared)).fingerprint}
    for version, value in enumerate(("1", "2")):
        kube.objects["ConfigMap", "shop", "llm"] = {
            "metadata": {"name": "llm", "namespace": "shop", "uid": "c", "resourceVersion": str(version)},
            "data": {"a": value},
        }
        prints.add((await Secrets(kube).look(KEY, shared)).fingerprint)
    assert len(prints) == 3


async def test_a_key_that_is_missing_is_told_from_a_secret_that_is():
    known = secrets(a="1")
    found = await known.look(KEY, [SecretUse("llm", "b"), SecretUse("other", "b"), SecretUse("no", "b", optional=True)])
    assert (found.missing, found.incomplete) == ((SecretUse("other", "b"),), (SecretUse("llm", "b"),))
