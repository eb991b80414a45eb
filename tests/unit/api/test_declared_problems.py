"""The statuses that the API's description declares are those that its routes can answer with."""

import inspect
import re
from types import ModuleType
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api import openapi
from api.app import ROUTES, create_app
from api.http.errors import Kind

_RAISED = re.compile(r"\bKind\.([A-Z_]+)\b")
_HAS_ERRORS = [module for module in ROUTES if "health" not in module.router.tags]


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    found: dict[str, Any] = create_app().openapi()["paths"]
    return found


def _declared(module: ModuleType, paths: dict[str, Any]) -> set[int]:
    return {
        int(status)
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
        for status in paths[route.path_format][method.lower()]["responses"]
    }


@pytest.mark.parametrize("module", _HAS_ERRORS, ids=lambda module: module.__name__)
def test_every_problem_that_a_module_names_is_declared_by_one_of_its_operations(
    module: ModuleType, paths: dict[str, Any]
) -> None:
    raised = {
        name for name in _RAISED.findall(inspect.getsource(module)) if name in Kind.__members__
    }
    declared = _declared(module, paths)

    assert [name for name in raised if Kind[name].status not in declared] == []


def test_every_operation_that_decides_by_itself_exists(paths: dict[str, Any]) -> None:
    operations = {
        operation["operationId"] for methods in paths.values() for operation in methods.values()
    }

    assert openapi.OF_OPERATION.keys() <= operations


def test_an_operation_declares_only_what_it_can_answer_with(paths: dict[str, Any]) -> None:
    def errors(method: str, path: str) -> list[str]:
        answers = paths[f"/v1/organizations/{{organization_id}}{path}"][method]["responses"]
        return sorted(status for status in answers if status >= "400")

    assert errors("get", "/can-send") == ["401", "404", "422", "503"]
    assert errors("delete", "/alerts/{kind}") == ["401", "403", "404", "409", "422", "503"]
    assert errors("post", "/campaigns/{campaign_id}/pause") == [
        *("401", "403", "404", "409", "422", "503")
    ]
    assert {"402", "409", "423"} <= set(errors("post", "/wallet/debits"))
    assert "502" in errors("post", "/subscription/plan")
