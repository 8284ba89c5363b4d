"""The API's OpenAPI description, completed by all answers of each call, in their real form."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from fastapi import FastAPI

from stager.errors import TokenMissing
from stager.http.examples import Node, example_of
from stager.http.headers import described
from stager.http.problems import CHALLENGES, KINDS_OF_PROBLEMS, MEDIA_TYPE, RETRY_AFTERS, Problem, title

CALL_ID = "call-4711"
REQUEST_ID: Node = {**described("The call's id, which is in the log's lines.", CALL_ID), "required": True}
CHALLENGE: Node = {
    **described("What is missing or wrong (RFC 6750).", CHALLENGES[TokenMissing]),
    "required": True,
}
RETRY_AFTER: Node = {
    "description": "Seconds after which to try again.",
    "schema": {"type": "integer"},
    "required": True,
}
HEADERS: dict[str, dict[str, Node]] = {
    "401": {"WWW-Authenticate": CHALLENGE},
    **{
        str(status): {"Retry-After": {**RETRY_AFTER, "example": int(seconds)}}
        for status, seconds in RETRY_AFTERS.items()
    },
}
# Members of an example of a request that has not ended.
GOES_ON: Node = {"status": "submitted", "started_at": None, "finished_at": None}


class DescribedAPI(FastAPI):
    """A FastAPI application whose description has all answers of its calls."""

    def openapi(self) -> Node:
        """Return the description (OpenAPI 3.1)."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"] |= {"responses": {}, "headers": {}}
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own: ours are problems
                document["components"]["schemas"].pop(name, None)
            for schema in document["components"]["schemas"].values():
                for member in schema.get("properties", {}).values():
                    member.pop("title", None)  # its name again
            for operation in _operations(document):
                _complete(operation)
                _leave_null_out(operation)
                _exemplify(operation, document["components"]["schemas"])
                _share_headers(operation, document["components"]["headers"])
            _share_answers([*_operations(document)], document["components"]["responses"])
            document["components"]["parameters"] = _share_parameters([*_operations(document)])
            _share_members(document["components"]["schemas"])
        return super().openapi()


def _operations(document: Node) -> Iterator[Node]:
    for verbs in document["paths"].values():
        yield from verbs.values()


def _complete(operation: Node) -> None:
    """Add the answers that any such call can have, and the headers of each answer."""
    answers = operation["responses"]
    for status in _always(operation):
        answers.setdefault(status, {"content": {MEDIA_TYPE: {}}})
    for status, answer in answers.items():
        if _is_problem(answer):
            answer["description"] = HTTPStatus(int(status)).phrase
            answer["content"] = {MEDIA_TYPE: _problem(int(status))}
        headers = answer.setdefault("headers", {})
        headers.update({"X-Request-ID": REQUEST_ID, **HEADERS.get(status, {})})
    operation.setdefault("security", [])  # an open call says that it is one


def _leave_null_out(operation: Node) -> None:
    """Leave null out: neither a query nor a header can say it, and who has no body sends none."""
    body = operation.get("requestBody", {}).get("content", {}).values()
    for said in (*operation.get("parameters", ()), *body):
        kinds = [kind for kind in said["schema"].pop("anyOf", ()) if kind != {"type": "null"}]
        said["schema"].update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})


def _exemplify(operation: Node, components: Node) -> None:
    """Add examples to parameters and JSON bodies that have none."""
    for parameter in operation.get("parameters", ()):
        parameter.setdefault("example", example_of(parameter["schema"], components))
        for said in ("title", "description", "examples"):  # of the parameter, or its name again
            parameter["schema"].pop(said, None)
    for status, said in (("", operation.get("requestBody", {})), *operation["responses"].items()):
        media = said.get("content", {}).get("application/json", {"example": None})
        if not media.keys() & {"example", "examples"}:
            media["example"] = example_of(media["schema"], components)
            if status == "202":
                media["example"] |= {name: value for name, value in GOES_ON.items() if name in media["example"]}


