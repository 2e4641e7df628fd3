"""Classes of unittest, with each outcome that it has."""

import os
import unittest
from pathlib import Path
from typing import ClassVar


class TestRows(unittest.TestCase):
    """A table that is made once."""

    rows: ClassVar[list[int]]

    @classmethod
    def setUpClass(cls) -> None:
        """Make the table."""
        cls.rows = [1, 2, 3]

    def setUp(self) -> None:
        """Keep the environment and the folder."""
        self.environment, self.folder = dict(os.environ), Path.cwd()

    def tearDown(self) -> None:
        """Compare them; pytest itself changes one variable."""
        now = dict(os.environ)
        for each in (self.environment, now):
            each.pop("PYTEST_CURRENT_TEST", None)
        self.assertEqual((now, Path.cwd()), (self.environment, self.folder))

    def test_sum(self) -> None:
        """Pass."""
        self.assertEqual(sum(self.rows), 6)

    def test_each(self) -> None:
        """Pass for each row."""
        for row in self.rows:
            with self.subTest(row=row):
                self.assertGreater(row, 0)

    def test_raises(self) -> None:
        """Pass."""
        with self.assertRaises(AssertionError):
            self.fail("no rows")

    def test_fails(self) -> None:
        """Fail."""
        self.assertEqual(self.rows, [])

    @unittest.expectedFailure
    def test_known_fault(self) -> None:
        """Fail as expected."""
        self.assertEqual(self.rows, [])

    @unittest.skip("no table")
    def test_skipped(self) -> None:
        """Be skipped."""
