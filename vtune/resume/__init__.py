"""Going on where a study stopped: what the store knows, what is trained again, and what snapshots spare."""
