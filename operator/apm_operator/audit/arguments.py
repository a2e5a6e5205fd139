"""The options of `audit`, apart from what it imports: the operator itself starts without that."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of the command."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-n", "--namespace", help="namespace of the agents; by default that of the kubeconfig's context")
    where.add_argument("-A", "--all-namespaces", action="store_true", help="agents of all namespaces")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the answer")
    parser.add_argument("--kubeconfig", default="", help="kubeconfig file; by default as kubectl finds it")
    parser.add_argument("--context", default=None, help="context of the kubeconfig")
