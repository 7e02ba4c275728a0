"""What a ranking is worth: metrics, calibration, selection."""
