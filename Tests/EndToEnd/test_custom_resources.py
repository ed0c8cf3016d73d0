"""Custom resources as users make, use and delete them."""

import json
import subprocess
import time

import pytest

from conftest import eventually

GROUP = "harbour.example.com"
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.harbour.example.com}
spec:
  group: harbour.example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat, shortNames: [bo], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.crew, statusReplicasPath: .status.aboard, labelSelectorPath: .status.selector}
    selectableFields: [{jsonPath: .spec.flag}]
    additionalPrinterColumns:
    - {name: Length, type: integer, jsonPath: .spec.length}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the boat is.
            required: [length]
            properties:
              length: {type: integer, minimum: 1, maximum: 400}
              flag: {type: string, default: none, enum: [none, blue, red]}
              crew: {type: integer, default: 1}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, days: {type: integer}}
            x-kubernetes-validations: [{rule: "self.crew <= self.length", message: "too many aboard"}]
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
            properties: {aboard: {type: integer}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def boat(name, spec, version="v1"):
    return f"apiVersion: {GROUP}/{version}\nkind: Boat\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


@pytest.fixture(scope="module")
def boats(cluster):
    cluster.kubectl("apply", "-f", "-", text=DEFINITION)
    cluster.kubectl("wait", "--for=condition=Established", "crd/boats.harbour.example.com", "--timeout=30s")
    yield cluster
    cluster.kubectl("delete", "crd", "boats.harbour.example.com", "--ignore-not-found", "--timeout=60s")


def refused(namespace, text, *arguments, manifest=None):
    result = namespace.kubectl(*arguments, text=manifest, check=False)
    assert result.returncode != 0 and text in result.stderr, result.stdout + result.stderr


def test_schema(boats, namespace):
    namespace.kubectl("create", "--validate=false", "-f", "-", text=boat("a", "length: 12, sails: 3"))
    spec = json.loads(namespace.kubectl("get", "boat", "a", "-o", "json").stdout)["spec"]
    assert spec == {"length": 12, "flag": "none", "crew": 1}
    refused(namespace, 'unknown field "spec.sails"', "create", "-f", "-", manifest=boat("b", "length: 1, sails: 3"))
    refused(
        namespace, "spec.length: Invalid value: 900: spec.length in body should be less than or equal to 400",
        "create", "-f", "-", manifest=boat("b", "length: 900"))
    refused(namespace, "spec.length: Required value", "create", "-f", "-", manifest=boat("b", "flag: red"))
    refused(
        namespace, 'spec.flag: Unsupported value: "green": supported values: "blue", "none", "red"', "create", "-f",
        "-", manifest=boat("b", "length: 1, flag: green"))
    refused(
        namespace, "too many aboard", "patch", "boat", "a", "--type=merge", "-p", '{"spec":{"crew":13}}')


def test_reads(boats, namespace):
    namespace.kubectl("create", "-f", "-", text=boat("a", "length: 12, flag: red"))
    namespace.kubectl("create", "-f", "-", text=boat("b", "length: 13"))
    status = '{"status":{"aboard":2,"conditions":[{"type":"Ready","status":"True"}]}}'
    namespace.kubectl("patch", "boat", "a", "--subresource=status", "--type=merge", "-p", status)
    lines = namespace.kubectl("get", "bo").stdout.splitlines()
    assert lines[0].split() == ["NAME", "LENGTH", "READY", "AGE"] and lines[1].split()[:3] == ["a", "12", "True"], lines
    assert "boat.harbour.example.com/a" in namespace.kubectl("get", "all", "-o", "name").stdout
    assert namespace.kubectl("get", "bo", "--field-selector", "spec.flag=red", "-o", "name").stdout.split() == [
        "boat.harbour.example.com/a"]
    assert "What the boat is." in namespace.kubectl("explain", "boat.spec").stdout
    beta = namespace.kubectl("get", "boats.v1beta1.harbour.example.com", "a", "-o", "json")
    assert json.loads(beta.stdout)["apiVersion"] == f"{GROUP}/v1beta1"
    assert f"{GROUP}/v1beta1 Boat is deprecated" in beta.stderr


def test_scale_and_apply(boats, namespace):
    namespace.kubectl("create", "-f", "-", text=boat("a", "length: 12"))
    namespace.kubectl("scale", "boat", "a", "--replicas=4")
    found = json.loads(namespace.kubectl("get", "boat", "a", "-o", "json").stdout)
    assert found["spec"]["crew"] == 4 and found["metadata"]["generation"] == 2
    one = boat("p", "length: 5, ports: [{name: north, days: 1}]")
    two = boat("p", "ports: [{name: south, days: 2}]")
    namespace.kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", text=one)
    namespace.kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", text=two)
    ports = namespace.kubectl("get", "boat", "p", "-o", "jsonpath={.spec.ports[*].name}").stdout
    assert sorted(ports.split()) == ["north", "south"]
    refused(
        namespace, 'conflict with "one": .spec.length', "apply", "--server-side", "--field-manager=two", "-f", "-",
        manifest=boat("p", "length: 6"))


def test_owner_and_namespace(boats, namespace):
    namespace.kubectl("create", "-f", "-", text=boat("owner", "length: 12"))
    uid = namespace.kubectl("get", "boat", "owner", "-o", "jsonpath={.metadata.uid}").stdout
    namespace.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kid\n  ownerReferences:\n"
        f"  - {{apiVersion: {GROUP}/v1, kind: Boat, name: owner, uid: {uid}}}\n")
    time.sleep(0.1)
    namespace.kubectl("delete", "boat", "owner")
    eventually(
        lambda: namespace.kubectl("get", "configmap", "kid", check=False).returncode != 0, 60, "the dependent's end")
    boats.kubectl("create", "namespace", "with-boats")
    boats.kubectl("-n", "with-boats", "create", "-f", "-", text=boat("a", "length: 1"))
    boats.kubectl("delete", "namespace", "with-boats", "--timeout=60s")


