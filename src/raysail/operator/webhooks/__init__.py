"""Admission and conversion for an API server that is not ours: the functions of `raysail.api` over HTTPS, and their registration there.

Pure: admission, conversion, json_patch, configurations. Shell: objects (what a decision asks about), certificate, registration, server.
"""
