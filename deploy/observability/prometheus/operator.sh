#!/usr/bin/env bash
# Prints what the Prometheus Operator needs instead of prometheus.yaml: a PodMonitor of the collector, and the rules as PrometheusRules.
#
#     deploy/observability/prometheus/operator.sh | kubectl apply --server-side --namespace observability --filename -
#
# The Prometheus must select both (`podMonitorSelector`, `ruleSelector` and their namespaces), have the external label `runbooks`, and
# keep data for longer than the 30 days of the objectives (`retention: 31d`; the default is 24h).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

cat <<'YAML'
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: otel-collector
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: otel-collector
  podMetricsEndpoints:
    - port: metrics
      interval: 15s
      # `job` and `instance` are those of the services, not the collector's.
      honorLabels: true
YAML
for file in rules/*.yaml; do
    cat <<YAML
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: orders-$(basename "$file" .yaml)
spec:
YAML
    sed 's/^\(.\)/  \1/' "$file"
done