def test_bad_definitions(cluster):
    def bad(old, new, message):
        result = cluster.kubectl(
            "create", "-f", "-", text=DEFINITION.replace("boats", "bad").replace(old, new), check=False)
        assert result.returncode != 0 and message in result.stderr, result.stderr

    path = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties"
    bad("crew: {type: integer, default: 1}", "crew: {default: 1}",
        f"{path}[crew].type: Required value: must not be empty for specified object fields")
    bad("crew: {type: integer, default: 1}", "crew: {type: integer, default: x}", f"{path}[crew].default")
    bad("storage: false", "storage: true", "must have exactly one version marked as storage version")
    bad("self.crew <= self.length", "self.crew <= self.nothing", "undefined field 'nothing'")


def test_safe_deletion(cluster):
    text = DEFINITION.replace("boats", "rafts").replace("Boat", "Raft").replace("[bo]", "[ra]")
    cluster.kubectl("apply", "-f", "-", text=text)
    cluster.kubectl("wait", "--for=condition=Established", "crd/rafts.harbour.example.com", "--timeout=30s")
    raft = boat("a", "length: 1").replace("Boat", "Raft").replace("name: a", "name: a, finalizers: [example.com/hold]")
    cluster.kubectl("create", "-f", "-", text=raft)
    cluster.kubectl("delete", "crd", "rafts.harbour.example.com", "--wait=false")
    eventually(
        lambda: cluster.kubectl("get", "raft", "a", "-o", "jsonpath={.metadata.deletionTimestamp}").stdout, 30,
        "the deletion of the raft")
    assert cluster.kubectl("get", "crd", "rafts.harbour.example.com").returncode == 0
    cluster.kubectl("patch", "raft", "a", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    cluster.kubectl("wait", "--for=delete", "crd/rafts.harbour.example.com", "--timeout=60s")
    try:
        found = cluster.kubectl("get", "rafts", check=False)
        assert found.returncode != 0, found.stdout
    except subprocess.TimeoutExpired as error:
        raise AssertionError("the kind is still served") from error
