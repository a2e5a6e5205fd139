"""What runs inside the Jobs of backups and restores; it knows nothing of kopf, and of Kubernetes only its Leases."""
