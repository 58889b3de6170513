"""What `executor=` may be, and what is said where it cannot."""

from __future__ import annotations

import sys

import pytest
from executors import far

import vtune
from vtune.errors import ArgumentError, PackageError
from vtune.executors import Local, Ray, make


def test_the_names_are_told():
    with pytest.raises(ArgumentError, match=r"must be 'local', 'ray' or an object of .*; got 'slurm'"):
        make("slurm")
    with pytest.raises(ArgumentError, match=r"got the class Ray. Write Ray\(...\)"):
        make(Ray)
    with pytest.raises(ArgumentError, match="int lacks name"):
        make(3)


def test_nothing_runs_before_the_executor_is_checked(tmp_path):
    with pytest.raises(ArgumentError, match="executor must be"):
        vtune.tune(far.Bowl(tmp_path), far.SPACE, trials=4, executor="dask", store=tmp_path / "vtune.db", **far.OPTIONS)
    assert not (tmp_path / "vtune.db").exists()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"cpus": "many"}, {"gpus": -1}, {"workers": 1.5}])
def test_numbers_that_cannot_be(wrong):
    pytest.importorskip("ray")
    with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} must be"):
        Ray(**wrong)


def test_without_the_package_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PackageError, match=r'pip install "vtune\[ray\]"'):
        make("ray")


def test_the_study_keeps_where_it_was_trained(tmp_path):
    options = {**far.OPTIONS, "steps": 3, "eval_every": 3}
    found = vtune.tune(far.Bowl(tmp_path), far.SPACE, trials=4, executor=Local(), **options)
    assert found.record.choices["executor"] == "local"
