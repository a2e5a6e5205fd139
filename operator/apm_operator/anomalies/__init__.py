"""Finds what is not as usual in an agent's runs: pure, from counts to verdicts with their explanation."""
