# Build from the repository's root: docker build --file operator/backup.Dockerfile .
# BUILDER needs python3 with pip; BASE the same python3 and a shell; TOOLS has mongodump and mongorestore in /usr/bin.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG BUILDER=${BASE}
ARG TOOLS=docker.io/library/mongo:8.0

FROM ${TOOLS} AS tools

FROM ${BUILDER} AS dependencies
ARG PIP_OPTIONS=""
COPY requirements/backup.txt requirements/sbom.txt /tmp/
RUN python3 -m pip install ${PIP_OPTIONS} --no-cache-dir --require-hashes --no-deps --no-compile \
      --target=/app/lib --requirement=/tmp/backup.txt \
 && { python3 -m compileall -qq --invalidation-mode=unchecked-hash /app/lib || true; }
RUN python3 -m pip install ${PIP_OPTIONS} --no-cache-dir --require-hashes --no-deps --no-compile \
      --target=/opt/sbom --requirement=/tmp/sbom.txt

FROM ${BUILDER} AS source
COPY operator/apm_operator/__init__.py /app/apm_operator/__init__.py
COPY operator/apm_operator/backup /app/apm_operator/backup
RUN python3 -m compileall -q --invalidation-mode=unchecked-hash /app

# A base for Python has what installs packages, which nothing here does.
FROM ${BASE} AS base
RUN rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip* \
      /usr/local/bin/wheel /root/.cache /var/cache/apt/* /var/lib/apt/lists/*
COPY --from=tools /usr/bin/mongodump /usr/bin/mongorestore /usr/local/bin/
# Where the libraries of BASE do not fit the tools, it shows here and not at two in the morning.
RUN mongodump --version >/dev/null && mongorestore --version >/dev/null

FROM base AS contents
ARG VERSION=0.1.0
COPY --from=dependencies /opt/sbom /opt/sbom
COPY --from=dependencies /app/lib /app/lib
COPY deploy/sbom.py /opt/sbom.py
RUN tools=$(mongodump --version | sed -n 's/^mongodump version: *//p') \
 && PYTHONPATH=/opt/sbom python3 /opt/sbom.py apm-backup ${VERSION} /app/lib /usr/share/sbom/apm-backup.cdx.json \
      "pkg:golang/github.com/mongodb/mongo-tools@${tools:-unknown}"

FROM base
ENV PYTHONPATH=/app:/app/lib PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=dependencies /app/lib /app/lib
COPY --from=source /app /app
COPY --from=contents /usr/share/sbom /usr/share/sbom
USER 65532:65532
ENTRYPOINT ["python3", "-m", "apm_operator.backup"]
