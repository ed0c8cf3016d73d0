import JSON
import ObjectModel
import Testing

@testable import Schema

/// What bookmarks of watches carry beside their version.
@Suite struct EmptyObjectTests {
    private func empty(_ group: String, _ version: String, _ kind: String) -> String {
        let members = Catalog.builtin.emptyMembers(of: GroupVersionKind(group: group, version: version, kind: kind))
        return String(decoding: members.encoded(), as: UTF8.self)
    }

    @Test func membersThatAreAlwaysThere() {
        #expect(empty("", "v1", "Pod") == #"{"spec":{"containers":null},"status":{}}"#)
        #expect(empty("", "v1", "ConfigMap") == "{}")
        #expect(empty("apps", "v1", "Deployment").hasPrefix(#"{"spec":{"selector":{},"template":{"#))
        #expect(empty("rbac.authorization.k8s.io", "v1", "RoleBinding").contains(#""roleRef":{"#))
        #expect(empty("example.com", "v1", "Unknown") == "{}")
    }

    @Test("every built-in kind's empty object ends")
    func everyKind() {
        for resource in Catalog.builtin.resources {
            #expect(Catalog.builtin.emptyMembers(of: resource.kind).object != nil)
        }
    }
}
