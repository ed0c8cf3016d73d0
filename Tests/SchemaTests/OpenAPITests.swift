import JSON
import ObjectModel
import Schema
import Testing

@Suite struct OpenAPITests {
    /// All targets of `$ref` in a document.
    private func references(_ json: JSON, into found: inout Set<String>) {
        for (key, value) in json.members {
            if key == "$ref", let text = value.string { found.insert(text) } else { references(value, into: &found) }
        }
        for value in json.elements { references(value, into: &found) }
    }

    @Test func everyReferenceResolves() throws {
        for path in Catalog.builtin.openAPIv3Paths {
            let document = try #require(Catalog.builtin.openAPIv3(path))
            var found: Set<String> = []
            references(document, into: &found)
            let schemas = document["components"]["schemas"].members
            for reference in found {
                let name = reference.replacing("#/components/schemas/", with: "")
                #expect(schemas[name] != nil, "\(path): \(reference)")
            }
        }
        let document = Catalog.builtin.openAPIv2()
        var found: Set<String> = []
        references(document, into: &found)
        for reference in found {
            #expect(
                document["definitions"].members[reference.replacing("#/definitions/", with: "")] != nil, "\(reference)")
        }
        #expect(Catalog.builtin.openAPIv3("apis/nonsense/v1") == nil)
    }

    @Test func kubectlFindsWhatItLooksFor() throws {
        let document = try #require(Catalog.builtin.openAPIv3("apis/apps/v1"))
        let item = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
        let patch = item["patch"]
        #expect(patch["x-kubernetes-group-version-kind"] == ["group": "apps", "version": "v1", "kind": "Deployment"])
        #expect(patch["x-kubernetes-action"] == "patch")
        let parameters = Set(patch["parameters"].elements.compactMap { $0["name"].string })
        #expect(parameters.isSuperset(of: ["dryRun", "fieldManager", "fieldValidation", "force"]))
        #expect(patch["requestBody"]["content"].members["application/strategic-merge-patch+json"] != nil)
        let containers = document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
        #expect(containers["x-kubernetes-patch-merge-key"] == "name")
        #expect(containers["x-kubernetes-patch-strategy"] == "merge")
        #expect(containers["x-kubernetes-list-type"] == "map")
        #expect(containers["x-kubernetes-list-map-keys"] == ["name"])
        #expect(containers["description"].string?.isEmpty == false)
        #expect(containers["items"]["allOf"][0]["$ref"] == "#/components/schemas/io.k8s.api.core.v1.Container")
        let replicas = document["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"]
        #expect(replicas["type"] == "integer")
        #expect(replicas["format"] == "int32")
    }
}
