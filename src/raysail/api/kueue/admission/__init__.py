"""Kueue's webhooks as pure functions: what is filled into an object at its creation, and what is refused.

`mutate` and `review` take the object as it stands in the request (v1beta1 objects of Kueue's too), `lookup` for other objects and the settings.
The embedded API calls them in process, `raysail operator` serves them as webhooks; neither needs a controller to be alive.
"""

from raysail.api.kueue.admission.review import Verdict, concerns, mutate, review
from raysail.api.kueue.admission.settings import DEFAULT_GATES, FRAMEWORKS, MANAGED_NAMESPACES, SERVED_FRAMEWORKS, AdmissionSettings
from raysail.api.kueue.admission.surroundings import Lookup, Surroundings

__all__ = [
    "DEFAULT_GATES",
    "FRAMEWORKS",
    "MANAGED_NAMESPACES",
    "SERVED_FRAMEWORKS",
    "AdmissionSettings",
    "Lookup",
    "Surroundings",
    "Verdict",
    "concerns",
    "mutate",
    "review",
]
