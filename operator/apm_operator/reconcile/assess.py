"""From what was observed to one verdict: which trouble is told, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator.conditions import Aspect, Verdict
from apm_operator.errors import ApiError, Forbidden, Invalid, NotHeld, QuotaExceeded
from apm_operator.kinds import SECRETS
from apm_operator.manifests.deployment import PROGRESS_DEADLINE_SECONDS

if TYPE_CHECKING:
    from apm_operator.queue import Key
    from apm_operator.reconcile.facts import DeploymentFacts, PodFacts
    from apm_operator.reconcile.secrets import Findings, SecretUse

_PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CRASH_REASONS = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})


def refused(error: ApiError) -> Verdict:
    """The API server did not take what was applied."""
    if isinstance(error, QuotaExceeded):
        return Verdict.problem(
            c.QUOTA_EXCEEDED,
            f"The namespace's quota does not allow it: {error}. Raise the ResourceQuota or ask for less; "
            "it is tried again by itself.",
            certain=False,
        )
    if isinstance(error, NotHeld):
        return Verdict.problem(
            c.PERMISSIONS_NOT_GRANTED,
            f"The operator may not grant what spec.permissions asks for: {error}. Have its administrator bring the "
            "chart's value permissions.grantable in step with the operator's rights.",
            certain=False,
        )
    if isinstance(error, Forbidden):
        return Verdict.problem(
            c.FORBIDDEN,
            f"The operator may not do this: {error}. Look at its RBAC rights and at admission rules.",
            certain=False,
        )
    if isinstance(error, Invalid):
        return Verdict.stalled(c.SPEC_INVALID, f"Kubernetes refuses what the spec asks for: {error}")
    return Verdict.problem(
        c.API_ERROR, f"The Kubernetes API failed; it is tried again by itself: {error}", certain=False
    )


def name_taken(kind: str, name: str, of: str = "agent") -> Verdict:
    """Somebody else's object has the name of a child of an agent, or of what else a user wrote."""
    return Verdict.problem(
        c.NAME_TAKEN,
        f"A {kind} named {name} exists that does not belong to this {of}: remove it, or give the {of} another "
        "name. It is left as it is.",
        certain=False,
    )


def missing(findings: Findings, namespace: str) -> Verdict:
    """Pods can't start without the Secrets and ConfigMaps, or keys of them, that are not there."""
    absent = _by_object(findings.missing)
    told = [_absent(kind, name, keys, namespace) for (kind, name), keys in absent.items()]
    lacking = _by_object(findings.incomplete)
    told += [_lacking(kind, name, keys, namespace) for (kind, name), keys in lacking.items()]
    secret = any(kind == SECRETS.kind for kind, _ in (*absent, *lacking))
    return Verdict.problem(c.SECRET_MISSING if secret else c.CONFIG_MAP_MISSING, "; ".join(told))


def _by_object(uses: Iterable[SecretUse]) -> dict[tuple[str, str], list[str]]:
    keys: dict[tuple[str, str], list[str]] = {}
    for use in sorted(uses):
        named = keys.setdefault((use.kind, use.name), [])
        if use.key and use.key not in named:
            named.append(use.key)
    return keys


def _absent(kind: str, name: str, keys: list[str], namespace: str) -> str:
    what = f"{kind} {name}" + (f" with {_keys(keys)}" if keys else "")
    command = "secret generic" if kind == SECRETS.kind else "configmap"
    values = " ".join(f"--from-literal={key}=VALUE" for key in keys or ["KEY"])
    return f"{what} is missing (kubectl -n {namespace} create {command} {name} {values} makes it)"


def _lacking(kind: str, name: str, keys: list[str], namespace: str) -> str:
    field = "stringData" if kind == SECRETS.kind else "data"
    patch = json.dumps({field: dict.fromkeys(keys, "VALUE")}, separators=(",", ":"))
    return (
        f"{kind} {name} is there, but has no {_keys(keys)} "
        f"(kubectl -n {namespace} patch {kind.lower()} {name} --type=merge --patch='{patch}' adds what is missing)"
    )


def _keys(keys: list[str]) -> str:
    return ("key " if len(keys) == 1 else "keys ") + ", ".join(keys)


def with_unread_secrets(verdict: Verdict, names: Iterable[str]) -> Verdict:
    """Pods that are not there yet may wait for a Secret that the operator has no right to look at."""
    if verdict.reason != c.ROLLING_OUT:
        return verdict
    hint = f"The operator may not read {', '.join(names)}: if pods stay in ContainerCreating, is it there?"
    return replace(verdict, message=f"{verdict.message} {hint}")


def at_home(key: Key) -> Verdict:
    """What lies in the operator's own namespace: its pods could mount the authority's keys by a Secret's name."""
    return Verdict.stalled(
        c.NAMESPACE_NOT_ALLOWED,
        f"No agents and no backups run in {key.namespace}, the operator's own namespace, since the keys that sign "
        f"all agents' certificates lie there: make {key.name} in another namespace, and delete this one.",
    )


def events_loop(way: Iterable[str]) -> str:
    """All events go round in a circle of sinks."""
    return (
        f"Sinks push all events in a circle ({' to '.join(way)}), each agent handling them once for every sender: give "
        "one of these sinks a `type` or a `filter`, or remove it."
    )


