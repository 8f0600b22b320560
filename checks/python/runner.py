"""Runs cases, which are methods of an object, one after the other."""


def run(cases: object, names: list[str]) -> int:
    """Runs the methods of these names and prints how each ended. Returns the exit code: 1 if one failed."""
    failed = 0
    for name in names:
        try:
            getattr(cases, name)()
            print(f"ok      {name}")
        except Exception as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
    return 1 if failed else 0
