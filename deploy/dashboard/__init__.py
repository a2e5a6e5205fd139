"""The Grafana dashboard `apm-dashboard`, made by `python -m deploy.dashboard`."""
