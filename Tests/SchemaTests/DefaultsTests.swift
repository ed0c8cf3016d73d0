import JSON
import ObjectModel
import Schema
import Testing

@Suite struct DefaultsTests {
    private let containerDefaults =
        #""resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File""#
    private let podSpecDefaults =
        #""restartPolicy":"Always","dnsPolicy":"ClusterFirst","terminationGracePeriodSeconds":30,"#
        + #""schedulerName":"default-scheduler","securityContext":{}"#

    @Test func minimalPod() throws {
        let pod = try defaulted(
            #"""
            {"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"nginx",
            "ports":[{"containerPort":80}],"livenessProbe":{"httpGet":{"port":80}},
            "env":[{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}}]}],
            "volumes":[{"name":"s","secret":{"secretName":"x"}},{"name":"e"}]}}
            """#, .pod)
        let expected = try json(
            #"""
            {"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"nginx","imagePullPolicy":"Always",
            "ports":[{"containerPort":80,"protocol":"TCP"}],
            "livenessProbe":{"httpGet":{"port":80,"path":"/","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,
            "successThreshold":1,"failureThreshold":3},
            "env":[{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP","apiVersion":"v1"}}}],
            \#(containerDefaults)}],
            "volumes":[{"name":"s","secret":{"secretName":"x","defaultMode":420}},{"name":"e","emptyDir":{}}],
            \#(podSpecDefaults),"enableServiceLinks":true},"status":{}}
            """#)
        #expect(pod == expected)
        var again = pod
        Catalog.builtin.applyDefaults(to: &again, kind: .pod)
        #expect(again == pod)
    }

    @Test func minimalDeployment() throws {
        let deployment = try defaulted(
            #"""
            {"metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{
            "metadata":{"labels":{"a":"b"}},
            "spec":{"containers":[{"name":"c","image":"web:1","resources":{"limits":{"cpu":"1"}}}]}}}}
            """#, .deployment)
        let container = containerDefaults.replacing(#""resources":{}"#, with: #""resources":{"limits":{"cpu":"1"}}"#)
        let expected = try json(
            #"""
            {"metadata":{"name":"web"},"spec":{"replicas":1,"revisionHistoryLimit":10,"progressDeadlineSeconds":600,
            "strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},
            "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{
            "containers":[{"name":"c","image":"web:1","imagePullPolicy":"IfNotPresent",\#(container)}],
            \#(podSpecDefaults)}}},"status":{}}
            """#)
        #expect(deployment == expected)
    }

    @Test func podsRequestWhatTheyAreLimitedTo() throws {
        let pod = try defaulted(
            #"""
            {"spec":{"hostNetwork":true,"serviceAccountName":"robot","containers":[{"name":"c","image":"a@sha256:0",
            "ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"100m"}}}]}}
            """#, .pod)
        let container = pod["spec"]["containers"][0]
        #expect(container["resources"]["requests"] == ["cpu": "100m", "memory": "1Gi"])
        #expect(container["ports"][0]["hostPort"] == 80)
        #expect(container["imagePullPolicy"] == "IfNotPresent")
        #expect(pod["spec"]["serviceAccount"] == "robot")
    }

    @Test(arguments: [
        ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1.2", "IfNotPresent"), ("host:5000/nginx", "Always"),
        ("host:5000/a/nginx:3", "IfNotPresent"), ("nginx@sha256:abc", "IfNotPresent"),
    ])
    func pullPolicy(_ image: String, _ policy: String) throws {
        let pod = try defaulted(#"{"spec":{"containers":[{"name":"c","image":"\#(image)"}]}}"#, .pod)
        #expect(pod["spec"]["containers"][0]["imagePullPolicy"].string == policy)
    }

    @Test(arguments: [
        (
            #"{"selector":{"a":"b"},"ports":[{"port":80}]}"#,
            #"""
            {"selector":{"a":"b"},"ports":[{"port":80,"protocol":"TCP","targetPort":80}],"sessionAffinity":"None",
            "type":"ClusterIP","internalTrafficPolicy":"Cluster"}
            """#
        ),
        (
            #"{"type":"NodePort","ports":[{"port":80,"targetPort":"http"}],"sessionAffinity":"ClientIP"}"#,
            #"""
            {"type":"NodePort","ports":[{"port":80,"protocol":"TCP","targetPort":"http"}],"sessionAffinity":"ClientIP",
            "sessionAffinityConfig":{"clientIP":{"timeoutSeconds":10800}},"internalTrafficPolicy":"Cluster",
            "externalTrafficPolicy":"Cluster"}
            """#
        ),
        (
            #"{"type":"LoadBalancer"}"#,
            #"""
            {"type":"LoadBalancer","sessionAffinity":"None","internalTrafficPolicy":"Cluster",
            "externalTrafficPolicy":"Cluster","allocateLoadBalancerNodePorts":true}
            """#
        ),
        (
            #"{"type":"ExternalName","externalName":"x.y"}"#,
            #"{"type":"ExternalName","externalName":"x.y","sessionAffinity":"None"}"#
        ),
    ])
    func services(_ spec: String, _ expected: String) throws {
        let service = try defaulted(#"{"metadata":{},"spec":\#(spec)}"#, .service)
        let wanted = try json(#"{"metadata":{},"spec":\#(expected),"status":{"loadBalancer":{}}}"#)
        #expect(service == wanted)
    }

    @Test func secretsFoldTheirPlainText() throws {
        let secret = try defaulted(
            #"{"metadata":{},"data":{"a":"YQ==","b":"Yg=="},"stringData":{"b":"bb","c":""}}"#, .secret)
        let wanted = try json(#"{"metadata":{},"data":{"a":"YQ==","b":"YmI=","c":""},"type":"Opaque"}"#)
        #expect(secret == wanted)
    }

    @Test func namespaces() throws {
        let namespace = try defaulted(#"{"metadata":{"name":"shop"}}"#, .namespace)
        let wanted = try json(
            #"""
            {"metadata":{"name":"shop","labels":{"kubernetes.io/metadata.name":"shop"}},
            "spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}
            """#)
        #expect(namespace == wanted)
        let leaving = try defaulted(
            #"{"metadata":{"name":"shop","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{}}"#, .namespace)
        #expect(leaving["spec"] == [:])
    }

    @Test func jobsAndStatefulSets() throws {
        let job = try defaulted(#"{"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{}}}}"#, .job)
        var spec = job["spec"]
        spec.removeMember("template")
        let wanted = try json(
            #"""
            {"completions":1,"parallelism":1,"backoffLimit":6,"completionMode":"NonIndexed","suspend":false,
            "manualSelector":false,"podReplacementPolicy":"TerminatingOrFailed"}
            """#)
        #expect(spec == wanted)
        #expect(job["metadata"]["labels"] == ["a": "b"])
        let set = try defaulted(
            #"{"spec":{"template":{},"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{}}]}}"#, .statefulSet)
        #expect(set["spec"]["updateStrategy"] == ["type": "RollingUpdate", "rollingUpdate": ["partition": 0]])
        let claim = try json(
            #"""
            {"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"d"},
            "spec":{"resources":{},"volumeMode":"Filesystem"},"status":{"phase":"Pending"}}
            """#)
        #expect(set["spec"]["volumeClaimTemplates"][0] == claim)
        #expect(set["status"]["replicas"] == 0)
    }

    @Test func policyKinds() throws {
        let group = "rbac.authorization.k8s.io"
        let binding = try defaulted(
            #"{"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]}"#,
            GroupVersionKind(group: group, version: "v1", kind: "RoleBinding"))
        #expect(binding["roleRef"]["apiGroup"].string == group)
        #expect(binding["subjects"][0]["apiGroup"].string == group)
        #expect(binding["subjects"][1]["apiGroup"].isNull)
        let policy = try defaulted(
            #"{"spec":{"podSelector":{},"egress":[{}]}}"#,
            GroupVersionKind(group: "networking.k8s.io", version: "v1", kind: "NetworkPolicy"))
        #expect(policy["spec"]["policyTypes"] == ["Ingress", "Egress"])
        let scaler = try defaulted(
            #"{"spec":{"maxReplicas":3,"behavior":{"scaleDown":{"stabilizationWindowSeconds":60}}}}"#,
            GroupVersionKind(group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler"))
        #expect(scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80)
        #expect(scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 60)
        #expect(scaler["spec"]["behavior"]["scaleUp"]["policies"].elements.count == 2)
    }
}
