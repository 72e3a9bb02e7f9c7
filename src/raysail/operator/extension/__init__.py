"""API groups that this process answers for (`Manager.extension_apis`), behind an API server that passes requests on: Kubernetes' aggregation layer over
HTTPS, and the embedded API over a Unix socket.

The API server in front has authenticated and authorised each request; what has to be made sure here is only that it is the API server who asks.
"""
