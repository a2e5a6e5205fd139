"""What an agent's process loads, tried in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
UNUSED = ("cryptography", "charset_normalizer", "httpx2", "websockets", "zstandard", "langsmith.types.run", "numpy")
IMPORTS = """
from agent_runtime.settings import apply_library_defaults
from agent_runtime.libraries import lean_imports
apply_library_defaults()
with lean_imports():
    from agent_runtime.agent import Agent
    from agent_runtime.server.process import serve
import agent_runtime.workflow.compile, agent_runtime.models.openai
import agent_runtime.state.mongodb, agent_runtime.state.saver
import sys
"""


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", IMPORTS + code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_agent_with_mongodb_loads_little():
    assert _python(f"print([name for name in {UNUSED} if sys.modules.get(name)])") == "[]"


def test_code_of_users_finds_all_packages():
    code = """
import charset_normalizer, zstandard, langgraph_sdk, langsmith.types
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from langsmith import Client
from langsmith.types import Run
print(langgraph_sdk.__version__ > "0", langgraph_sdk.get_client is get_client)
print(Run.__name__, hasattr(langgraph_sdk, "no"))
"""
    assert _python(code) == "True True\nRun False"
