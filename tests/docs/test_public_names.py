"""Every public name says what it is and shows how it is used; the examples themselves run as doctests."""

import inspect

import pytest

import vtune


@pytest.mark.parametrize("name", vtune.__all__)
def test_a_public_name_has_a_docstring_with_an_example(name):
    docstring = inspect.getdoc(getattr(vtune, name)) or ""
    assert docstring.splitlines()[:1], f"vtune.{name} has no docstring"
    assert ">>> " in docstring, f"the docstring of vtune.{name} has no example"
