"""Admission checks: the second stage of admission, after quota was reserved.

`states`: which checks a Workload has and what their states do to it. `parameters`, `requests`, `provisioning`: the ProvisioningRequest check.
"""
