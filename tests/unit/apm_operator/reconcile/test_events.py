from typing import Any

from apm_operator.queue import Key
from apm_operator.reconcile.events import Events
from unit.apm_operator.fakes import FakeKube


async def test_a_note_is_cut_by_its_bytes_as_the_api_server_counts():
    kube: Any = FakeKube()
    await Events(kube, "test").tell(Key("shop", "one"), "uid-one", "PodsCrash", "x" + "\u00fc" * 1024)
    (event,) = kube.objects.values()
    assert event["note"] == "x" + "\u00fc" * 511
