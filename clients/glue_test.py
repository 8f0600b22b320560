"""Tests that glue.py counts what it says, and that no line talks its way out. Run: python3 -m unittest clients/glue_test.py"""

import unittest

from clients.glue import LANGUAGES, MOST, ROOT, Language, glue


def language(name: str) -> Language:
    """The language of this name."""
    return next(it for it in LANGUAGES if it.name == name)


def source(it: Language) -> str:
    """Its quick start."""
    return (ROOT / it.path).read_text(encoding="utf-8")


def with_line(it: Language, added: str) -> str:
    """Its quick start with a line before the call."""
    lines = source(it).splitlines()
    call = next(i for i, line in enumerate(lines) if "layer" in line.lower() and "client." in line)
    return "\n".join([*lines[:call], added, *lines[call:]])


class GlueTest(unittest.TestCase):
    """What counts, and what does not."""

    def test_the_quick_starts(self):
        for it in LANGUAGES:
            with self.subTest(it.name):
                found = glue(it, source(it))
                self.assertGreaterEqual(len(found), 2, "the import and the client are always there")
                self.assertLessEqual(len(found), MOST)

    def test_a_line_of_settings_is_glue_in_every_language(self):
        for it in LANGUAGES:
            for line in [
                "settings.limit = 1",
                "// glue: no",
                "client.warm_up();",
                "print(setup())",
                "System.out.println(setUp());",
                "int limit{7};",
                "x = 3;",
            ]:
                with self.subTest(it.name, line=line):
                    line = line.rstrip(";") if it.name == "Python" else line
                    is_comment = line.startswith("//") and it.name != "Python"
                    more = len(glue(it, with_line(it, line))) - len(glue(it, source(it)))
                    self.assertEqual(more, 0 if is_comment else 1)

    def test_a_comment_does_not_take_a_line_out(self):
        for name, line in [
            ("Python", "import evenkeel_client.errors  # the user's data"),
            ("Go", "client.Wait() // }"),
        ]:
            it = language(name)
            self.assertEqual(len(glue(it, with_line(it, line))), len(glue(it, source(it))) + 1)

    def test_ceremony_does_not_hide_the_client(self):
        for name, line in [
            ("Python", "import evenkeel_client"),
            ("Go", '"evenkeel.dev/go/evenkeel/v1"'),
            ("Java", "import java.evenkeel.Client;"),
            ("C++", "#include <evenkeel_more>"),
            ("Rust", "use std::evenkeel::Address;"),
            ("TypeScript in Node", 'console.log(new Client("127.0.0.1:50051"));'),
        ]:
            it = language(name)
            with self.subTest(name):
                self.assertEqual(len(glue(it, with_line(it, line))), len(glue(it, source(it))) + 1)

    def test_a_statement_over_two_lines_counts_as_two(self):
        it = language("C++")
        whole = source(it)
        split = whole.replace("client{address", "client{\n      address")
        self.assertNotEqual(split, whole)
        self.assertEqual(len(glue(it, split)), len(glue(it, whole)) + 1)

    def test_two_statements_in_a_line_are_refused(self):
        for name, line in [
            ("Java", "int a = 1; int b = 2;"),
            ("Python", "a = 1; b = 2"),
            ("Python", "if a: b = 2"),
            ("Go", "a := 1; b := 2"),
            ("TypeScript in Node", "const a = 1; const b = 2;"),
            ("C++", "int a = 1; int b = 2;"),
            ("Rust", "let a = 1; let b = 2;"),
        ]:
            it = language(name)
            with self.subTest(name), self.assertRaisesRegex(ValueError, "two statements"):
                glue(it, with_line(it, line))

    def test_a_program_without_call_data_or_printing_is_refused(self):
        for it in LANGUAGES:
            for missing in ["client.", "40000"]:
                kept = [line for line in source(it).splitlines() if missing not in line or "Client" in line]
                with (
                    self.subTest(it.name, missing=missing),
                    self.assertRaisesRegex(ValueError, "expected 1, 1 and some"),
                ):
                    glue(it, "\n".join(kept))

    def test_a_line_that_is_too_long_is_refused(self):
        it = language("Go")
        with self.assertRaisesRegex(ValueError, "characters"):
            glue(it, with_line(it, "x = " + "1 + " * 30 + "1"))


if __name__ == "__main__":
    unittest.main()
