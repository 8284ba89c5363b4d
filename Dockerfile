# syntax=docker/dockerfile:1
# One image for every door: HTTP service, workers, flow runs, migrations, registration and Prefect's server.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils=2.40-* \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv --without-pip /opt/venv
# Only wheels: nothing is compiled, so the image has no compiler to lose. The locks name everything, and
# pip must not look further: for a package with an extra it would take its newest, whose hash is not there.
COPY requirements/build.txt requirements/run.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --requirement requirements/build.txt \
    && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-compile \
        --only-binary :all: --no-deps --require-hashes --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY stager stager
COPY flows flows
COPY tasks tasks
COPY blocks blocks
COPY workers workers
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir dist . \
    && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-compile --no-deps dist/*.whl
# What `python -m deployments.register` reads beside the packages.
COPY prefect.yaml /srv/
COPY deployments /srv/deployments
# A third of all is of no use at run time: symbols for debuggers, sources of
# extensions, other packages' tests and what they are made with, translations, what Amazon has beside object stores, and
# the text of a client that a program wrote and of a checker of types, which checks nothing then.
RUN find /opt/venv -name '*.so*' -exec strip --strip-unneeded {} + \
    && find /opt/venv -type d \( -name tests -o -path '*/sqlalchemy/testing' -o -path '*/alembic/testing' -o -path '*/humanize/locale' \) -prune -exec rm -r {} + \
    && find /opt/venv -regex '.*/boto\(3\|core\)/data/[^/.]+' ! -name s3 ! -name sts -prune -exec rm -r {} + \
    && find /opt/venv -regex '.*\.\(c\|cpp\|h\|hpp\|po\|pyi\|pyx\|pxd\|pxi\)' -delete \
    && for package in kubernetes_asyncio beartype; do \
         compiled="/opt/venv/lib/python3.11/site-packages/$package"; \
         python -m compileall -q -j 0 -b -o 2 --invalidation-mode unchecked-hash "$compiled" \
         && find "$compiled" -name '*.py' -delete || exit 1; \
       done

FROM ${PYTHON_IMAGE}
# tini hands signals on, ends what lost its parent, and so lets any command be the container's first.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini=0.19.* \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin stager
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv /srv
# As `make docs` built it, which takes a Python that is not in here; else the folder is empty, and /manual says so.
COPY build/manual /srv/manual
WORKDIR /srv
# Compiled now, for the file system will be read-only: what the doors import,
# of the standard library too, and no more. By its hash unchecked, no start
# looks whether a source is newer.
RUN PREFECT_API_URL=http://127.0.0.1:4200/api /opt/venv/bin/python /srv/deployments/imported.py > /tmp/imported \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -i /tmp/imported \
    && rm -rf /tmp/*
# Whatever is written goes to /tmp, the one place that a container must mount.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_CLI_COLORS=false \
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE=false \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1 \
    STAGER_LOG_FILE=/tmp/staging_service.log \
    STAGER_MANUAL=/srv/manual
# Last, so that another revision makes no layer anew.
ARG SOURCE=""
ARG REVISION=""
LABEL org.opencontainers.image.title="SKA staging service" \
    org.opencontainers.image.description="Brings data products to where a scientist works: checked, verified, read-only, recorded." \
    org.opencontainers.image.licenses="BSD-3-Clause" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "granian", "--interface", "asgi", "--factory", "--http", "1", "--no-ws", "--log-level", "warning", "--workers-kill-timeout", "10s", "--host", "0.0.0.0", "--port", "8000", "stager.app:create_app"]
