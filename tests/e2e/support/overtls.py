"""The cluster's MongoDB behind a port that asks for TLS and for a certificate of the client."""

import base64
from typing import Any
from urllib.parse import urlsplit

from cluster.mongodb import PORT
from e2e.support import pods
from e2e.support.manifests import MONGODB_SECRET, secret
from e2e.support.operator import Operator
from e2e.support.space import Space
from fakes.authority import Authority

_NAME = "mongodb-tls"
_FOLDER = "/etc/mongodb-tls"
_SCRIPT = f"""
import asyncio, ssl

async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    to = await asyncio.open_connection({{host!r}}, {{port}})
    await asyncio.gather(pass_on(reader, to[1]), pass_on(to[0], writer))

async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="{_FOLDER}/ca.crt")
    context.load_cert_chain("{_FOLDER}/server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    await (await asyncio.start_server(serve, "0.0.0.0", {PORT}, ssl=context)).serve_forever()

asyncio.run(main())
"""


def mongodb(space: Space) -> dict[str, Any]:
    """`spec.state` of agents that reach MongoDB by such a port in this namespace, which is made."""
    data = space.get("secret", MONGODB_SECRET)["data"]
    uri = urlsplit(base64.b64decode(data["uri"]).decode())
    host = f"{_NAME}.{space.name}.svc"
    authority = Authority("of mongodb")
    space.apply(
        secret(
            _NAME,
            uri=uri._replace(netloc=f"{uri.username}:{uri.password}@{host}:{PORT}").geturl(),
            **{
                "ca.crt": authority.pem,
                "server.pem": "".join(authority.issue(host=host)),
                "client.pem": "".join(authority.issue()),
            },
        ),
        _pod(space, _SCRIPT.format(host=uri.hostname, port=uri.port)),
        pods.service(_NAME) | {"spec": {"selector": {"app": _NAME}, "ports": [{"port": PORT}]}},
    )
    keys = {"uriSecretRef": "uri", "caSecretRef": "ca.crt", "clientCertificateSecretRef": "client.pem"}
    refs = {field: {"name": _NAME, "key": key} for field, key in keys.items()}
    return {"mongodb": {"uriSecretRef": refs.pop("uriSecretRef"), "tls": refs, "database": "apm"}}


def _pod(space: Space, script: str) -> dict[str, Any]:
    made = pods.python(_NAME, Operator(space.cluster).runtime_image(), script)
    made["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "apm-operator"  # MongoDB lets only such pods in
    made["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": _NAME}}]
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "tls", "mountPath": _FOLDER, "readOnly": True}]
    return made
