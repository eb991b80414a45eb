"""The yardstick of debits through HTTP: a route of FastAPI that reads the same body and does nothing.
`python -m bench.empty_route PORT` serves it as the API is served.
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

PATH = "/v1/organizations/{organization_id}/wallet/debits"
app = FastAPI()


@app.post(PATH, status_code=201)
async def nothing(organization_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"organization_id": organization_id, **body}


@app.get("/health/ready")
async def ready() -> dict[str, Any]:
    return {}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
