"""Made from `_async/__init__.py` by generate_sync.py; edit that file."""
