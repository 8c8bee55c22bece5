"""Starts the monitor of this bundle: python monitoring.py --config evidently.yaml."""

from ktt_monitor.main import main

if __name__ == "__main__":
    main()
