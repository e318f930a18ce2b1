"""Is it still right: how the signals drift."""
