"""What the server says about itself: groups, versions, resources; its version and health."""

from raysail.apiserver.discovery.documents import Discovery
from raysail.apiserver.discovery.page import Pages

__all__ = ["Discovery", "Pages"]
