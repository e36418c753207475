"""What tests of launch files share."""

from support.launching import launching  # noqa: F401 - a fixture
