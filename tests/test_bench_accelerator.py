"""The accelerator benchmark at its smallest: it measures, goes on where it stopped, and survives points that fail."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setattr("vtune.display.pictures.BROWSERS", ())


def points(driver, lanes, network="tiny"):
    from accelerator import measure

    request = {"network": network, "driver": driver, "lanes": lanes, "seconds": 0.01, "dtype": "float32"}
    return list(measure.points(request))


@pytest.mark.parametrize("driver", ["vtune", "by hand, cheap generator"])
def test_a_driver_is_measured(driver):
    (found,) = points(driver, [2])
    assert found["status"] == "ok", found
    assert found["lane_steps_per_second"] == pytest.approx(2 * found["steps"] / found["seconds"])
    assert found["flops_per_second"] == pytest.approx(found["lane_steps_per_second"] * found["flops_per_lane_step"])


def test_memory_that_runs_out_ends_a_driver_and_not_the_run(monkeypatch):
    import jax
    import jax.numpy as jnp
    from accelerator import measure

    def greedy(work, lanes, seconds, dtype):
        jax.block_until_ready(jnp.ones((lanes, 512)))
        return {"lane_steps_per_second": 1.0}

    monkeypatch.setitem(measure.DRIVERS, "greedy", greedy)
    found = points("greedy", [2, 2**38, 2**39])
    assert [point["status"] for point in found] == ["ok", "out of memory"]
    assert "RESOURCE_EXHAUSTED" in found[1]["error"]


def test_flops_are_those_that_xla_counts():
    import jax
    from accelerator.workloads import WORKLOADS

    for work in WORKLOADS.values():
        products = [(np.zeros((m, k), "float32"), np.zeros((k, n), "float32")) for m, k, n in work.products]
        forward = jax.jit(lambda pairs: [x @ w for x, w in pairs]).lower(products).cost_analysis()["flops"]
        assert 2 * forward < work.flops < 3 * forward


@pytest.mark.parametrize("network", ["2x64", "2x512", "cnn", "transformer"])
def test_products_are_those_of_the_network(network):
    """XLA counts elementwise work besides, and leaves out the products of a convolution with its zero margins."""
    import jax
    import jax.numpy as jnp
    from accelerator import workloads
    from peers.problem import TracedDropout

    work = workloads.WORKLOADS[network]
    module = work.module(0.1, TracedDropout, jnp.float32)
    x = workloads.data_of(work)[0][0][: work.batch]
    params = jax.eval_shape(module.init, jax.random.key(0), x[:1])
    counted = jax.jit(module.apply).lower(params, x).cost_analysis()["flops"]
    forward = sum(2 * m * k * n for m, k, n in work.products)
    assert 0.65 * forward < counted < 1.5 * forward


def test_a_run_goes_on_where_it_stopped(tmp_path, capfd):
    import bench_accelerator

    out = tmp_path / "points.jsonl"
    asked = ["--small", "--networks", "tiny", "--drivers", "matrix products alone", "--out", str(out)]
    bench_accelerator.main([*asked, "--lanes", "1"])
    out.write_bytes(out.read_bytes() + b'{"torn": ')
    bench_accelerator.main([*asked, "--lanes", "1", "2"])
    bench_accelerator.main([*asked, "--lanes", "1", "2"])
    lines = [line for line in out.read_text().splitlines() if line != '{"torn": ']
    found = [json.loads(line) for line in lines]
    assert [(point["lanes"], point["status"]) for point in found] == [(1, "ok"), (2, "ok")]
    for point in found:
        assert point["small"]
        assert point["platform"] == "cpu"
        assert {"date", "device", "python", "jax", "jaxlib", "flax", "optax", "vtune"} <= point.keys()
    assert "SMALL: not a measurement" in out.with_suffix(".html").read_text()
    assert "SMALL: not a measurement" in capfd.readouterr().out


def test_a_process_that_dies_is_a_point_that_failed():
    import bench_accelerator

    request = {"network": "tiny", "driver": "vtune", "lanes": [1], "flags": "--xla_no_such_flag=1", "seconds": 0.01}
    (died,) = bench_accelerator.measured({**request, "dtype": "float32"}, deadline=time.monotonic() + 250)
    assert died["status"] == "failed"
    assert "xla_no_such_flag" in died["error"]
