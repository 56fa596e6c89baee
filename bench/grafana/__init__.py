"""Grafana's dashboards as code: `python -m bench.grafana` writes deploy/grafana/dashboards."""
