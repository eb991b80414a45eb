FROM python:3.11-slim AS build
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/venv UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
# The dependencies are a layer of their own: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --compile-bytecode --no-install-project
COPY . .
RUN uv sync --frozen --no-dev --compile-bytecode --no-editable

FROM python:3.11-slim
ARG BUILD_ID=
RUN useradd --system --uid 10001 --create-home tollgate
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOLLGATE_BUILD_ID=$BUILD_ID
USER tollgate
WORKDIR /home/tollgate
EXPOSE 8000
ENTRYPOINT ["tollgate"]
CMD ["--help"]
