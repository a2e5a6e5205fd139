"""A policy, its operator and an API in memory, for tests of the passes over policies, backups and restores."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from apm_operator import backups
from apm_operator.kinds import BY_KIND, GROUP, VERSION
from apm_operator.network import ApiServer as ToldApiServer
from apm_operator.queue import Key
from apm_operator.reconcile.apiserver import ApiServer
from apm_operator.reconcile.backupplan import Looks
from apm_operator.reconcile.cache import Cache
from apm_operator.reconcile.events import Events
from apm_operator.reconcile.outcome import Outcome
from apm_operator.reconcile.secrets import Secrets
from apm_operator.reconcile.services import Services
from apm_operator.settings import Settings
from unit.apm_operator.fakes import FakeKube

POLICY = Key("shop", "nightly", "BackupPolicy")
MONGODB = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}
SPEC = {"source": {"mongodb": MONGODB}, "storage": {"persistentVolumeClaim": {"size": "1Gi"}}}


class Vault:
    """The reconcilers of backups with their cache over a fake API."""

    def __init__(self, now: str = "2026-05-01T12:00", *, home: str = "apm-system") -> None:
        self.kube = FakeKube()
        self.home = home
        self.at(now)
        self.woken: list[Key] = []
        self.secret("apm-mongodb", uri="mongodb://u:geheim@10.1.2.3:27017/")
        self.restart()

    def secret(self, name: str, **values: str) -> None:
        """Somebody makes a Secret."""
        self.kube.objects["Secret", "shop", name] = {
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "shop", "uid": "s", "resourceVersion": "1"},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
        }

    def at(self, now: str) -> None:
        """Another time."""
        self.now = datetime.fromisoformat(now).replace(tzinfo=UTC)

    def restart(self) -> None:
        """A new operator that has listed what there is."""
        kube: Any = self.kube
        self.cache = Cache()
        for found in self.kube.objects.values():
            if found["kind"] in BY_KIND:
                self.cache.observe(json.loads(json.dumps(found)), deleted=False)
        told = ToldApiServer(cidrs=("10.0.0.1/32",))
        looks = Looks(Secrets(kube), Services(kube), ApiServer(kube, told), self.home)
        self.reconcilers = backups.reconcilers(
            Settings(backup_image="registry.example/backup:1"),
            kube,
            self.cache,
            looks,
            Events(kube, "test"),
            wake=self.woken.append,
            clock=lambda: self.now,
        )
        self.kube.calls.clear()

    def write(self, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> None:
        """The user applies an object."""
        self.kube.version += 1
        before = self.kube.objects.get((kind, "shop", name))
        generation = before["metadata"]["generation"] + 1 if before else 1
        named = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": generation}
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "metadata": named
            | {"resourceVersion": str(self.kube.version), "creationTimestamp": self.now.isoformat()}
            | metadata,
            "spec": spec,
            **({"status": before["status"]} if before and "status" in before else {}),
        }
        self.kube.objects[kind, "shop", name] = body
        self.cache.observe(json.loads(json.dumps(body)), deleted=False)

    def policy(self, **spec: Any) -> None:
        """The user applies the policy."""
        self.write("BackupPolicy", "nightly", SPEC | spec)

    def job(self, name: str, result: str = "", **metadata: Any) -> None:
        """Kubernetes makes or changes a Job of the CronJob."""
        self.kube.version += 1
        cron = self.get("CronJob").get("metadata", {}).get("uid")
        before = self.kube.objects.get(("Job", "shop", name), {"metadata": {}})["metadata"]
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"job-{name}",
                "generation": 1,
                "labels": {f"{GROUP}/backup-policy": "nightly", f"{GROUP}/job": "backup"},
                "ownerReferences": [{"kind": "CronJob", "name": "nightly", "uid": cron, "controller": True}],
                "creationTimestamp": self.now.isoformat(),
            }
            | before
            | {"resourceVersion": str(self.kube.version)}
            | metadata,
            "status": {"conditions": [{"type": result, "status": "True"}]} if result else {"active": 1},
        }
        self.kube.objects["Job", "shop", name] = body
        self.cache.observe(json.loads(json.dumps(body)), deleted=False)

    def reported(self, job: str, report: dict[str, Any] | None) -> None:
        """A Job's pod ends."""
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(report)}
        self._pod(job, {"containerStatuses": [{"name": "backup", "state": {"terminated": ended}}]})
        self.job(job, "Complete" if report and report["result"] == "Succeeded" else "Failed")

    def _pod(self, job: str, status: dict[str, Any]) -> None:
        self.kube.version += 1
        owner = self.kube.objects["Job", "shop", job]["metadata"]
        body = {
            "kind": "Pod",
            "metadata": {
                "name": f"{job}-x",
                "namespace": "shop",
                "uid": f"pod-{job}",
                "resourceVersion": str(self.kube.version),
                "labels": owner["labels"] | {"batch.kubernetes.io/job-name": job},
                "ownerReferences": [{"kind": "Job", "name": job, "uid": owner["uid"], "controller": True}],
            },
            "status": status,
        }
        self.kube.objects["Pod", "shop", f"{job}-x"] = body
        self.cache.observe(json.loads(json.dumps(body)), deleted=False)

    def runs(self, job: str) -> None:
        """A Job's pod starts."""
        self._pod(job, {"phase": "Running"})

    def node_lost(self, job: str) -> None:
        """A Job's pod is to end, and nobody says that it has."""
        pod = self.kube.objects["Pod", "shop", f"{job}-x"]
        pod["metadata"]["deletionTimestamp"] = self.now.isoformat()
        pod["spec"] = {"nodeName": "node-1"}
        self.cache.observe(json.loads(json.dumps(pod)), deleted=False)

    def leave(self, kind: str, name: str) -> None:
        """The user deletes it, and a finalizer keeps it."""
        found = self.get(kind, name)["metadata"]
        keep = {each: found[each] for each in ("finalizers", "uid") if each in found}
        self.write(kind, name, self.get(kind, name)["spec"], deletionTimestamp="2026-05-01T13:00:00Z", **keep)

    def delete(self, kind: str, name: str) -> None:
        """An object goes, and the watch tells."""
        body = self.kube.objects.pop((kind, "shop", name))
        self.cache.observe(body, deleted=True)

    async def reconcile(self, kind: str = "BackupPolicy", name: str = "nightly") -> Outcome:
        return await self.reconcilers[kind].reconcile(Key("shop", name, kind))

    def get(self, kind: str, name: str = "nightly") -> dict[str, Any]:
        return self.kube.objects.get((kind, "shop", name), {})

    def status(self, kind: str = "BackupPolicy", name: str = "nightly") -> dict[str, Any]:
        found: dict[str, Any] = self.get(kind, name).get("status", {})
        return found

    def reason(self, kind: str = "BackupPolicy", name: str = "nightly") -> str:
        conditions = self.status(kind, name).get("conditions", [])
        return next((each["reason"] for each in conditions if each["type"] == "Ready"), "")

    def events(self) -> list[str]:
        return sorted(found["reason"] for found in self.kube.objects.values() if found["kind"] == "Event")


def report(name: str, at: str = "2026-05-01T02:05:00Z", **facts: Any) -> dict[str, Any]:
    """What a Job tells that went well."""
    backup = {
        "name": name,
        "started": at,
        "finished": at,
        "size": 1,
        "archiveSize": 1,
        "documents": 1,
        "collections": 1,
        "sha256": "ab",
        "encrypted": False,
    }
    test = {"name": name, "at": at, "restored": True, "good": True}
    told = {"result": "Succeeded", "reason": "Completed", "message": "So.", "backup": backup, "tests": [test]}
    return told | facts
