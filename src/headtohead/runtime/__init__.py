"""What runs: jobs, worker processes, progress."""
