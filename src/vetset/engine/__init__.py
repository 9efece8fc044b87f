"""Where tasks run. An engine knows tasks and items, never stages."""
