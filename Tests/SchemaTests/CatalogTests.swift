import JSON
import ObjectModel
import Schema
import Testing

@Suite struct CatalogTests {
    let catalog = Catalog.builtin

    @Test func everyStableKindIsServed() {
        // 68 stable resources of Kubernetes and two of the metrics API.
        #expect(catalog.resources.count == 70)
        for definition in catalog.resources {
            #expect(!definition.typeName.isEmpty, "\(definition.resource) has no type")
            #expect(catalog.resource(definition.resource) == definition)
            #expect(catalog.resource(for: definition.kind) == definition)
            #expect(definition.verbs == definition.verbs.sorted())
        }
    }

    @Test func groupsComeInDiscoveryOrder() {
        let names = catalog.groups.map(\.group)
        #expect(names.prefix(4) == ["", "apiregistration.k8s.io", "apps", "events.k8s.io"])
        #expect(names.last == "metrics.k8s.io")
        #expect(catalog.groups.first { $0.group == "autoscaling" }?.versions == ["v2", "v1"])
    }

    @Test func subresourcesSayTheirKindAndVerbs() throws {
        let pods = try #require(catalog.resource(.pods))
        #expect(pods.shortNames == ["po"])
        #expect(pods.categories == ["all"])
        #expect(
            pods.subresource("eviction")?.kind == GroupVersionKind(group: "policy", version: "v1", kind: "Eviction"))
        #expect(pods.subresource("exec")?.verbs == ["create", "get"])
        #expect(pods.subresource("status")?.kind == .pod)
        let deployments = try #require(catalog.resource(.deployments))
        #expect(deployments.subresource("scale")?.kind.description == "autoscaling/v1, Kind=Scale")
        #expect(catalog.resource(.namespaces)?.hasVerb("deletecollection") == false)
    }

    @Test func selectableFields() throws {
        let pod = Object(try json(#"{"metadata":{"name":"a","namespace":"n"},"spec":{"nodeName":"w1"},"status":{}}"#))
        #expect(catalog.selectableField("spec.nodeName", of: pod, resource: .pods) == "w1")
        #expect(catalog.selectableField("spec.hostNetwork", of: pod, resource: .pods) == "false")
        #expect(catalog.selectableField("status.phase", of: pod, resource: .pods) == "")
        #expect(catalog.selectableField("metadata.namespace", of: pod, resource: .pods) == "n")
        #expect(catalog.selectableField("spec.priority", of: pod, resource: .pods) == nil)
        #expect(!catalog.supportsFieldSelector("spec.nodeName", resource: .services))
        // The store keeps events of both groups with the names of the core group.
        let event = Object(try json(#"{"involvedObject":{"name":"a"},"reportingComponent":"c"}"#))
        let events = GroupVersionResource(group: "events.k8s.io", version: "v1", resource: "events")
        #expect(catalog.selectableField("reportingController", of: event, resource: events) == "c")
        #expect(catalog.selectableField("regarding.name", of: event, resource: events) == "a")
    }
}
