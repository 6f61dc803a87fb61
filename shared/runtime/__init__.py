"""What every service needs to run: settings, logs, metrics, health, secrets, tenants, shutdown."""
