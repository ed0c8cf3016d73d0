import JSON
import ObjectModel
import Schema
import Testing

@Suite struct ConformTests {
    @Test(arguments: [
        (
            #"{"data":["a"]}"#, GroupVersionKind.configMap,
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"
        ),
        (
            #"{"data":{"a":1}}"#, .configMap,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        ),
        (
            #"{"spec":{"replicas":"3"}}"#, .deployment,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        ),
        (
            #"{"spec":{"replicas":1.5}}"#, .deployment,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
        ),
        (
            #"{"spec":{"template":{"spec":{"containers":[{"env":[{"value":1}]}]}}}}"#, .deployment,
            "json: cannot unmarshal number into Go struct field "
                + "EnvVar.spec.template.spec.containers.env.value of type string"
        ),
        (
            #"{"spec":{"containers":{}}}"#, .pod,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"
        ),
        (
            #"{"spec":{"containers":[{"resources":{"limits":{"memory":"1 apple"}}}]}}"#, .pod,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ),
        (
            #"{"spec":{"containers":[{"resources":{"limits":{"memory":"1ii"}}}]}}"#, .pod,
            "unable to parse quantity's suffix"
        ),
        (#"{"data":{"a":"@@@@"}}"#, .secret, "illegal base64 data at input byte 0"),
        (
            #"{"metadata":{"creationTimestamp":"yesterday"}}"#, .pod,
            #"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#
        ),
        (#"[]"#, .pod, "json: cannot unmarshal array into Go value of type v1.Pod"),
    ])
    func wrongTypes(_ text: String, _ kind: GroupVersionKind, _ problem: String) throws {
        var object = try json(text)
        let error = #expect(throws: StatusError.self) { try Catalog.builtin.conform(&object, to: kind) }
        #expect(error?.code == 400)
        #expect(error?.message == "\(kind.kind) in version \"v1\" cannot be handled as a \(kind.kind): \(problem)")
    }

    @Test func unknownMembersAreDroppedAndReported() throws {
        var object = try json(
            #"""
            {"spec":{"replica":3,"replicas":2,"template":{"spec":{"containers":[{"name":"a","foo":{"x":1}},
            {"name":"b","ports":[{"containerPort":1,"bar":2}]}]}}},"extra":true}
            """#)
        let findings = try Catalog.builtin.conform(&object, to: .deployment)
        #expect(
            findings.unknownFields == [
                "spec.replica", "spec.template.spec.containers[0].foo", "spec.template.spec.containers[1].ports[0].bar",
                "extra",
            ])
        let expected = try json(
            #"""
            {"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"a"},
            {"name":"b","ports":[{"containerPort":1}]}]}}}}
            """#)
        #expect(object == expected)
    }

    @Test func valuesAreCanonical() throws {
        var pod = try json(
            #"""
            {"metadata":{"creationTimestamp":null,"labels":{"a":null}},
            "spec":{"containers":[{"resources":{"limits":{"memory":"1024Mi","cpu":0.5},"requests":{"cpu":"250m"}}}]},
            "status":{"startTime":"2026-01-02T05:04:05.5+02:00"}}
            """#)
        #expect(try Catalog.builtin.conform(&pod, to: .pod).unknownFields.isEmpty)
        let expected = try json(
            #"""
            {"metadata":{"labels":{"a":""}},
            "spec":{"containers":[{"resources":{"limits":{"memory":"1Gi","cpu":"500m"},"requests":{"cpu":"250m"}}}]},
            "status":{"startTime":"2026-01-02T03:04:05Z"}}
            """#)
        #expect(pod == expected)
    }

    @Test func whatIsInOrderStaysAsItIs() throws {
        let text = #"{"spec":{"ports":[{"port":80,"targetPort":"http"},{"port":81,"targetPort":8081}]}}"#
        var object = try json(text)
        #expect(try Catalog.builtin.conform(&object, to: .service).unknownFields.isEmpty)
        #expect(object.description == text)
    }

    /// As Go's types write it: what is empty is left out, unless its type is a pointer or it must be there.
    @Test func whatIsEmptyIsLeftOut() throws {
        var pod = try json(
            #"""
            {"metadata":{"labels":{},"finalizers":[],"annotations":{"a":""}},
            "spec":{"hostNetwork":false,"nodeSelector":{},"tolerations":[],"shareProcessNamespace":false,
            "volumes":[{"name":"v","emptyDir":{}}],"affinity":{"nodeAffinity":{}},
            "containers":[{"name":"","tty":false,"args":[],"env":[{"name":"A","value":""}],"resources":{"limits":{}},
            "livenessProbe":{"initialDelaySeconds":0,"terminationGracePeriodSeconds":0}}]}}
            """#)
        let wanted = pod
        _ = try Catalog.builtin.conform(&pod, to: .pod, isPartial: true)
        #expect(pod == wanted, "a configuration to apply keeps its wishes")
        _ = try Catalog.builtin.conform(&pod, to: .pod)
        let expected = try json(
            #"""
            {"metadata":{"annotations":{"a":""}},
            "spec":{"shareProcessNamespace":false,"volumes":[{"name":"v","emptyDir":{}}],"affinity":{"nodeAffinity":{}},
            "containers":[{"name":"","env":[{"name":"A"}],"resources":{},
            "livenessProbe":{"terminationGracePeriodSeconds":0}}]}}
            """#)
        #expect(pod == expected, "\(pod)")
        var role = try json(#"{"rules":[]}"#)
        _ = try Catalog.builtin.conform(
            &role, to: GroupVersionKind(group: "rbac.authorization.k8s.io", version: "v1", kind: "Role"))
        #expect(role == ["rules": []])
    }

    @Test func customResourceSchemasKeepTheirForms() throws {
        let kind = GroupVersionKind(group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition")
        var object = try json(
            #"""
            {"spec":{"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"object","properties":{"a":{
            "type":"object","additionalProperties":true,"default":{"x":[null,1]},"nonsense":1},
            "b":{"additionalProperties":{"type":"string"}}}}}}]}}
            """#)
        let findings = try Catalog.builtin.conform(&object, to: kind)
        #expect(findings.unknownFields == ["spec.versions[0].schema.openAPIV3Schema.properties.a.nonsense"])
        let properties = object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        #expect(properties["a"]["additionalProperties"] == true)
        #expect(properties["a"]["default"] == ["x": [nil, 1]])
    }
}
