"""What writes the Grafana dashboard of every bundled model."""
