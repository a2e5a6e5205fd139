"""Runs that begin by the clock: each tick of a cron makes one run, over all pods."""
