"""Pods as processes on this machine: sandbox, network, volumes, probes, logs, exec, devices, warm start."""