def network(unknown: Iterable[str]) -> Aspect:
    """Whether the agent's network policy opens all that its spec names."""
    if told := "; ".join(unknown):
        return Aspect(c.NETWORK_READY, "False", c.TARGETS_UNKNOWN, f"The network policy does not open: {told}.")
    return Aspect(c.NETWORK_READY, "True", c.TARGETS_KNOWN, "The network policy opens what the spec names.")


def observed(
    deployment: DeploymentFacts | None,
    pods: Mapping[str, PodFacts],
    *,
    config: str,
    unready: Mapping[str, str],
    least: int | None = None,
) -> Verdict:
    """What the Deployment and the pods tell.

    Args:
        deployment: what the Deployment says; None where there is none yet.
        pods: what the pods say, by name.
        config: hash of the newest config; a pod of another one is on its way out, its trouble no longer counts.
        unready: what `/readyz` says of pods that run and are not ready.
        least: the fewest pods that an autoscaler is to have; None where none sets their number.
    """
    if deployment is None or deployment.observed_generation < deployment.generation:
        return Verdict.moving(c.PROGRESSING, "The Deployment is being processed.")
    if deployment.done:
        return _done(deployment)
    if deployment.failure:
        return _no_pods(deployment.failure)
    newest = {name: pod for name, pod in pods.items() if pod.config == config and not pod.deleting}
    troubles = (
        judge(name, newest[name], unready)
        for judge in (_pull, _crash, _state, _unschedulable)
        for name in sorted(newest)
    )
    if trouble := next((trouble for trouble in troubles if trouble is not None), None):
        return trouble
    if least is not None and deployment.newest_only and deployment.available >= max(least, 1):
        return _done(deployment)  # a pod that comes or goes with the load makes the agent no less ready
    return _rolling(deployment)


def still_unavailable(before: Iterable[Mapping[str, Any]]) -> Verdict | None:
    """The trouble told last, where it was the state: a pod that does not answer is no better than before."""
    ready = next((condition for condition in before if condition["type"] == "Ready"), None)
    if ready is None or ready["reason"] != c.STATE_UNAVAILABLE:
        return None
    return Verdict.problem(c.STATE_UNAVAILABLE, ready["message"])


def _done(deployment: DeploymentFacts) -> Verdict:
    if deployment.wanted == 0:
        return Verdict("True", c.READY, "Scaled to zero: no pod is wanted.")
    return Verdict("True", c.READY, f"{deployment.available} of {deployment.wanted} replicas are ready.")


def _rolling(deployment: DeploymentFacts) -> Verdict:
    told = (
        f"{deployment.updated} of {deployment.wanted} replicas are of the newest version, "
        f"{deployment.available} are ready."
    )
    if deployment.stuck:
        return Verdict.problem(
            c.ROLLING_OUT,
            f"No progress for {PROGRESS_DEADLINE_SECONDS} s: {told} Look at the pods with kubectl describe.",
        )
    return Verdict.moving(c.ROLLING_OUT, told)


def _no_pods(failure: str) -> Verdict:
    if "exceeded quota" in failure:
        return Verdict.problem(
            c.QUOTA_EXCEEDED,
            f"The namespace's quota allows no more pods: {failure}. Raise the ResourceQuota, ask for less or lower "
            "spec.replicas.",
        )
    return Verdict.problem(c.FORBIDDEN, f"Pods can't be created: {failure}")


def _pull(name: str, pod: PodFacts, _: Mapping[str, str]) -> Verdict | None:
    if pod.waiting not in _PULL_REASONS:
        return None
    return Verdict.problem(
        c.IMAGE_PULL_FAILED,
        f"Pod {name} can't get the image {pod.image} ({pod.waiting}): {pod.waiting_message} "
        "Check its name, and spec.imagePullSecrets for a private registry.",
    )


def _crash(name: str, pod: PodFacts, _: Mapping[str, str]) -> Verdict | None:
    crashing = pod.waiting in _CRASH_REASONS or (pod.restarts > 0 and not pod.ready and pod.exit_code != 0)
    if not crashing:
        return None
    end = f"ended with exit code {pod.exit_code}" + (f" ({pod.exit_reason})" if pod.exit_reason else "")
    if pod.waiting in _CRASH_REASONS and not pod.restarts and not pod.exit_code:
        end = f"can't start ({pod.waiting}): {pod.waiting_message}"
    hint = " It needs more memory than spec.resources allows." if pod.exit_reason == "OOMKilled" else ""
    return Verdict.problem(
        c.PODS_CRASH,
        f"Pod {name} {end}, {pod.restarts} restarts: {pod.exit_message or 'see kubectl logs --previous'}{hint}",
    )


def _state(name: str, pod: PodFacts, unready: Mapping[str, str]) -> Verdict | None:
    if pod.ready or not pod.running or name not in unready:
        return None
    return Verdict.problem(
        c.STATE_UNAVAILABLE,
        f"Pod {name} runs and is not ready: {unready[name]}. "
        "Check that MongoDB runs and that the Secret's URI names it with the right user.",
    )


def _unschedulable(name: str, pod: PodFacts, _: Mapping[str, str]) -> Verdict | None:
    if not pod.unschedulable:
        return None
    return Verdict.problem(
        c.PODS_UNSCHEDULABLE,
        f"No node can take pod {name}: {pod.unschedulable} Change spec.resources or the placement, or add nodes.",
    )
