"""The description of integrations is in step with the models, and whole."""

import json
import re

from agent_runtime.integrations.catalogue import CATALOGUE
from docs import openapi

DESCRIPTION = json.loads(openapi.TARGET.read_text())


def test_the_file_is_in_step():
    assert openapi.describe() == DESCRIPTION


def test_every_operation_is_there_once():
    ids = [method["operationId"] for path in DESCRIPTION["paths"].values() for method in path.values()]
    assert sorted(ids) == sorted(each.name for found in CATALOGUE.values() for each in found)


def test_every_reference_leads_somewhere():
    for found in re.findall(r'"\$ref": "#/([^"]+)"', openapi.TARGET.read_text()):
        place = DESCRIPTION
        for part in found.split("/"):
            place = place[part]


def test_nothing_is_sent_that_has_no_bound():
    """A service can rely on it: each field has a type, and each text of people a longest length or a form."""
    for path in DESCRIPTION["paths"].values():
        for method in path.values():
            name = method["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            schema = DESCRIPTION["components"]["schemas"][name]
            assert schema["additionalProperties"] is False
            for field in schema["properties"].values():
                if field["type"] == "string":
                    assert {"maxLength", "pattern", "enum", "format"} & field.keys()
