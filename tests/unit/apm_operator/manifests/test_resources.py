from typing import Any

import pytest

from apm_operator.api.pods import DEFAULT_RESOURCES, Resources
from apm_operator.manifests.resources import complete


def made(**asked: Any) -> dict[str, Any]:
    return complete(Resources(**asked))


def test_the_default_is_complete():
    assert complete(DEFAULT_RESOURCES) == DEFAULT_RESOURCES.model_dump()
    assert made() == DEFAULT_RESOURCES.model_dump()


@pytest.mark.parametrize(
    ("asked", "request_", "limit"),
    [
        ({}, "100m", "1"),
        ({"requests": {"cpu": "200m"}}, "200m", "1"),
        ({"requests": {"cpu": "3"}}, "3", "3"),
        ({"limits": {"cpu": "50m"}}, None, "50m"),
        ({"requests": {"cpu": 2}, "limits": {"cpu": "2500m"}}, "2", "2500m"),
    ],
)
def test_a_limit_that_is_left_out_is_the_default_or_the_request(asked: Any, request_: str | None, limit: str):
    result = made(**asked)
    assert (result["requests"].get("cpu"), result["limits"]["cpu"]) == (request_, limit)
    assert (result["requests"]["ephemeral-storage"], result["limits"]["ephemeral-storage"]) == ("64Mi", "512Mi")


def test_other_resources_are_left_alone():
    assert made(limits={"nvidia.com/gpu": "1"})["limits"]["nvidia.com/gpu"] == "1"
