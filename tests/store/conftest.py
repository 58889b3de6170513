"""What the tests of the store share."""

from postgres import place, postgres  # noqa: F401
