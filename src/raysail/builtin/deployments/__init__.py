"""Deployments: one ReplicaSet per version of a template, replaced step by step."""

from raysail.builtin.deployments.controller import register

__all__ = ["register"]
