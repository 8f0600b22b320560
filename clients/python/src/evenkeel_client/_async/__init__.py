"""The asynchronous client: the source from which `generate_sync.py` makes the synchronous one."""
