"""Virtual kinds that answer questions: who am I, may I, give me a token. `apiserver.access.reviews` knows the answers."""

from __future__ import annotations

from typing import Any

from raysail.api.errors import StatusError, bad_request
from raysail.apiserver.access import reviews
from raysail.apiserver.gate import StoreGate
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest import forms
from raysail.apiserver.rest.answer import Answer, encode
from raysail.apiserver.rest.call import Call
from raysail.apiserver.rest.objects import read_object, report_fields
from raysail.apiserver.rest.reading import absent

JsonObject = dict[str, Any]


class Reviews:
    """Handlers for the review kinds and for TokenRequest."""

    def __init__(self, gate: StoreGate) -> None:
        self._gate = gate

    async def review(self, call: Call) -> Answer:
        """POST of a review."""
        body, faults = read_object(call)
        report_fields(call, faults)
        said, _ = bodies.decode(call.body, bodies.media_type(call.header(b"content-type")), find_duplicates=False)
        body["kind"] = said.get("kind") or ""  # refusals name the kind only where the client did
        return forms.object_answer(call, encode(self._answer(call, body)), 201)

    def _answer(self, call: Call, body: JsonObject) -> JsonObject:
        authorizer = self._gate.authorizer
        call.shared.ownership.track(call, None, body)
        match call.definition.resource.kind:
            case "SelfSubjectReview":
                return reviews.self_subject_review(call.user, call.shared.now())
            case "TokenReview":
                return reviews.token_review(body, self._gate.authenticator)
            case "SelfSubjectAccessReview":
                return reviews.self_subject_access_review(body, call.user, authorizer)
            case "SubjectAccessReview":
                return reviews.subject_access_review(body, authorizer)
            case "LocalSubjectAccessReview":
                return reviews.subject_access_review(body, authorizer, call.target.namespace)
            case "SelfSubjectRulesReview":
                return reviews.self_subject_rules_review(body, call.user, authorizer)
        raise LookupError(call.definition.resource.kind)

    async def token(self, call: Call) -> Answer:
        """POST serviceaccounts/NAME/token."""
        if call.verb != "create":
            raise StatusError("MethodNotAllowed", "the server does not allow this method on the requested resource", empty_details=True)
        record = call.store.get("serviceaccounts", call.key)
        if record is None:
            raise absent(call)

        value: Any = {}
        if call.body:
            value, _ = bodies.decode(call.body, bodies.media_type(call.header(b"content-type")), find_duplicates=False)
        if not isinstance(value, dict):
            raise bad_request("the body is not a TokenRequest")
        answer = reviews.token_request(value, record.object(), self._gate.tokens, self._gate.uid_of, call.shared.now())
        return forms.object_answer(call, encode(answer), 201)