def _share_headers(operation: Node, shared: Node) -> None:
    """Put each header that answers have in common once into the document."""
    for answer in operation["responses"].values():
        for name, header in answer["headers"].items():
            if shared.setdefault(name, header) == header:
                answer["headers"][name] = {"$ref": f"#/components/headers/{name}"}


def _share_parameters(operations: list[Node]) -> Node:
    """Return the parameters that several calls have in common, by their names, and refer to them in the calls."""
    said = [operation.get("parameters", []) for operation in operations]
    every = [parameter for parameters in said for parameter in parameters]
    common = {parameter["name"]: parameter for parameter in every if every.count(parameter) > 1}
    for parameters in said:
        parameters[:] = [
            {"$ref": f"#/components/parameters/{one['name']}"} if common.get(one["name"]) == one else one
            for one in parameters
        ]
    return common


def _share_members(schemas: Node) -> None:
    """Say of a form that has all members of another one, and more, what it has beside those."""
    for schema in [one for one in schemas.values() if _is_open(one)]:
        for name in [name for name, other in schemas.items() if _is_open(other) and _extends(schema, other)][:1]:
            inherited = schemas[name]["properties"].keys()
            own = {word: schema.pop(word) for word in ("type", "properties", "required")}
            own["properties"] = {one: said for one, said in own["properties"].items() if one not in inherited}
            own["required"] = [one for one in own["required"] if one not in inherited]
            schema["allOf"] = [{"$ref": f"#/components/schemas/{name}"}, own]


def _is_open(schema: Node) -> bool:
    """Return whether a schema is that of an object whose members are not all said."""
    return "properties" in schema and "additionalProperties" not in schema


def _extends(schema: Node, other: Node) -> bool:
    has, inherits = ({*one.get("required", ())} for one in (schema, other))
    found, wanted = schema["properties"], other["properties"]
    return found.keys() > wanted.keys() and inherits <= has and all(found[name] == wanted[name] for name in wanted)


def _share_answers(operations: list[Node], shared: Node) -> None:
    """Put the problem of each status, and what else several calls answer alike, once into the document."""
    every = [answer for operation in operations for answer in operation["responses"].values()]
    for operation in operations:
        answers: Node = operation["responses"]
        for status, answer in answers.items():
            if not _is_problem(answer) and every.count(answer) == 1:
                continue
            name = next((name for name, one in shared.items() if one == answer), None)
            name = name or f"{_form_of(answer) or operation['operationId']}{status}"
            if shared.setdefault(name, answer) == answer:
                answers[status] = {"$ref": f"#/components/responses/{name}"}


def _form_of(answer: Node) -> str:
    """Return the name of the form that is answered; none of what has no form, or several."""
    schemas = [media.get("schema", {}).get("$ref", "") for media in answer.get("content", {}).values()]
    return str(schemas[0].rpartition("/")[2]) if len(schemas) == 1 else ""


def _always(operation: Node) -> Iterator[str]:
    yield from ("414", "422", "431", "500")
    if "requestBody" in operation:
        yield from ("400", "408", "413")
    if "security" in operation:
        yield from ("401", "503")


def _is_problem(answer: Node) -> bool:
    """Return whether an answer is a problem, by our description or by FastAPI's."""
    content = answer.get("content", {})
    schemas = [media.get("schema", {}).get("$ref", "") for media in content.values()]
    return MEDIA_TYPE in content or any(schema.endswith("/HTTPValidationError") for schema in schemas)


def _problem(status: int) -> Node:
    of_kinds = {
        name: _example(status, f"https://staging.example.org/problems/{name}", title(kind))
        for name, kind in KINDS_OF_PROBLEMS.items()
        if kind.http_status == status
    }
    examples = of_kinds or {"about:blank": _example(status, "about:blank", HTTPStatus(status).phrase)}
    return {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}, "examples": examples}


def _example(status: int, kind: str, words: str) -> Node:
    value = {
        "type": kind,
        "title": words,
        "status": status,
        "detail": f"{words}.",
        "instance": "/requests",
        "http_request_id": CALL_ID,
    }
    return {"value": value}
