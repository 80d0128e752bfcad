"""Fine tuning."""
