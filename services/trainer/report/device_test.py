"""The name of the device that a model runs on."""

from __future__ import annotations

from types import SimpleNamespace

from trainer.report.device import device_name


def model_on(kind):
    device = SimpleNamespace(type=kind, __str__=lambda: kind)
    weights = [SimpleNamespace(device=device)]
    return SimpleNamespace(network=SimpleNamespace(parameters=lambda: iter(weights)))


def test_a_model_without_a_network_runs_on_the_processor():
    assert device_name(object()).startswith("CPU, ")
    assert device_name(model_on("cpu")) == device_name(object())
    nothing = SimpleNamespace(network=SimpleNamespace(parameters=lambda: iter(())))
    assert device_name(nothing) == device_name(object())


def test_another_device_is_named():
    assert "mps" in device_name(model_on("mps"))
